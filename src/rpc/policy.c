/* SPDX-License-Identifier: MIT */
#include "rpc/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>

/* No list, like an empty one, matches nothing. */
static bool globs_match(char *const *globs, const char *name)
{
        for (; globs && *globs; globs++) {
                /* The common glob, and the call that every request would pay for. */
                if ((*globs)[0] == '*' && (*globs)[1] == '\0')
                        return true;
                if (fnmatch(*globs, name, 0) == 0)
                        return true;
        }
        return false;
}

bool policy_allows_name(const Policy *p, const char *name)
{
        return globs_match(p->methods, name) && !globs_match(p->block_methods, name);
}

int policy_check(const Policy *p, const Method *m, const char *name)
{
        if (!policy_allows_name(p, name))
                return -EACCES;
        if ((m->flags & METHOD_PRIVILEGED) && !p->privileged)
                return -EPERM;
        return 0;
}
