/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

/*
 * Users and groups as /etc/passwd and /etc/group have them, and nothing else: a look-up through
 * NSS may ask the network, and would hold up the event loop when the configuration is read
 * again.
 */
typedef struct User User;

struct User {
        char *name;
        char *home;
        char *shell;
        uid_t uid;
        gid_t gid;
};

#define USER_NULL ((User){ 0 })

/* By name, or with name NULL by number. 0; -ENOENT; -ENOMEM; -errno of the file. */
int user_find(const char *name, uid_t uid, User *ret);
void user_done(User *u);
#define _cleanup_user_ _cleanup_(user_done)

/* The numbers of a user and of a group by their names. 0 or -errno as above. */
int user_find_number(const char *name, uint32_t *ret);
int user_find_group(const char *name, uint32_t *ret);

/*
 * All groups of a process of that user (NULL: of none by name) and gid: gid first, then those
 * that /etc/group lists the user in, none twice. 0 with *ret owned by the caller, or -errno.
 */
int user_groups(const char *name, gid_t gid, gid_t **ret, size_t *ret_n);
