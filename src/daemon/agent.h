/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "config/config.h"
#include "daemon/activation.h"
#include "daemon/listener.h"
#include "handlers/connection.h"
#include "methods/context.h"
#include "methods/local.h"
#include "proc/spawn.h"
#include "rpc/method.h"
#include "rpc/stats.h"

/* The daemon: wiring and lifetime. */
typedef struct Agent Agent;

struct Agent {
        sd_event *event;
        const char *config_file; /* NULL: the installed configuration */
        int log_level;           /* of the command line; negative: the configuration's */
        Config *config;
        MethodSet *methods;  /* the rows in force */
        LocalMethods *local; /* those of them that the configuration made */
        Spawner *spawner;
        Stats stats;
        AgentContext context;
        ConnectionContext connection_context;
        ListenerOwner listener_owner;
        ListLink listeners;
        ListLink orphans; /* listeners that a reload has removed, while connections are left */
        int spare_fd;
        bool no_transport; /* vsock is there, but nothing that carries it */
        bool stopping;
        sd_event_source *retry;
        sd_event_source *stop_timer;
        sd_event_source *newcomer_timer;
        sd_event_source *sweep;
        Activation *activation;

        /* of idle.c */
        sd_event_source *idle_timer;
        uint64_t idle_limit; /* that it was set for */
        char *idle_obstacle; /* why there is none, as it was said; or NULL */

        /* of status.c */
        sd_event_source *status_timer;
        bool status_soon;
        bool ready_due; /* READY=1 has not been sent yet */
        char *status_sent;
};

/* config is shared; config_file (borrowed) is what a reload reads. 0 or -errno. */
int agent_new(const char *config_file, int log_level, Config *config, Agent **ret);

/* Listens, says READY=1, and serves until it is told to stop. 0 or -errno. */
int agent_run(Agent *a);

/* Accepts no more, and ends when what runs has ended, or after `shutdown-timeout`; told twice, at
 * once. */
void agent_stop(Agent *a);

Agent *agent_free(Agent *a);
DEFINE_CLEANUP(Agent, agent_free)
