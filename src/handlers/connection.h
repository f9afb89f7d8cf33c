/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "base/log.h"
#include "config/config.h"
#include "handlers/handler.h"
#include "io/peer.h"
#include "proc/spawn.h"
#include "rpc/method.h"
#include "rpc/stats.h"

/* What all connections share. Outlives them. */
typedef struct ConnectionContext ConnectionContext;
typedef struct Connection Connection;

struct ConnectionContext {
        sd_event *event;
        Stats *stats;
        MethodSet *methods; /* the ones in force; changes on reload */
        Spawner *spawner;
};

/* An accepted connection of a peer that `peers` has let in, and the handler that owns it. */
struct Connection {
        ListLink link; /* in its owner's list */
        const ConnectionContext *context;
        Config *config; /* a reference: keeps `settings` */
        const ListenSettings *settings;
        Peer peer;
        bool root;          /* it has shown to be, where anything hangs on that: peer_is_root() */
        bool authenticated; /* by the token, since `trust` and the token are what they are */
        bool privileged;    /* by the port's `trust` */
        bool orphaned;      /* its port, as it was, is gone */
        bool stopped;
        uint64_t accepted; /* when, on CLOCK_MONOTONIC: its owner says so */

        /* Called at the conversation's end, never from within a function of this header; the
         * owner frees the connection. */
        void (*closed)(Connection *c, void *userdata);
        void *userdata;

        const Handler *handler;
        void *state;
};

/* fd is taken over in any case. 0; -EPERM where `trust` guards the connection and the peer is not
 * privileged; -errno. */
int connection_new(const ConnectionContext *context, int fd, const Peer *peer, Config *config,
                   const ListenSettings *settings, void (*closed)(Connection *, void *),
                   void *userdata, Connection **ret);

/* After a reload: other settings of the same port; privilege is judged anew. False where the
 * connection may no longer be: the caller frees it. */
bool connection_change(Connection *c, Config *config, const ListenSettings *settings);
/* The peer has proved the token: privilege is judged anew. */
void connection_authenticate(Connection *c);
/* Its port goes, and it may stay to finish what it began: nothing watches over what is proved
 * there any more. */
void connection_orphan(Connection *c);
void connection_stop(Connection *c);
void connection_cancel(Connection *c);
/* Whether it may be closed for another's sake, once idle: its peer has not shown that it is root.
 * Where a handler guards connections `trust` has let everybody in who is here, and says nothing of
 * that. */
bool connection_may_be_evicted(const Connection *c);
uint64_t connection_idle_since(const Connection *c);

/* For handlers: the conversation is over. error: 0 or -errno. The connection may be freed. */
void connection_closed(Connection *c, int error);

/* The journal fields that name the port and the peer. */
void connection_log_fields(const ListenSettings *settings, const Peer *peer, LogFields *fields);

Connection *connection_free(Connection *c);
DEFINE_CLEANUP(Connection, connection_free)
