/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "config/config.h"

/*
 * Programs, and the trees of processes that they become. The only place that forks. One Spawner
 * serves the process: it is the subreaper of all that it has started, as each program is of its
 * own descendants, so that a child which called setsid(), or whose parent has died, still belongs
 * to its program and ends with it.
 */
typedef struct Spawner Spawner;
typedef struct Spawn Spawn;
typedef struct SpawnSettings SpawnSettings;
typedef struct SpawnEnd SpawnEnd;

/* Makes this process a subreaper. Children that it has already are left alone; from now on every
 * child is a program of this, or what one has left. What this process ignores of signals it must
 * ignore by now. 0 or -errno. */
int spawner_new(sd_event *event, Spawner **ret);
/* Kills (SIGKILL) every tree that is left, and reaps. No function is called any more. */
Spawner *spawner_free(Spawner *s);
DEFINE_CLEANUP(Spawner, spawner_free)
/* The way to systemd that it has and others may share, or NULL where that is not here: proc/bus.h.
 */
struct Bus *spawner_bus(const Spawner *s);
/* How many programs, and how many processes of ended programs, are still there. */
size_t spawner_count(const Spawner *s);

/*
 * The program has been executed. Never called from within spawn_start(); nor where only the end is
 * told: of what could not be executed, or was stopped before it was seen to be.
 */
typedef void (*SpawnStarted)(Spawn *p, void *userdata);

/* What to run; borrowed for the call of spawn_start() alone. */
struct SpawnSettings {
        char *const *argv;        /* argv[0] is an absolute path */
        char *const *environment; /* the whole of it, NAME=VALUE; NULL: none */
        bool search_path;         /* an argv[0] without a slash is looked for in the environment's
                                   * PATH, as the user; else it is absolute */
        const char *directory;    /* absolute */
        bool directory_optional;  /* where it cannot be entered, / will do: a home that is not there
                                   */
        bool change_user;         /* to what follows; else the credentials stay as they are */
        uid_t uid;
        gid_t gid;
        const gid_t *groups;
        size_t n_groups;
        /* Standard input, output and error, borrowed; negative: /dev/null. They may be one
         * and the same. Nothing else is inherited. O_NONBLOCK is the caller's to clear. */
        int fds[3];
        bool terminal;         /* fds are a terminal's: it becomes the controlling one */
        uint64_t kill_timeout; /* microseconds from TERM to KILL */
        ProgramScope scope;
        ProgramLimits limits;
        SpawnStarted started; /* NULL: nobody asks, which saves its start a pipe */
        const char *identity; /* "exec", "backup.start", "port-22": names the cgroup or unit */
        /* Of a unit, NAME=VALUE, NULL-terminated, or NULL; later ones win. */
        char *const *common_properties; /* of [agent] */
        char *const *properties;
};

typedef enum SpawnOutcome {
        SPAWN_FAILED,   /* it could not be started: error, and what failed */
        SPAWN_EXITED,   /* status: exit status */
        SPAWN_SIGNALED, /* status: the signal */
} SpawnOutcome;

struct SpawnEnd {
        SpawnOutcome outcome;
        int status;
        int error;            /* errno, positive */
        const char *problem;  /* "cannot execute /no/such: No such file or directory"; else NULL */
        uint64_t duration;    /* microseconds */
        uint64_t cpu;         /* microseconds, of all that it was; UINT64_MAX: not known */
        uint64_t memory_peak; /* bytes; UINT64_MAX: not known */
};

/*
 * The program itself has ended, or could not be started. Called once, never from within
 * spawn_start(). What is left of its tree is being ended: TERM, then KILL. The Spawn may be
 * freed within.
 */
typedef void (*SpawnFunction)(Spawn *p, const SpawnEnd *end, void *userdata);

/* What SCOPE_AUTO means here: SCOPE_UNIT or SCOPE_AGENT. */
ProgramScope spawner_scope(const Spawner *s, ProgramScope asked);

/* The path of our own binary, also where another has been installed in its place. 0 or -errno. */
int spawn_own_path(char *ret, size_t size);

/* Starts a program without waiting for its exec. 0, or -errno where not even a child was made;
 * -EOPNOTSUPP where limits, properties or the unit's scope are asked for and cannot be had. */
int spawn_start(Spawner *s, const SpawnSettings *settings, SpawnFunction ended, void *userdata,
                Spawn **ret);
/* Of a unit, 0 until it has started. */
pid_t spawn_pid(const Spawn *p);
/* "guestwire-exec-12.service", or NULL in the agent's own scope. Borrowed. */
const char *spawn_unit(const Spawn *p);
/* Sends a signal to the program itself. 0; -ESRCH where it has ended (or not begun); -errno. */
int spawn_signal(Spawn *p, int number);

/* Ends the whole tree: TERM, and after kill-timeout KILL. `ended` is still called. */
void spawn_stop(Spawn *p);

/* Forgets the program: `ended` is not called. A tree that is still there is ended as by
 * spawn_stop(), by the Spawner. NULL is fine. */
Spawn *spawn_free(Spawn *p);
DEFINE_CLEANUP(Spawn, spawn_free)
