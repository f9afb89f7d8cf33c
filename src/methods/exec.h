/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/macros.h"
#include "methods/context.h"

/*
 * What exec.* keeps for as long as the agent runs, through all reloads and beyond connections: the
 * programs that run, and the jobs.
 */
typedef struct Exec Exec;

/* context: borrowed; its `exec` is for the caller to set. 0 or -errno. */
int exec_new(AgentContext *context, Exec **ret);
/* As the agent ends: ends (TERM, then KILL) every program that belongs to no call. `stopped` is
 * called whenever no program is left. */
void exec_stop(Exec *e, void (*stopped)(void *userdata), void *userdata);
/* How many programs have been begun and have not ended. */
size_t exec_count(const Exec *e);
/* How many jobs there are, running and finished ones that are kept. */
size_t exec_jobs(const Exec *e);
/* What still runs is left to the Spawner to end. */
Exec *exec_free(Exec *e);
DEFINE_CLEANUP(Exec, exec_free)
