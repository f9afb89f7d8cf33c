/* SPDX-License-Identifier: MIT */
#include "io/pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/way.h"

/* How often a vsock peer that has ended its input is asked whether it is still there. */
#define PROBE_USEC (1000U * 1000U)
/* How long a TCP peer may go on sending once nobody takes it: closing at once would reset the
 * connection, and what was just delivered might be lost with it. */
#define LINGER_USEC (1000U * 1000U)
/* How often a TCP peer that is to be reset is looked at, for it to have received what it was sent.
 * No event tells, and acknowledgements may be held back for 40 ms. */
#define RESET_USEC (10U * 1000U)
#define TIMER_ACCURACY_USEC (20U * 1000U)

typedef struct PumpSide PumpSide;

/* An end, the way from it and the way to it. */
struct PumpSide {
        Pump *pump;
        PumpEnd end;
        int family; /* of a socket that is both in and out, else -1 */
        Way *from;
        Way *to;
        sd_event_source *in_source;  /* NULL where it cannot be waited for: it is always ready */
        sd_event_source *out_source; /* the same as in_source for a socket */
        bool waits_to_write;         /* out_source asks for EPOLLOUT */
        bool in_vain;                /* and it said so when there was nothing to write */
        bool passed;                 /* the end of input was passed on to it */
        bool hung_up;
        bool reset;        /* to be, when it is closed */
        uint64_t reset_by; /* 0: it is not waited for what it was sent to arrive */
};

struct Pump {
        sd_event *event;
        PumpSide sides[2];
        Way ways[2]; /* ways[i]: from sides[i] */
        bool end_with[2];
        bool end_without[2];
        uint64_t idle_timeout;
        PumpFunction ended;
        void *userdata;

        uint64_t last_active;
        uint64_t probe_at;  /* 0: not waiting */
        uint64_t linger_by; /* 0: not waiting */
        uint64_t timer_at;  /* when the timer fires; UINT64_MAX: off */
        bool timed_out;
        int error; /* of the machinery itself */
        sd_event_source *timer;
        sd_event_source *again; /* there is more to do without an event */
};

static uint64_t pump_now(const Pump *p)
{
        uint64_t now = 0;

        (void)sd_event_now(p->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void pump_break(Pump *p, int error)
{
        if (p->error == 0)
                p->error = error;
}

/* Whether someone who has ended his input may have left for good without a sign of it. Half and
 * full close of a vsock peer poll alike. */
static bool side_needs_probe(const PumpSide *s)
{
        return s->family == AF_VSOCK && s->from->ended && !s->to->drops && !way_is_over(s->to);
}

static void side_probe(PumpSide *s)
{
        if (send(s->end.out, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
            errno != EINTR)
                way_fail(s->to, 0);
}

/* Of a socket; else -1. */
static int socket_family(int fd)
{
        socklen_t length = sizeof(int);
        int family;

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0)
                return -1;
        return family;
}

static bool family_is_tcp(int family)
{
        return family == AF_INET || family == AF_INET6;
}

static bool side_is_tcp(const PumpSide *s)
{
        return family_is_tcp(s->family);
}

void pump_reset_on_close(int fd)
{
        const struct linger at_once = { .l_onoff = 1 };

        if (family_is_tcp(socket_family(fd)))
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/*
 * What it sent has come to an end by a failure. send(2) takes a reset's error away, so that
 * recv(2) tells of an end like any other; EPIPE alone says nothing of what it sends.
 */
static bool side_broke(const PumpSide *s)
{
        return s->from->read_error < 0 ||
               (s->family >= 0 && s->to->write_error < 0 && s->to->write_error != -EPIPE);
}

/* What was read for s is all written and is not all that there should be: an end would say that
 * it is. */
static bool side_is_cut_off(const PumpSide *s)
{
        const PumpSide *other = &s->pump->sides[s == s->pump->sides];

        return side_is_tcp(s) && !s->to->failed && side_broke(other);
}

/* Whether s has yet to receive what it was sent, which a reset would take back. Resets it, or has
 * it reset when it is closed, once it has. */
static bool side_wait_to_reset(PumpSide *s)
{
        uint64_t now = pump_now(s->pump);
        int queued;

        if (ioctl(s->end.out, SIOCOUTQ, &queued) < 0)
                return false;
        if (queued == 0) {
                pump_reset_on_close(s->end.out);
                s->reset = true;
                return false;
        }
        if (s->reset_by == 0)
                s->reset_by = now + LINGER_USEC;
        return now < s->reset_by;
}

/* What came from the other end is all written: say that nothing follows. */
static void side_pass_end(PumpSide *s)
{
        s->passed = true;
        if (s->to->failed || s->reset || s->end.out < 0)
                return;
        if (s->end.out == s->end.in) {
                (void)shutdown(s->end.out, SHUT_WR);
                return;
        }
        s->out_source = sd_event_source_disable_unref(s->out_source);
        s->end.out = fd_close(s->end.out);
        s->to->to = -EBADF;
}

/* A failure of one direction is the end's, which then has no use for the other either. */
static void side_settle(PumpSide *s)
{
        if (s->from->read_error < 0 && !s->to->failed)
                way_fail(s->to, 0);
        if (!way_is_over(s->to) || s->passed)
                return;
        if (!side_is_cut_off(s) || !side_wait_to_reset(s))
                side_pass_end(s);
}

static bool side_waits_to_reset(const PumpSide *s)
{
        return s->reset_by > 0 && !s->passed;
}

/*
 * Asks for EPOLLOUT once something waits, and goes on asking while that is of use: a Unix socket
 * says it each time that its peer has read something.
 */
static void side_wait(PumpSide *s)
{
        bool wants = s->waits_to_write;
        int r;

        if (!s->out_source)
                return;
        if (s->to->size > 0 && !s->to->writable)
                wants = true;
        else if (s->in_vain)
                wants = false;
        s->in_vain = false;
        if (wants == s->waits_to_write)
                return;
        r = sd_event_source_set_io_events(s->out_source,
                                          EPOLLET | (s->out_source == s->in_source ? EPOLLIN : 0) |
                                                  (wants ? EPOLLOUT : 0));
        if (r < 0)
                pump_break(s->pump, r);
        s->waits_to_write = wants;
}

/* Whether the pump has nothing left to do. May begin to linger. */
static bool pump_is_over(Pump *p)
{
        bool over[2] = { way_is_over(&p->ways[0]), way_is_over(&p->ways[1]) };

        if (p->error < 0 || p->timed_out || p->sides[0].reset || p->sides[1].reset)
                return true;
        if (side_waits_to_reset(&p->sides[0]) || side_waits_to_reset(&p->sides[1]))
                return false;
        if (over[0] && over[1])
                return true;
        for (unsigned i = 0; i < 2; i++) {
                const Way *other = &p->ways[1 - i];

                if (over[i] && p->end_with[i])
                        return true;
                /* Not for a failure of its input, all of which may not be passed on yet. */
                if (p->end_without[i] && other->write_error < 0 && p->ways[i].read_error == 0)
                        return true;
                if (!other->failed || !(over[i] || p->ways[i].failed))
                        continue;
                /* Only the sender of what nobody takes is left. */
                if (!side_is_tcp(&p->sides[1 - i]) || p->sides[1 - i].hung_up || !over[i])
                        return true;
                if (p->linger_by == 0)
                        p->linger_by = pump_now(p) + LINGER_USEC;
                return pump_now(p) >= p->linger_by;
        }
        return false;
}

static uint64_t pump_next_deadline(Pump *p)
{
        uint64_t next = UINT64_MAX;

        if (p->idle_timeout > 0 && p->idle_timeout != TEXT_INFINITY)
                next = p->last_active + p->idle_timeout;
        if (p->linger_by > 0)
                next = MIN_OF(next, p->linger_by);
        if (side_waits_to_reset(&p->sides[0]) || side_waits_to_reset(&p->sides[1]))
                next = MIN_OF(next, pump_now(p) + RESET_USEC);
        if (side_needs_probe(&p->sides[0]) || side_needs_probe(&p->sides[1])) {
                if (p->probe_at == 0)
                        p->probe_at = pump_now(p) + PROBE_USEC;
                next = MIN_OF(next, p->probe_at);
        }
        return next;
}

static int pump_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Unless it fires early enough already: then it looks again by itself, and a busy pump makes no
 * system call for it. */
static void pump_arm_timer(Pump *p)
{
        uint64_t next = pump_next_deadline(p);
        int r;

        if (next >= p->timer_at)
                return;
        if (!p->timer) {
                r = sd_event_add_time(p->event, &p->timer, CLOCK_MONOTONIC, next,
                                      TIMER_ACCURACY_USEC, pump_on_timer, p);
        } else {
                r = sd_event_source_set_time(p->timer, next);
                if (r >= 0)
                        r = sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                pump_break(p, r);
        else
                p->timer_at = next;
}

static int pump_on_again(sd_event_source *source, void *userdata);

static void pump_go_on(Pump *p)
{
        int r;

        if (!p->again)
                r = sd_event_add_defer(p->event, &p->again, pump_on_again, p);
        else
                r = sd_event_source_set_enabled(p->again, SD_EVENT_ONESHOT);
        if (r < 0)
                pump_break(p, r);
}

static void side_unwatch(PumpSide *s)
{
        if (s->out_source != s->in_source)
                sd_event_source_disable_unref(s->out_source);
        s->out_source = NULL;
        s->in_source = sd_event_source_disable_unref(s->in_source);
}

/* The error that is told, and of which end it is. */
static int pump_error(const Pump *p, unsigned *ret_end)
{
        *ret_end = 0;
        if (p->error < 0)
                return p->error;
        for (unsigned i = 0; i < 2; i++)
                if (p->ways[i].read_error < 0) {
                        *ret_end = i;
                        return p->ways[i].read_error;
                }
        for (unsigned i = 0; i < 2; i++)
                if (p->ways[i].write_error < 0) {
                        *ret_end = 1 - i;
                        return p->ways[i].write_error;
                }
        return p->timed_out ? -ETIMEDOUT : 0;
}

static void pump_end(Pump *p)
{
        unsigned end;
        int error;

        for (unsigned i = 0; i < 2; i++)
                side_unwatch(&p->sides[i]);
        p->timer = sd_event_source_disable_unref(p->timer);
        p->again = sd_event_source_disable_unref(p->again);
        error = pump_error(p, &end);
        p->ended(p, error, end, p->userdata);
}

/* What is next, after each turn. May free p. */
static void pump_settle(Pump *p)
{
        for (unsigned i = 0; i < 2; i++)
                side_settle(&p->sides[i]);
        if (p->ways[0].moved || p->ways[1].moved) {
                p->ways[0].moved = p->ways[1].moved = false;
                p->last_active = pump_now(p);
        }
        if (!pump_is_over(p)) {
                for (unsigned i = 0; i < 2; i++) {
                        way_rest(&p->ways[i]);
                        side_wait(&p->sides[i]);
                }
                if (way_is_ready(&p->ways[0]) || way_is_ready(&p->ways[1]))
                        pump_go_on(p);
                pump_arm_timer(p);
        }
        if (pump_is_over(p))
                pump_end(p);
}

static void pump_turn(Pump *p)
{
        for (unsigned i = 0; i < 2; i++)
                way_turn(&p->ways[i]);
        pump_settle(p);
}

static int pump_on_again(sd_event_source *source, void *userdata)
{
        pump_turn(userdata);
        return 0;
}

static int pump_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Pump *p = userdata;
        uint64_t now = pump_now(p);

        p->timer_at = UINT64_MAX;
        if (p->idle_timeout > 0 && p->idle_timeout != TEXT_INFINITY &&
            now - p->last_active >= p->idle_timeout)
                p->timed_out = true;
        if (p->probe_at > 0 && now >= p->probe_at) {
                p->probe_at = 0;
                for (unsigned i = 0; i < 2; i++)
                        if (side_needs_probe(&p->sides[i]))
                                side_probe(&p->sides[i]);
        }
        pump_settle(p);
        return 0;
}

/* The receiver has gone for good, which only matters where something would still be sent. */
static void side_hang_up(PumpSide *s, int fd, bool has_error)
{
        socklen_t length = sizeof(int);
        int error = 0;

        /* Where there is something to read, the read comes upon the error after it. */
        if (has_error && s->from->ended)
                (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        s->hung_up = true;
        if (!way_is_over(s->to) && !s->to->failed)
                way_fail(s->to, -error);
}

static int side_on_in(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        PumpSide *s = userdata;
        Pump *p = s->pump;

        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                s->from->readable = true;
        if (source == s->out_source) {
                if (revents & EPOLLOUT) {
                        s->to->writable = true;
                        s->in_vain = s->to->size == 0 && !(revents & EPOLLIN);
                }
                if (revents & EPOLLHUP)
                        side_hang_up(s, fd, revents & EPOLLERR);
        }
        pump_turn(p);
        return 0;
}

static int side_on_out(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        PumpSide *s = userdata;
        Pump *p = s->pump;

        if (revents & EPOLLOUT) {
                s->to->writable = true;
                s->in_vain = s->to->size == 0;
        }
        if (revents & (EPOLLERR | EPOLLHUP))
                side_hang_up(s, fd, false);
        pump_turn(p);
        return 0;
}

/* *ret_ready: it cannot be waited for, like a regular file. */
static int side_watch_one(PumpSide *s, int fd, uint32_t events, sd_event_io_handler_t handler,
                          sd_event_source **ret, bool *ret_ready)
{
        int r;

        r = sd_event_add_io(s->pump->event, ret, fd, events | EPOLLET, handler, s);
        if (r == -EPERM) {
                *ret_ready = true;
                return 0;
        }
        return r;
}

static int side_watch(PumpSide *s)
{
        bool ready = false;
        int r = 0;

        if (s->end.in >= 0) {
                r = side_watch_one(s, s->end.in, EPOLLIN, side_on_in, &s->in_source, &ready);
                if (r < 0)
                        return r;
                s->from->readable = ready;
        }
        /* Until EAGAIN says otherwise, one can write to it. */
        s->to->writable = true;
        if (s->end.out < 0)
                return 0;
        if (s->end.out == s->end.in) {
                s->out_source = s->in_source;
                return 0;
        }
        return side_watch_one(s, s->end.out, 0, side_on_out, &s->out_source, &ready);
}

static void side_init(Pump *p, unsigned i, const PumpEnd *end)
{
        PumpSide *s = &p->sides[i];

        *s = (PumpSide){
                .pump = p,
                .end = *end,
                .family = end->in == end->out ? socket_family(end->in) : -1,
                .from = &p->ways[i],
                .to = &p->ways[1 - i],
        };
}

int pump_new(sd_event *event, const PumpEnd ends[2], const PumpSettings *settings,
             PumpFunction ended, void *userdata, Pump **ret)
{
        Pump *p;
        int r = 0;

        p = malloc(sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = (Pump){
                .event = sd_event_ref(event),
                .end_with = { settings->end_with[0], settings->end_with[1] },
                .end_without = { settings->end_without[0], settings->end_without[1] },
                .idle_timeout = settings->idle_timeout,
                .ended = ended,
                .userdata = userdata,
                .timer_at = UINT64_MAX,
        };
        p->last_active = pump_now(p);
        for (unsigned i = 0; i < 2; i++) {
                way_init(&p->ways[i], ends[i].in, ends[1 - i].out, settings->counters[i]);
                side_init(p, i, &ends[i]);
        }
        for (unsigned i = 0; i < 2 && r >= 0; i++)
                r = side_watch(&p->sides[i]);
        if (r >= 0)
                /* What needs no event begins by itself, and never within this function. */
                pump_go_on(p);
        if (r >= 0)
                pump_arm_timer(p);
        r = MIN_OF(r, p->error);
        if (r < 0) {
                for (unsigned i = 0; i < 2; i++)
                        p->sides[i].end = (PumpEnd){ .in = -EBADF, .out = -EBADF };
                (void)pump_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

uint64_t pump_last_active(const Pump *p)
{
        return p->last_active;
}

Pump *pump_free(Pump *p)
{
        if (!p)
                return NULL;
        for (unsigned i = 0; i < 2; i++) {
                PumpSide *s = &p->sides[i];

                side_unwatch(s);
                way_done(&p->ways[i]);
                if (s->end.out != s->end.in)
                        fd_close(s->end.out);
                fd_close(s->end.in);
        }
        sd_event_source_disable_unref(p->timer);
        sd_event_source_disable_unref(p->again);
        sd_event_unref(p->event);
        free(p);
        return NULL;
}
