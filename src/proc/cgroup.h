/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "config/config.h"

/*
 * A control group (v2) for each program that runs: what it becomes is in it, is counted there, can
 * be limited, and is killed at one stroke, whatever it forks meanwhile. They are made where that is
 * ours to do: under systemd only in a group that it has delegated (Delegate=yes), elsewhere
 * wherever the kernel lets us.
 *
 *     OURS/guestwire-N/agent           this process, once limits were asked for
 *     OURS/guestwire-N/free/run-*      without controllers: cheap to make
 *     OURS/guestwire-N/limited/run-*   with memory, pids and cpu
 *
 * Nothing here waits. A group whose time has come is removed in cgroups_sweep().
 */
typedef struct Cgroups Cgroups;
typedef struct Cgroup Cgroup;

/* Ends what an earlier process of ours, which is no more, has left. 0; -EOPNOTSUPP where we may
 * make none; -errno. */
int cgroups_new(Cgroups **ret);
/* Kills (SIGKILL) what is left, and removes what can be removed. No Cgroup may be held any more. */
Cgroups *cgroups_free(Cgroups *c);
DEFINE_CLEANUP(Cgroups, cgroups_free)

/* How many of programs that have ended are still there. */
size_t cgroups_count(const Cgroups *c);
/* Tries to remove those. Where the time of one has come it is killed first. Returns when (CLOCK_
 * MONOTONIC, microseconds) the first of those that are left is to be killed; UINT64_MAX: none is.
 */
uint64_t cgroups_sweep(Cgroups *c, uint64_t now);

/* An empty one, named after `identity`. 0; -EOPNOTSUPP where limits cannot be had; -errno. */
int cgroup_new(Cgroups *c, const char *identity, const ProgramLimits *limits, Cgroup **ret);
/* For CLONE_INTO_CGROUP. Borrowed; valid until cgroup_end(). */
int cgroup_fd(const Cgroup *g);
/* All that it has used: microseconds, and bytes at the most. What is not known is left alone. */
void cgroup_read_usage(const Cgroup *g, uint64_t *ret_cpu, uint64_t *ret_memory_peak);
/* Sends SIGKILL to all of it. */
void cgroup_kill(const Cgroup *g);
/* The program has ended, or never began: the group is removed as soon as nothing is in it, and
 * killed at kill_at. Takes g over. True where it is gone already. */
bool cgroup_end(Cgroup *g, uint64_t kill_at);
