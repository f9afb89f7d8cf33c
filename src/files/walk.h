/* SPDX-License-Identifier: MIT */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/macros.h"

/*
 * A walk through a tree, each folder before what it holds, by descriptors: nothing is followed,
 * and nothing that is renamed meanwhile leads elsewhere.
 */
typedef struct Walk Walk;
typedef struct WalkEntry WalkEntry;
typedef struct WalkLevel WalkLevel;

struct Walk {
        WalkLevel *levels;
        size_t n_levels;
        size_t capacity;
        char *path; /* of the folder that is being read, relative to the first */
        size_t path_capacity;
};

#define WALK_NULL ((Walk){ 0 })

/* Borrowed from the walk until the next step. */
struct WalkEntry {
        int folder;       /* where it is */
        const char *name; /* in there */
        const char *path; /* relative to the first folder */
        struct stat st;   /* lstat(2)'s, unless error */
        int error;        /* 0, or why it (where path is a folder's: or its list) cannot be read */
};

/* Goes into the folder fd (taken over, closed on failure as well): into the first one, or into the
 * entry that walk_next() has given last. 0; -ELOOP past TRANSFER_DEPTH_MAX; -ENOMEM; -errno. */
int walk_enter(Walk *w, int fd);
/* 1 with the next entry; 0 at the end; -ENOMEM. What has vanished since its folder was read is
 * left out. */
int walk_next(Walk *w, WalkEntry *ret);
void walk_done(Walk *w);
