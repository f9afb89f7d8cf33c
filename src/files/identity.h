/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "base/macros.h"

/*
 * Users and groups, as NSS knows them: asking may take as long as a network likes, which here
 * holds up nobody but the caller who has named them.
 */

/* The number of a name, or of a number in digits that nobody has as a name. 0; -ENOENT; -errno. */
int identity_find_user(const char *text, uid_t *ret);
int identity_find_group(const char *text, gid_t *ret);

/*
 * Becomes that user for good, with all groups that are his, and without capabilities unless he is
 * root. 0; -ENOENT: there is none; -errno, and then the process is of no use any more.
 */
int identity_become(const char *user);
