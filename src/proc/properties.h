/* SPDX-License-Identifier: MIT */
#pragma once

#include "config/config.h"
#include "proc/spawn.h"

/*
 * What the unit of a configured program is given: the properties of [agent], then the program's own
 * (NULL: none), NULL-terminated; NULL where it becomes no unit, or has none. The caller frees with
 * text_list_free(). 0 or -ENOMEM.
 */
int properties_new(const Spawner *s, ProgramScope scope, const AgentSettings *agent,
                   const ProgramSettings *program, char ***ret);

/* Its limits. A weight of 100, the preset, is everybody's share, and needs no group with limits. */
static inline ProgramLimits properties_limits(const ProgramSettings *program)
{
        ProgramLimits limits = program->limits;

        if (limits.cpu_weight == 100)
                limits.cpu_weight = 0;
        return limits;
}
