/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/macros.h"

/*
 * Where a Unix socket's file goes: a folder that was checked and is held open, so that what
 * is done there is done in that folder whatever happens to the path meanwhile, and a name.
 */
typedef struct Place Place;

struct Place {
        int folder;       /* O_PATH */
        const char *path; /* the caller's, whole */
        const char *name; /* its last part */
};

#define PLACE_NULL ((Place){ .folder = -EBADF })

/*
 * path: absolute; the caller keeps it as long as the place. create: make the folder (0755)
 * if it alone is missing. 0; -EPERM where the folder belongs to somebody else than root or
 * us, or others can write to it (in a sticky one they cannot touch our files: fine); -errno.
 * *ret_problem is a sentence (allocated) for most errors and untouched for the rest; it may
 * be NULL.
 */
int place_open(const char *path, bool create, Place *ret, char **ret_problem);

/*
 * An O_PATH descriptor of the socket file there and its stat: the inode, however the name
 * changes. -ENOENT; -EEXIST where something else has the name; -errno.
 */
int place_open_socket(const Place *p, struct stat *ret_st);

/* A stream socket connected (without waiting) to the socket file `inode`, or -errno. */
int place_connect(int inode);

/*
 * Makes way: removes a socket file that belongs to us or to `owner` ((uid_t)-1: none) and that
 * nobody answers. 0, also if there was nothing; -EADDRINUSE where somebody listens; -EEXIST
 * where it is not ours to remove; -errno. *ret_problem as above.
 */
int place_clear(const Place *p, uid_t owner, char **ret_problem);

/* Gives a socket file its owner and group ((uid_t)-1, (gid_t)-1: as they are), then its mode. */
int place_set_file(int inode, mode_t mode, uid_t uid, gid_t gid);

void place_remove(const Place *p);
void place_done(Place *p);
#define _cleanup_place_ _cleanup_(place_done)
