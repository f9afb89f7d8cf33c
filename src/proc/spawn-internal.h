/* SPDX-License-Identifier: MIT */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "proc/cgroup.h"
#include "proc/spawn.h"
#include "proc/tree.h"

/* What spawn.c (one program), spawn-job.c (the making of its child), spawn-child.c (between that
 * and exec) and spawner.c (what is left of them) share, and nobody else. */
typedef struct SpawnReport SpawnReport;
typedef struct SpawnArea SpawnArea;
typedef struct SpawnJob SpawnJob;
typedef struct Process Process;
typedef struct Unit Unit;
typedef struct Units Units;

/* Three times what spawn_child() takes, which is a path's room above all. */
#define SPAWN_STACK_SIZE 16384U

typedef enum SpawnStep {
        SPAWN_STEP_NONE,
        SPAWN_STEP_CGROUP,
        SPAWN_STEP_FDS,
        SPAWN_STEP_GROUPS,
        SPAWN_STEP_GROUP,
        SPAWN_STEP_USER,
        SPAWN_STEP_DIRECTORY,
        SPAWN_STEP_EXECUTE,
} SpawnStep;

/* What a child writes where it cannot become the program. */
struct SpawnReport {
        int error; /* 0: the program was executed, or died before it could say */
        SpawnStep step;
};

/*
 * Memory that a child and we share, whether it runs in all of ours or has its own: its stack in the
 * first case, and its report, which an exec that succeeds takes away from it. A pipe would say the
 * same for five more system calls and a descriptor for each program that runs.
 */
struct SpawnArea {
        _Alignas(16) unsigned char stack[SPAWN_STACK_SIZE];
        SpawnReport report;
};

/*
 * What a child works on. It may do so in our memory for as long as its exec takes, so that all of
 * this stays as it is until it has ended.
 */
struct SpawnJob {
        SpawnSettings settings; /* a copy, with all that a child needs of what it points to */
        const Spawner *spawner;
        SpawnArea *area;
        const char *search; /* the PATH in which argv[0] is looked for; NULL: it is a path */
        int cgroup;         /* the folder of that in which it begins; negative: of ours. Borrowed */
        int sign;           /* what its exec or its end closes; negative: nobody asks. Borrowed */
        bool same_user;     /* its user is who we are */
        bool of_unit;       /* systemd has an eye on what descends from it */
};

struct Spawn {
        ListLink link;    /* in running, or in in_units */
        Spawner *spawner; /* NULL once it has ended */
        pid_t pid;
        int pidfd;
        sd_event_source *source;
        SpawnFunction ended; /* NULL: nobody cares any more, and it frees itself */
        SpawnStarted started;
        int sign; /* the reading end of a pipe that ends with the child's exec, or with the child */
        sd_event_source *sign_source;
        void *userdata;
        SpawnJob *job;  /* NULL once its child has ended */
        Cgroup *cgroup; /* the same, or where we may make none */
        Unit *unit;     /* instead of a process; NULL once that has ended */
        char *unit_name;
        uint64_t begun;
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
        bool has_clone;    /* as far as we know */
        PidList strangers; /* children that we had before: not our business */
        /* The signals that this process ignores. Asking for all of them, each time, is a good part
         * of what a child has to do. */
        int ignored[_NSIG];
        size_t n_ignored;

        Cgroups *cgroups; /* NULL: we may make none */
        struct Bus *bus;  /* NULL: systemd is not here */
        Units *units;     /* NULL: the same, or it is not ours to ask */
        ListLink in_units;
        SpawnArea *spare_area;
        sd_event_source *soon;  /* a sweep in this turn of the loop */
        sd_event_source *timer; /* and the next one */
        uint64_t rest_kill_at; /* of what programs leave that ended since the last sweep; 0: none */
        uint64_t earliest_kill_at; /* of what the last sweep found; 0: nothing */
        Process *ending;           /* what the last sweep found, by pid */
        size_t n_ending;
};

uint64_t spawn_now(void);
Spawn *spawn_destroy(Spawn *p);
/* Where somebody asks when p is executed: what its child is to hold until then, else negative. The
 * caller closes his own when the child has it. 0 or -errno. */
int spawn_open_sign(Spawn *p, sd_event *event, SpawnStarted started, int *ret);

/* Programs in units: spawn-unit.c. */
int spawn_start_unit(Spawner *s, const SpawnSettings *settings, SpawnFunction ended, void *userdata,
                     Spawn **ret);
void spawn_forget_unit(Spawn *p);
/* All of them: the Spawner ends. */
void spawn_abandon_units(Spawner *s);

/* 0 or -errno. */
int spawn_job_new(Spawner *s, const SpawnSettings *settings, SpawnJob **ret);
/* What follows from a job's settings and from who we are. */
void spawn_job_settle(SpawnJob *job, bool search_path);
/* Its child has been reaped, or was never made: else it is left to it. NULL is fine. */
SpawnJob *spawn_job_free(SpawnJob *job, Spawner *s);
/* NULL is fine. */
SpawnArea *spawn_area_free(SpawnArea *a);
/* Makes the child that becomes the program. *ret_pidfd: -EBADF where it has yet to be opened. 0
 * or -errno. */
int spawn_job_start(SpawnJob *job, Spawner *s, pid_t *ret, int *ret_pidfd);
/* "cannot execute /no/such: No such file or directory"; NULL without memory. The caller frees. */
char *spawn_job_problem(const SpawnJob *job);

/* In the child: becomes the program that a SpawnJob says, or ends with a report. */
_Noreturn void spawn_child(void *job);

/* A program has ended: its processes that are left are now ours, and end too. */
void spawner_look_for_rest(Spawner *s, uint64_t kill_at);
void spawner_sweep_soon(Spawner *s);
