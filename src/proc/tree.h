/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

/*
 * Who descends from whom, as /proc tells it. It tells of a moving thing: a process may fork, end
 * or lose its parent while one looks, so that who wants all of a tree looks again until nothing
 * new is found.
 */
typedef struct Tree Tree;
typedef struct TreeProcess TreeProcess;

struct TreeProcess {
        pid_t pid;
        pid_t parent;
        pid_t group;
        pid_t session;
        uint64_t started; /* in clock ticks since boot: with the pid it names a process for good */
};

/* One look. Where the kernel has no /proc/PID/task/TID/children all processes are read, once for
 * each look. */
struct Tree {
        TreeProcess *all;
        size_t n_all;
};

#define TREE_NULL ((Tree){ 0 })

typedef struct PidList PidList;

struct PidList {
        pid_t *list;
        size_t n;
        size_t n_allocated;
};

#define PID_LIST_NULL ((PidList){ 0 })

/* Adds the children of a process, at most up to `max` pids in all. 0, also where there is no such
 * process; -errno. */
int tree_children(Tree *t, pid_t pid, size_t max, PidList *to);
void tree_done(Tree *t);
#define _cleanup_tree_ _cleanup_(tree_done)

void pid_list_done(PidList *l);
#define _cleanup_pid_list_ _cleanup_(pid_list_done)

/* For tests: from now on, as on a kernel that has /proc/PID/task/TID/children, or has none. */
void tree_set_lists_children(bool lists);

/* 0; -ESRCH where there is no such process; -errno. */
int tree_read(pid_t pid, TreeProcess *ret);
