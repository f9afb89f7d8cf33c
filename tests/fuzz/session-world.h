/* SPDX-License-Identifier: MIT */
#pragma once

/* A session with methods of the fuzzer's own, at the other end of a socket pair. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/context.h"
#include "rpc/scan.h"
#include "rpc/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct World World;

struct World {
        AgentContext context; /* first: what rpc.discover takes its userdata for */
        sd_event *event;
        MethodSet *methods;
        Session *session; /* NULL once it has ended */
        Stats stats;
        int fd;    /* its peer's end */
        Scan scan; /* of what it sends */
        char *globs[2], *blocked[2];
};

static inline void check(int condition, const char *what)
{
        if (!condition) {
                fprintf(stderr, "%s\n", what);
                abort();
        }
}

static inline void on_ended(Session *s, int error, void *userdata)
{
        World *w = userdata;

        w->session = session_free(s);
}

static inline void on_privileged_call(Session *s, const CallRecord *record, void *userdata)
{
}

/* w is empty, and what the methods get. */
static inline void world_init(World *w, const Method *methods)
{
        static const SessionOwner owner = {
                .ended = on_ended,
                .privileged_call = on_privileged_call,
        };
        static const ScanKeys keys = { .params = SCAN_KEYS_MAX };
        static const ScanLimits limits = { 1U << 30, 1U << 24, SCAN_DEPTH_MAX };
        static char all[] = "*", some[] = "x*";
        const SessionSettings settings = {
                .max_message = 512,
                .max_values = 64,
                .max_calls = 4,
                .message_timeout = TEXT_INFINITY,
                .policy = { .methods = w->globs, .block_methods = w->blocked },
        };
        const Peer peer = { .kind = PEER_UNIX, .text = "fuzz" };
        int pair[2];

        w->globs[0] = all;
        w->blocked[0] = some;
        check(sd_event_new(&w->event) >= 0, "no event loop");
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0,
              "no socket pair");
        check(method_set_new(w, &w->methods) == 0 && method_set_add(w->methods, methods) == 0 &&
                      method_set_add(w->methods, rpc_methods) == 0,
              "no methods");
        check(session_new(w->event, pair[0], &peer, w->methods, &w->stats, &settings, &owner, w,
                          &w->session) == 0,
              "no session");
        w->context.methods = w->methods;
        w->fd = pair[1];
        scan_init(&w->scan, &keys, &limits);
}

static inline void world_done(World *w)
{
        check(w->stats.calls_running == 0, "a call was not ended");
        fd_close(w->fd);
        scan_done(&w->scan);
        (void)method_set_unref(w->methods);
        sd_event_unref(w->event);
}
