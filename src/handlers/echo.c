/* SPDX-License-Identifier: MIT */

/* `handler = echo`: each read is answered with `prefix` and the bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"
#include "handlers/connection.h"

/* Answers in one turn, so that one busy peer leaves the loop to the others. */
#define TURN_READS 16U
/* How long a peer may go on sending after the last answer: closing at once would reset the
 * connection, and the answer might be lost with it. */
#define LINGER_USEC (1000U * 1000U)
#define TIMER_ACCURACY_USEC (20U * 1000U)

typedef struct Echo Echo;

struct Echo {
        Connection *connection;
        int fd;
        sd_event_source *io;
        sd_event_source *again;
        sd_event_source *timer;
        uint64_t timer_at; /* UINT64_MAX: off */
        uint64_t last_active;
        uint64_t linger_by; /* 0: not yet */
        Buffer out;         /* answers that are not taken yet; nothing is read meanwhile */
        bool readable : 1;
        bool writable : 1;
        bool waits_to_write : 1;
        bool ended : 1;     /* no more input */
        bool finishing : 1; /* no more answers */
        bool gone : 1;
        int error;
};

/* One buffer serves all: there is one thread, and each answer is made at once. */
static char scratch[64U * 1024U];

static uint64_t echo_now(const Echo *e)
{
        uint64_t now = 0;

        (void)sd_event_now(e->connection->context->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void echo_set_gone(Echo *e, int error)
{
        if (e->gone)
                return;
        e->gone = true;
        e->error = error;
}

static void echo_flush(Echo *e)
{
        while (e->out.size > 0 && e->writable && !e->gone) {
                ssize_t n;

                n = send(e->fd, buffer_peek(&e->out), e->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n >= 0) {
                        e->connection->context->stats->bytes_sent += (uint64_t)n;
                        e->last_active = echo_now(e);
                        buffer_consume(&e->out, (size_t)n);
                } else if (errno == EAGAIN) {
                        e->writable = false;
                } else if (errno != EINTR) {
                        echo_set_gone(e, -errno);
                }
        }
}

static void echo_answer(Echo *e, const char *data, size_t n)
{
        const ListenSettings *settings = e->connection->settings;
        size_t n_prefix = settings->prefix ? strlen(settings->prefix) : 0;
        char *p;

        /* As one, so that it arrives as one where there is room for it. */
        p = buffer_reserve(&e->out, n_prefix + n);
        if (!p) {
                echo_set_gone(e, -ENOMEM);
                return;
        }
        if (n_prefix > 0)
                memcpy(p, settings->prefix, n_prefix);
        memcpy(p + n_prefix, data, n);
        buffer_commit(&e->out, n_prefix + n);
        if (settings->once)
                e->finishing = true;
        echo_flush(e);
}

static void echo_read(Echo *e)
{
        ssize_t n;

        n = recv(e->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
        if (n > 0) {
                e->connection->context->stats->bytes_received += (uint64_t)n;
                e->last_active = echo_now(e);
                if (!e->finishing)
                        echo_answer(e, scratch, (size_t)n);
        } else if (n == 0) {
                e->ended = true;
        } else if (errno == EAGAIN) {
                e->readable = false;
        } else if (errno != EINTR) {
                echo_set_gone(e, -errno);
        }
}

static bool echo_can_read(const Echo *e)
{
        return e->readable && !e->ended && !e->gone && e->out.size == 0;
}

/* All answers are out: says that none follows, and lets the peer come to its end. */
static bool echo_is_over(Echo *e)
{
        if (e->gone)
                return true;
        if (e->out.size > 0)
                return false;
        if (e->ended)
                return true;
        if (!e->finishing)
                return false;
        if (e->linger_by == 0) {
                e->linger_by = echo_now(e) + LINGER_USEC;
                if (shutdown(e->fd, SHUT_WR) < 0)
                        return true;
        }
        return echo_now(e) >= e->linger_by;
}

static int echo_on_again(sd_event_source *source, void *userdata);
static int echo_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static int echo_wake(Echo *e)
{
        if (!e->again)
                return sd_event_add_defer(e->connection->context->event, &e->again, echo_on_again,
                                          e);
        return sd_event_source_set_enabled(e->again, SD_EVENT_ONESHOT);
}

/* Arms the timer, unless it fires early enough already: then it looks again by itself. */
static int echo_arm_timer(Echo *e)
{
        uint64_t idle = e->connection->settings->idle_timeout, next = UINT64_MAX;
        int r;

        if (idle > 0 && idle != TEXT_INFINITY)
                next = e->last_active + idle;
        if (e->linger_by > 0)
                next = MIN_OF(next, e->linger_by);
        if (next >= e->timer_at)
                return 0;
        if (!e->timer) {
                r = sd_event_add_time(e->connection->context->event, &e->timer, CLOCK_MONOTONIC,
                                      next, TIMER_ACCURACY_USEC, echo_on_timer, e);
        } else {
                r = sd_event_source_set_time(e->timer, next);
                if (r >= 0)
                        r = sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
        }
        if (r >= 0)
                e->timer_at = next;
        return r;
}

static int echo_wait(Echo *e)
{
        bool wants = e->out.size > 0;
        int r = 0;

        if (wants != e->waits_to_write) {
                r = sd_event_source_set_io_events(e->io,
                                                  EPOLLIN | EPOLLET | (wants ? EPOLLOUT : 0));
                e->waits_to_write = wants;
        }
        if (r >= 0 && echo_can_read(e))
                r = echo_wake(e);
        if (r >= 0)
                r = echo_arm_timer(e);
        return r;
}

/* The end of each turn. May free e. */
static void echo_settle(Echo *e)
{
        if (!echo_is_over(e)) {
                int r = echo_wait(e);

                if (r < 0)
                        echo_set_gone(e, r);
        }
        if (!echo_is_over(e))
                return;
        e->io = sd_event_source_disable_unref(e->io);
        e->again = sd_event_source_disable_unref(e->again);
        e->timer = sd_event_source_disable_unref(e->timer);
        connection_closed(e->connection, e->error);
}

static void echo_turn(Echo *e)
{
        echo_flush(e);
        for (unsigned i = 0; i < TURN_READS && echo_can_read(e); i++)
                echo_read(e);
        echo_settle(e);
}

static int echo_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Echo *e = userdata;

        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                e->readable = true;
        /* Whatever it says: a vsock peer who has left with answers unread leaves no room to
         * write, so that only trying tells. */
        e->writable = true;
        echo_turn(e);
        return 0;
}

static int echo_on_again(sd_event_source *source, void *userdata)
{
        echo_turn(userdata);
        return 0;
}

static int echo_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Echo *e = userdata;
        uint64_t idle = e->connection->settings->idle_timeout;

        e->timer_at = UINT64_MAX;
        if (idle > 0 && idle != TEXT_INFINITY && echo_now(e) - e->last_active >= idle)
                echo_set_gone(e, -ETIMEDOUT);
        echo_settle(e);
        return 0;
}

static void echo_close(Connection *c, void *state)
{
        Echo *e = state;

        sd_event_source_disable_unref(e->io);
        sd_event_source_disable_unref(e->again);
        sd_event_source_disable_unref(e->timer);
        buffer_done(&e->out);
        fd_close(e->fd);
        free(e);
}

static int echo_open(Connection *c, int fd, void **ret_state)
{
        Echo *e;
        int r;

        e = malloc(sizeof(*e));
        if (!e)
                return -ENOMEM;
        *e = (Echo){
                .connection = c,
                .fd = -EBADF,
                .timer_at = UINT64_MAX,
                .writable = true,
        };
        e->last_active = echo_now(e);
        r = sd_event_add_io(c->context->event, &e->io, fd, EPOLLIN | EPOLLET, echo_on_io, e);
        if (r >= 0)
                r = echo_arm_timer(e);
        if (r < 0) {
                echo_close(c, e);
                return r;
        }
        e->fd = fd;
        *ret_state = e;
        return 0;
}

/* Where there is not even memory for the next turn there is none to be had for a good end. */
static void echo_wake_or_close(Echo *e)
{
        if (echo_wake(e) < 0)
                (void)shutdown(e->fd, SHUT_RDWR);
}

/* `prefix` and `once` are looked at for each answer, `idle-timeout` by the next turn. */
static void echo_changed(Connection *c, void *state)
{
        echo_wake_or_close(state);
}

static void echo_stop(Connection *c, void *state)
{
        Echo *e = state;

        e->finishing = true;
        echo_wake_or_close(e);
}

static void echo_cancel(Connection *c, void *state)
{
        Echo *e = state;

        echo_set_gone(e, -ECANCELED);
        echo_wake_or_close(e);
}

static uint64_t echo_idle_since(const Connection *c, const void *state)
{
        const Echo *e = state;

        return e->last_active;
}

const Handler handler_echo = {
        .guards_connection = true,
        .open = echo_open,
        .changed = echo_changed,
        .stop = echo_stop,
        .cancel = echo_cancel,
        .idle_since = echo_idle_since,
        .close = echo_close,
};
