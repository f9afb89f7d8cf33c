/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "rpc/call.h"

/*
 * What a port does with an accepted connection: one vtable each. The daemon knows handlers
 * only through it.
 */
typedef struct Handler Handler;
typedef struct Connection Connection;

struct Handler {
        /* It has no methods to guard: `trust` guards the connection itself. */
        bool guards_connection;
        /* Takes the connected, non-blocking fd over on success. The state is the handler's own.
         * 0 or -errno. When the conversation is over the handler calls connection_closed(). */
        int (*open)(Connection *c, int fd, void **ret_state);
        /* The connection's settings or its privilege have changed. */
        void (*changed)(Connection *c, void *state);
        /* The daemon stops: take nothing new, end when what runs is done. */
        void (*stop)(Connection *c, void *state);
        /* The time for that is over: end what runs. */
        void (*cancel)(Connection *c, void *state);
        /* CLOCK_MONOTONIC of the last byte either way; UINT64_MAX while something runs. */
        uint64_t (*idle_since)(const Connection *c, const void *state);
        /* Closes the fd and frees the state. */
        void (*close)(Connection *c, void *state);
};

extern const Handler handler_echo;
extern const Handler handler_exec;
extern const Handler handler_forward;
extern const Handler handler_rpc;

/* The vtable of a kind; never NULL for a kind below HANDLER_KIND_MAX. */
const Handler *handler_get(HandlerKind kind);
