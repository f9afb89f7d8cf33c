/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

/*
 * The folder of the control group (v2) that a process is in, from what its /proc/PID/cgroup and
 * /proc/PID/mountinfo say. 0 with *ret for the caller to free; -EOPNOTSUPP where there is none, or
 * none that is mounted here; -ENOMEM; -EIO.
 */
int cgroup_own_path(FILE *cgroup, FILE *mountinfo, char **ret);

/* Opens that of this process, O_DIRECTORY. A descriptor; -EOPNOTSUPP also where systemd runs and
 * has not delegated it; -errno. */
int cgroup_own_open(void);
