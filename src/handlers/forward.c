/* SPDX-License-Identifier: MIT */

/* `handler = forward`: a byte stream to another address, and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/ratelimit.h"
#include "handlers/connection.h"
#include "handlers/events.h"
#include "io/dial.h"
#include "io/pump.h"

typedef struct Forward Forward;

struct Forward {
        Connection *connection;
        int fd;     /* the peer's; not read, nor even waited for, until the target is connected */
        Dial *dial; /* first */
        Pump *pump; /* then */
        uint64_t begun;
        sd_event_source *cancel;
};

/* Targets that could not be reached, over all ports: who calls can call again at once. */
static RateLimit failures = { .interval = 10U * 1000U * 1000U, .burst = 5 };

static uint64_t forward_now(const Connection *c)
{
        uint64_t now = 0;

        (void)sd_event_now(c->context->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void forward_on_ended(Pump *p, int error, unsigned end, void *userdata)
{
        Forward *f = userdata;

        connection_closed(f->connection, error);
}

static void forward_log_failure(const Connection *c, const char *problem)
{
        LogFields fields = { 0 };
        unsigned held_back = 0;
        char more[64] = "";

        if (!ratelimit_pass(&failures, forward_now(c), &held_back))
                return;
        if (held_back > 0)
                (void)snprintf(more, sizeof(more), " (and %u such failures before)", held_back);
        connection_log_fields(c->settings, &c->peer, &fields);
        log_record(LOG_WARNING, EVENT_FORWARD_FAILED, &fields, "%s: %s: not forwarded: %s%s",
                   c->settings->section, c->peer.text, problem, more);
}

/* No pump came of it. The caller is reset, where it can be: an end would say that all is well. */
static void forward_fail(Forward *f, int error)
{
        pump_reset_on_close(f->fd);
        connection_closed(f->connection, error);
}

static void forward_on_dialled(Dial *d, int dialled, const char *problem, void *userdata)
{
        _cleanup_close_ int fd = dialled;
        Forward *f = userdata;
        Connection *c = f->connection;
        Stats *stats = c->context->stats;
        PumpSettings settings = {
                .idle_timeout = c->settings->idle_timeout,
                .counters = { &stats->bytes_received, &stats->bytes_sent },
        };
        int r;

        if (dialled < 0) {
                forward_log_failure(c, problem);
                forward_fail(f, dialled);
                return;
        }
        f->dial = dial_free(f->dial);
        r = pump_new(c->context->event, (PumpEnd[]){ { f->fd, f->fd }, { fd, fd } }, &settings,
                     forward_on_ended, f, &f->pump);
        if (r < 0) {
                forward_fail(f, r);
                return;
        }
        (void)TAKE_FD(f->fd);
        (void)TAKE_FD(fd);
}

static int forward_open(Connection *c, int fd, void **ret_state)
{
        Forward *f;
        int r;

        f = malloc(sizeof(*f));
        if (!f)
                return -ENOMEM;
        *f = (Forward){
                .connection = c,
                .fd = -EBADF,
                .begun = forward_now(c),
        };
        /* No privileged source port: whoever is forwarded has not shown any privilege there. */
        r = dial_start(c->context->event, &c->settings->to, 0, c->settings->connect_timeout,
                       forward_on_dialled, f, &f->dial);
        if (r < 0) {
                free(f);
                return r;
        }
        f->fd = fd;
        *ret_state = f;
        return 0;
}

/* What was begun goes on as it was begun; `to` and the times are for those who come. */
static void forward_changed(Connection *c, void *state)
{
}

/* A stream is done when its ends say so, and has until shutdown-timeout for that. */
static void forward_stop(Connection *c, void *state)
{
}

static int forward_on_cancel(sd_event_source *source, void *userdata)
{
        Forward *f = userdata;

        connection_closed(f->connection, -ECANCELED);
        return 0;
}

static void forward_cancel(Connection *c, void *state)
{
        Forward *f = state;

        if (!f->cancel)
                (void)sd_event_add_defer(c->context->event, &f->cancel, forward_on_cancel, f);
}

/* Never busy: a silent stranger may have to make room. */
static uint64_t forward_idle_since(const Connection *c, const void *state)
{
        const Forward *f = state;

        return f->pump ? pump_last_active(f->pump) : f->begun;
}

static void forward_close(Connection *c, void *state)
{
        Forward *f = state;

        sd_event_source_disable_unref(f->cancel);
        (void)dial_free(f->dial);
        (void)pump_free(f->pump);
        fd_close(f->fd);
        free(f);
}

const Handler handler_forward = {
        .guards_connection = true,
        .open = forward_open,
        .changed = forward_changed,
        .stop = forward_stop,
        .cancel = forward_cancel,
        .idle_since = forward_idle_since,
        .close = forward_close,
};
