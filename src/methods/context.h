/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "methods/attempts.h"
#include "proc/spawn.h"
#include "rpc/method.h"
#include "rpc/stats.h"

/* What the methods may know of the agent that runs them: the userdata of its method set. */
typedef struct AgentContext AgentContext;

struct AgentContext {
        sd_event *event;
        const Config *config; /* the one in force; changes on reload */
        Stats *stats;
        const MethodSet *methods; /* the ones in force; changes on reload */
        Spawner *spawner;
        struct Exec *exec;          /* methods/exec.h */
        uint64_t started;           /* CLOCK_MONOTONIC, microseconds */
        Attempts attempts;          /* of agent.authenticate, that failed */
        struct FilePool *file_pool; /* of file-process.c; NULL while there are no helpers */
        struct Order *clock_order;  /* of clock.c; NULL while nobody sets the clock */

        /*
         * Reads the configuration anew and applies it. 0; -EINVAL with the errors, and the old
         * one stays in force; -errno.
         */
        int (*reload)(void *agent, ConfigErrors *errors);
        /* No program of exec.* runs any more, and no job is kept; or NULL. */
        void (*exec_idle)(void *agent);
        void *agent;
};

/* The tables, each at the end of its file. */
extern const Method agent_methods[];        /* agent.*: agent.c */
extern const Method authenticate_methods[]; /* agent.challenge, agent.authenticate */
extern const Method file_methods[];         /* file.*: file.c */
extern const Method system_methods[];       /* system.info: system.c */
extern const Method power_methods[];        /* system.shutdown: power.c */
extern const Method clock_methods[];        /* system.set_time, system.set_timezone: clock.c */
extern const Method hostname_methods[];     /* system.set_hostname: hostname.c */
extern const Method network_methods[];      /* system.network: network.c */
extern const Method rpc_methods[];          /* rpc.discover, rpc.cancel: rpc.c */
extern const Method exec_methods[];         /* exec.*: exec.c */
