/* SPDX-License-Identifier: MIT */
#pragma once

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "proc/spawn.h"
#include "proc/tree.h"

/* What spawn.c (one program), spawn-child.c (between fork and exec) and spawner.c (what is left of
 * them) share, and nobody else. */
typedef struct SpawnReport SpawnReport;
typedef struct Process Process;

typedef enum SpawnStep {
        SPAWN_STEP_NONE,
        SPAWN_STEP_FDS,
        SPAWN_STEP_GROUPS,
        SPAWN_STEP_GROUP,
        SPAWN_STEP_USER,
        SPAWN_STEP_DIRECTORY,
        SPAWN_STEP_EXECUTE,
} SpawnStep;

/*
 * What a child writes where it cannot become the program, into memory that it shares with us: the
 * exec that succeeds takes that away from it. A pipe would say the same for five more system calls
 * and a descriptor for each program that runs.
 */
struct SpawnReport {
        int error; /* 0: the program was executed, or died before it could say */
        SpawnStep step;
        uint32_t number;
        char what[PATH_MAX - 64];
};

struct Spawn {
        ListLink link;    /* in running */
        Spawner *spawner; /* NULL once it has ended */
        pid_t pid;
        int pidfd;
        sd_event_source *source;
        SpawnFunction ended; /* NULL: nobody cares any more, and it frees itself */
        void *userdata;
        SpawnReport *report;
        uint64_t started;
        uint64_t kill_timeout;
        uint64_t kill_at; /* CLOCK_MONOTONIC; 0: it is not to end */
};

/* A process that is to end: of a program that is being ended, or left by one that has. */
struct Process {
        pid_t pid;
        uint64_t started; /* of the kernel, as TreeProcess has it */
        uint64_t kill_at;
};

struct Spawner {
        sd_event *event;
        ListLink running;
        size_t n_running;
        pid_t session; /* ours */
        bool has_pidfds;
        PidList strangers; /* children that we had before: not our business */
        /* The signals that this process ignores. Asking for all of them, each time, is a good part
         * of what a child has to do. */
        int ignored[_NSIG];
        size_t n_ignored;

        SpawnReport *spare_report;
        sd_event_source *soon;  /* a sweep in this turn of the loop */
        sd_event_source *timer; /* and the next one */
        uint64_t rest_kill_at; /* of what programs leave that ended since the last sweep; 0: none */
        uint64_t earliest_kill_at; /* of what the last sweep found; 0: nothing */
        Process *ending;           /* what the last sweep found, by pid */
        size_t n_ending;
};

void spawner_drop_report(Spawner *s);
uint64_t spawn_now(void);
Spawn *spawn_destroy(Spawn *p);

/* In the child: becomes the program, or ends with a report. Async-signal-safe calls only. */
_Noreturn void spawn_child(const Spawner *s, const SpawnSettings *settings, SpawnReport *report);

/* A program has ended: its processes that are left are now ours, and end too. */
void spawner_look_for_rest(Spawner *s, uint64_t kill_at);
void spawner_sweep_soon(Spawner *s);
