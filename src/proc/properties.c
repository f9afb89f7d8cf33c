/* SPDX-License-Identifier: MIT */
#include "proc/properties.h"

#include <string.h>

#include "base/text.h"

static int properties_add(char ***list, char *const *from)
{
        int r = 0;

        for (; from && *from && r >= 0; from++)
                r = text_list_take(list, strdup(*from));
        return r;
}

int properties_new(const Spawner *s, ProgramScope scope, const AgentSettings *agent,
                   const ProgramSettings *program, char ***ret)
{
        _cleanup_text_list_ char **list = NULL;
        int r = 0;

        if (spawner_scope(s, scope) == SCOPE_UNIT) {
                r = properties_add(&list, agent->properties);
                if (r >= 0 && program)
                        r = properties_add(&list, program->properties);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}
