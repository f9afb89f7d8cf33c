/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/text.h"
#include "rpc/stream-internal.h"
#include "rpc/stream-raw.h"

/* Bytes taken from the socket at once. One scratch buffer serves all streams: there is one
 * thread, and what a turn leaves unused moves to the stream's own memory. */
#define RECEIVE_MAX (64U * 1024U)
/* Receives in one turn, so that one busy peer leaves the loop to the others. */
#define TURN_RECEIVES 16U
/* How often a peer that has ended its input while calls are running is asked if it is there. */
#define PROBE_USEC (1000U * 1000U)
#define TIMER_ACCURACY_USEC (20U * 1000U)

static char scratch[RECEIVE_MAX];

void stream_set_gone(Stream *s, int error)
{
        if (!s->gone) {
                s->gone = true;
                s->error = error;
        }
}

/* Returns whether bytes came. */
static bool stream_receive(Stream *s, char *to, size_t size, size_t *ret_n)
{
        ssize_t n;

        n = recv(s->fd, to, size, MSG_DONTWAIT);
        if (n < 0) {
                if (errno == EAGAIN)
                        s->readable = false;
                else if (errno != EINTR)
                        stream_set_gone(s, -errno);
                return false;
        }
        if (n == 0) {
                s->input_ended = true;
                return false;
        }
        s->moved = true;
        s->stats->bytes_received += (uint64_t)n;
        *ret_n = (size_t)n;
        return true;
}

static void stream_on_input(Stream *s)
{
        size_t n, done;
        char *p;

        if (s->in.size == 0) {
                if (!stream_receive(s, scratch, sizeof(scratch), &n))
                        return;
                done = stream_take(s, scratch, n);
                if (done < n && buffer_append(&s->in, scratch + done, n - done) < 0)
                        stream_set_gone(s, -ENOMEM);
                return;
        }

        p = buffer_reserve(&s->in, RECEIVE_MAX);
        if (!p) {
                stream_set_gone(s, -ENOMEM);
                return;
        }
        if (!stream_receive(s, p, RECEIVE_MAX, &n))
                return;
        buffer_commit(&s->in, n);
        stream_take_left(s);
}

size_t stream_send(Stream *s, const char *data, size_t n)
{
        size_t sent = 0;

        while (sent < n && !s->gone) {
                ssize_t k;

                k = send(s->fd, data + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (k < 0) {
                        if (errno == EAGAIN) {
                                s->blocked = true;
                                return sent;
                        }
                        if (errno != EINTR)
                                stream_set_gone(s, -errno);
                        continue;
                }
                s->moved = true;
                s->stats->bytes_sent += (uint64_t)k;
                sent += (size_t)k;
        }
        s->blocked = false;
        return sent;
}

void stream_flush_waiting(Stream *s)
{
        if (!s->lent)
                buffer_consume(&s->out, stream_send(s, buffer_peek(&s->out), s->out.size));
}

/*
 * A peer that has closed both ways looks like one that has only ended its input, on vsock
 * above all: IN, OUT and RDHUP, never HUP. Sending nothing tells them apart: EPIPE.
 */
static void stream_probe(Stream *s)
{
        if (send(s->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
            errno != EINTR)
                stream_set_gone(s, -errno);
}

/* Whether the conversation is over in good order. Shuts the output once all of it is out. */
static bool stream_is_over(Stream *s)
{
        if (s->unfinished || s->stalled || s->out.size > 0 || s->owner->busy(s, s->userdata))
                return false;
        if (s->input_ended)
                return true;
        if (!s->finishing)
                return false;
        if (s->finish_by == 0)
                return true;
        /* The error is out: say that nothing follows, and let the peer come to the end of what
         * it is sending. */
        if (!s->output_shut) {
                s->output_shut = true;
                (void)shutdown(s->fd, SHUT_WR);
        }
        return false;
}

/*
 * Whether nothing is read while something is due to the peer: its departure must be asked for. A
 * vsock peer that closes with replies unread is not told by EPOLLOUT either.
 */
static bool stream_awaits(const Stream *s, bool busy)
{
        if (s->lent)
                return false; /* the borrower sees to it */
        return (s->input_ended && (busy || s->out.size > 0)) || s->stalled || s->held;
}

static uint64_t stream_next_deadline(Stream *s)
{
        uint64_t next = UINT64_MAX;
        bool busy = s->owner->busy(s, s->userdata);

        if (s->finish_by > 0)
                next = MIN_OF(next, s->finish_by);
        else if (s->text_begun > 0 && s->message_timeout != TEXT_INFINITY)
                next = MIN_OF(next, s->text_begun + s->message_timeout);
        if (s->idle_timeout > 0 && s->idle_timeout != TEXT_INFINITY && !busy)
                next = MIN_OF(next, s->last_active + s->idle_timeout);
        if (stream_awaits(s, busy)) {
                if (s->probe_at == 0)
                        s->probe_at = stream_now(s) + PROBE_USEC;
                next = MIN_OF(next, s->probe_at);
        }
        return next;
}

static int stream_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Arms the timer, unless it fires early enough already: then it looks again by itself, and a
 * busy peer costs no system call for it. */
static void stream_arm_timer(Stream *s)
{
        uint64_t next = stream_next_deadline(s);
        int r;

        if (next >= s->timer_at)
                return;
        if (!s->timer) {
                r = sd_event_add_time(s->event, &s->timer, CLOCK_MONOTONIC, next,
                                      TIMER_ACCURACY_USEC, stream_on_timer, s);
        } else {
                r = sd_event_source_set_time(s->timer, next);
                if (r >= 0)
                        r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                stream_set_gone(s, r);
        else
                s->timer_at = next;
}

static bool stream_has_no_room(Stream *s)
{
        /* Frames are made where they leave at once, so any that wait are too many. */
        if (s->raw)
                return s->out.size > 0 &&
                       (s->blocked || s->lent || s->out.size >= STREAM_OUTPUT_HIGH);
        return stream_is_congested(s);
}

bool stream_is_full(Stream *s)
{
        if (!stream_has_no_room(s))
                return false;
        s->awaited = true;
        return true;
}

/*
 * Edge-triggered: sd-event asks epoll anew after each source that it has dispatched, and level
 * by level each answer would name all sockets that are ready: with N busy peers, N for each text.
 */
static void stream_wait(Stream *s)
{
        uint32_t interest = EPOLLIN | EPOLLET | (s->out.size > 0 ? EPOLLOUT : 0);
        int r;

        if (interest != s->interest) {
                r = sd_event_source_set_io_events(s->io, interest);
                if (r < 0) {
                        stream_set_gone(s, r);
                        return;
                }
                s->interest = interest;
        }
        if (s->unfinished || (s->awaited && !stream_has_no_room(s)))
                stream_wake(s);
        stream_arm_timer(s);
}

static void stream_end(Stream *s)
{
        s->io = sd_event_source_disable_unref(s->io);
        s->again = sd_event_source_disable_unref(s->again);
        s->timer = sd_event_source_disable_unref(s->timer);
        s->owner->ended(s, s->error, s->userdata);
}

/* The end of a turn for those who produce without being asked. */
static void stream_settle_output(Stream *s)
{
        if (s->awaited && !s->gone && !stream_has_no_room(s)) {
                s->awaited = false;
                s->owner->writable(s, s->userdata);
        }
        if (s->raw && !s->gone)
                stream_raw_settle(s);
        stream_flush(s);
}

/* The end of each turn: what is out goes out, and what is next is settled. May free s. */
static void stream_settle(Stream *s)
{
        stream_flush(s);
        if (s->awaited || s->raw)
                stream_settle_output(s);
        s->in_turn = false;
        if (s->moved) {
                s->moved = false;
                s->last_active = stream_now(s);
        }

        /* Room was made: what was read earlier comes first. */
        if (s->stalled && !stream_is_congested(s)) {
                s->stalled = false;
                s->unfinished = true;
        }
        if (s->hung_up && s->input_ended && !s->unfinished)
                stream_set_gone(s, 0);
        if (!s->gone && !stream_is_over(s))
                stream_wait(s);
        if (s->gone || stream_is_over(s))
                stream_end(s);
}

/*
 * Takes what earlier turns left over, then what the socket has. The edge is used up only by
 * EAGAIN: a short read proves nothing, since hv_sock gives one packet at a time.
 */
static void stream_turn(Stream *s)
{
        if (s->unfinished) {
                s->unfinished = false;
                stream_take_left(s);
        }
        for (unsigned i = 0; s->readable && !s->input_ended && !s->gone; i++) {
                if (s->unfinished || s->stalled || s->held)
                        return;
                if (i == TURN_RECEIVES) {
                        s->unfinished = true;
                        return;
                }
                stream_on_input(s);
                /* The replies are on their way while we ask for more. */
                stream_flush(s);
        }
        if (!s->input_ended || s->unfinished || s->stalled || s->held || s->gone)
                return;
        if (s->out.size > 0 || s->owner->busy(s, s->userdata))
                stream_probe(s);
        stream_take_end(s);
}

static int stream_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Stream *s = userdata;

        s->in_turn = true;
        if (revents & EPOLLERR) {
                int error = 0;
                socklen_t length = sizeof(error);

                (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
                stream_set_gone(s, error > 0 ? -error : -ECONNRESET);
        }
        if (revents & EPOLLHUP) {
                s->hung_up = true;
                /* Nobody will read what waits. */
                if (stream_is_congested(s))
                        stream_set_gone(s, 0);
        }
        if (!s->gone && (revents & EPOLLOUT))
                stream_flush(s);
        if (revents & (EPOLLIN | EPOLLHUP))
                s->readable = true;
        if (!s->gone)
                stream_turn(s);
        stream_settle(s);
        return 0;
}

static int stream_on_again(sd_event_source *source, void *userdata)
{
        Stream *s = userdata;

        s->in_turn = true;
        if (!s->gone)
                stream_turn(s);
        stream_settle(s);
        return 0;
}

static int stream_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Stream *s = userdata;
        uint64_t now = stream_now(s);
        bool busy = s->owner->busy(s, s->userdata);

        s->in_turn = true;
        s->timer_at = UINT64_MAX;
        if (s->finish_by > 0 && now >= s->finish_by)
                stream_set_gone(s, -ETIMEDOUT);
        else if (s->idle_timeout > 0 && !busy && now - s->last_active >= s->idle_timeout)
                stream_set_gone(s, -ETIMEDOUT);
        else if (s->finish_by == 0 && s->text_begun > 0 &&
                 now - s->text_begun >= s->message_timeout)
                stream_fault(s, STREAM_FAULT_TIMEOUT, SCAN_MORE);

        if (s->probe_at > 0 && now >= s->probe_at) {
                s->probe_at = 0;
                if (!s->gone && stream_awaits(s, busy))
                        stream_probe(s);
        }
        stream_settle(s);
        return 0;
}

void stream_wake(Stream *s)
{
        int r;

        if (s->in_turn || !s->io)
                return; /* it is about to settle, or has ended */
        if (!s->again)
                r = sd_event_add_defer(s->event, &s->again, stream_on_again, s);
        else
                r = sd_event_source_set_enabled(s->again, SD_EVENT_ONESHOT);
        if (r < 0)
                stream_set_gone(s, r);
}

/*
 * Whether nothing but output is to be settled, and all of that has gone. It saves a turn, which is
 * a round of the loop; but once in a round only, so that the replies of one that brings many leave
 * together.
 */
static bool stream_ease(Stream *s)
{
        bool timed = s->idle_timeout > 0 && s->idle_timeout != TEXT_INFINITY;
        uint64_t round;

        if (s->gone || s->hung_up || s->input_ended || s->finishing || s->stalled ||
            s->unfinished || s->held || s->lent || s->blocked || s->awaited || s->raw)
                return false;
        /* It may be idle from now on. */
        if (timed && s->timer_at == UINT64_MAX)
                return false;
        if (s->out.size == 0)
                return true;
        if (sd_event_get_iteration(s->event, &round) < 0 || round == s->eased_in)
                return false;
        s->eased_in = round;
        stream_flush(s);
        s->moved = false;
        s->last_active = stream_now(s);
        return !s->gone && s->out.size == 0;
}

void stream_touch(Stream *s)
{
        if (!s->in_turn && !stream_ease(s))
                stream_wake(s);
}

char *stream_reserve(Stream *s, size_t n)
{
        char *p;

        if (s->framed)
                return stream_raw_reserve_text(s, n);
        p = buffer_reserve(&s->out, n);
        if (!p)
                stream_break(s, -ENOMEM);
        return p;
}

void stream_commit(Stream *s, size_t n)
{
        if (s->framed) {
                stream_raw_commit_text(s, n);
                return;
        }
        buffer_commit(&s->out, n);
        stream_touch(s);
}

void stream_finish(Stream *s)
{
        s->finishing = true;
        s->skipping = false;
        s->text_begun = 0;
        stream_wake(s);
}

void stream_break(Stream *s, int error)
{
        stream_set_gone(s, error);
        stream_wake(s);
}

void stream_set_settings(Stream *s, const StreamSettings *settings)
{
        s->limits = settings->limits;
        s->message_timeout = settings->message_timeout;
        s->idle_timeout = settings->idle_timeout;
        if (!scan_begun(&s->scan))
                stream_next_text(s);
        stream_wake(s);
}

uint64_t stream_last_active(const Stream *s)
{
        return s->last_active;
}

int stream_new(sd_event *event, int fd, const ScanKeys *keys, const StreamSettings *settings,
               Stats *stats, const StreamOwner *owner, void *userdata, Stream **ret)
{
        _cleanup_(stream_freep) Stream *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->fd = -EBADF;
        s->event = sd_event_ref(event);
        s->owner = owner;
        s->userdata = userdata;
        s->stats = stats;
        s->timer_at = UINT64_MAX;
        s->interest = EPOLLIN | EPOLLET;
        s->limits = settings->limits;
        scan_init(&s->scan, keys, &s->limits);
        s->message_timeout = settings->message_timeout;
        s->idle_timeout = settings->idle_timeout;
        s->last_active = stream_now(s);

        r = sd_event_add_io(event, &s->io, fd, s->interest, stream_on_io, s);
        if (r < 0)
                return r;
        stream_arm_timer(s);
        if (s->gone)
                return s->error;
        s->fd = fd;
        *ret = TAKE_PTR(s);
        return 0;
}

Stream *stream_free(Stream *s)
{
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->again);
        sd_event_source_disable_unref(s->timer);
        scan_done(&s->scan);
        buffer_done(&s->in);
        buffer_done(&s->out);
        /* Who has it borrowed is not to go on with it. */
        if (s->lent)
                (void)shutdown(s->fd, SHUT_RDWR);
        (void)stream_raw_free(s->raw);
        fd_close(s->fd);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
