/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "base/ratelimit.h"
#include "config/config.h"
#include "daemon/activation.h"
#include "handlers/connection.h"

/*
 * One `[port]` or `[listen]`: its socket, once it can be had, and the connections that came by
 * it. A listener without a socket is tried again by its owner.
 */
typedef struct Listener Listener;
typedef struct ListenerOwner ListenerOwner;

/* What a listener asks of the agent. */
struct ListenerOwner {
        /* The agent is at `max-connections`, or out of descriptors: whether room was made for one
         * more, by closing the unprivileged connection that is idle longest on any port. */
        bool (*make_room)(void *userdata);
        /* A file descriptor kept in reserve, to turn a caller away when none is left. */
        int *spare_fd;
        /* The number of connections, or the state of a socket, has changed. */
        void (*changed)(void *userdata);
        const ConnectionContext *context;
        /* Sockets that were there before us. */
        Activation *activation;
        void *userdata;
};

struct Listener {
        ListLink link; /* in the agent's list */
        const ListenerOwner *owner;
        Config *config; /* a reference: keeps `settings` */
        const ListenSettings *settings;
        int fd; /* negative: not listening, `problem` says why */
        SocketKeeper keeper;
        char *store_name; /* KEEPER_STORE's, for activation_forget() */
        char *problem;
        sd_event_source *io;
        sd_event_source *resume; /* after a pause for want of room */
        bool waited;             /* for room, since the last connection was closed */
        ListLink connections;
        size_t n_connections;
        RateLimit refused_limit;
        RateLimit full_limit;
        bool told;          /* the problem as it is has been logged */
        bool without_vsock; /* the kernel has none: socket(2) would ask modprobe each time */
};

/* Not listening yet. 0 or -ENOMEM. */
int listener_new(const ListenerOwner *owner, Config *config, const ListenSettings *settings,
                 Listener **ret);

/* Opens the socket unless it is open: the one that was passed to us for this address, or a new
 * one. 0, or -errno with `problem` set; logs what is new. */
int listener_open(Listener *l);

/* Puts the open socket into the service manager's store, where there is one and nobody else holds
 * it. -EAGAIN: try again later; 0. */
int listener_store(Listener *l);

/* After a reload: the same address with other settings. The socket stays, connections that
 * `peers` now refuses are closed, the privilege of the others is judged anew. */
void listener_change(Listener *l, Config *config, const ListenSettings *settings);

/* Accepts no more, for the section is gone; the connections stay. */
void listener_close(Listener *l);

/* Accepts no more, for the agent ends; what others hold too stays for the next one. */
void listener_leave(Listener *l);

/* The connection that has been idle longest and is not privileged, or NULL. */
Connection *listener_longest_idle(const Listener *l, uint64_t *ret_since);
/* Closes it to make room. */
void listener_evict_connection(Connection *c);

/* Frees the listener with all its connections. */
Listener *listener_free(Listener *l);
DEFINE_CLEANUP(Listener, listener_free)
