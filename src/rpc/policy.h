/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "rpc/method.h"

/* What one connection may call. Borrowed from the port's settings. */
typedef struct Policy Policy;

struct Policy {
        char *const *methods; /* globs, NULL-terminated */
        char *const *block_methods;
        bool privileged;
};

/* Whether the name is in `methods` and not in `block-methods`. */
bool policy_allows_name(const Policy *p, const char *name);
/* For a call of m by that name (of a prefix, a longer one than m's own). 0, or -EACCES: excluded by
 * name, or -EPERM: for privileged callers only. */
int policy_check(const Policy *p, const Method *m, const char *name);
