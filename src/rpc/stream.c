/* SPDX-License-Identifier: MIT */
#include "rpc/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"

/* Bytes taken from the socket at once. One scratch buffer serves all streams: there is one
 * thread, and what a turn leaves unused moves to the stream's own memory. */
#define RECEIVE_MAX (64U * 1024U)
/* Texts (or units of work) in one turn, so that one busy peer leaves the loop to the others. */
#define TURN_BUDGET 64U
/* How often a peer that has ended its input while calls are running is asked if it is there. */
#define PROBE_USEC (1000U * 1000U)
#define TIMER_ACCURACY_USEC (20U * 1000U)

struct Stream {
        sd_event *event;
        sd_event_source *io;
        sd_event_source *again; /* another turn without an event of the socket */
        sd_event_source *timer;
        const StreamOwner *owner;
        void *userdata;
        Stats *stats;

        int fd;
        uint32_t interest; /* what `io` waits for */

        Scan scan;
        Buffer in; /* begins with the text that the scan is in, if any */
        Buffer out;

        uint64_t message_timeout;
        uint64_t idle_timeout;
        uint64_t text_begun; /* 0: no text is begun */
        uint64_t last_active;
        uint64_t finish_by; /* 0: not finishing with a deadline */
        uint64_t probe_at;  /* 0: no probe is due */
        uint64_t timer_at;  /* what the timer is armed for; UINT64_MAX: not */

        int error; /* of the socket: the peer is gone */
        bool gone : 1;
        bool hung_up : 1; /* HUP was seen: after the input that is left, gone */
        bool input_ended : 1;
        bool cut_told : 1;
        bool skipping : 1;  /* after a syntax error, to the next newline */
        bool finishing : 1; /* no more texts are taken */
        bool output_shut : 1;
        bool congested : 1;
        bool stalled : 1;    /* congestion kept something from being taken */
        bool unfinished : 1; /* the turn's budget was used up before the input was */
        bool in_turn : 1;
};

static char scratch[RECEIVE_MAX];

static uint64_t stream_now(const Stream *s)
{
        uint64_t now = 0;

        (void)sd_event_now(s->event, CLOCK_MONOTONIC, &now);
        return now;
}

static bool stream_is_congested(Stream *s)
{
        if (s->out.size >= STREAM_OUTPUT_HIGH)
                s->congested = true;
        else if (s->out.size <= STREAM_OUTPUT_LOW)
                s->congested = false;
        return s->congested;
}

static void stream_set_gone(Stream *s, int error)
{
        if (!s->gone) {
                s->gone = true;
                s->error = error;
        }
}

/* The owner hears of a fault, and what it replies goes out before the connection is closed. */
static void stream_fault(Stream *s, StreamFault fault, ScanResult result)
{
        s->text_begun = 0;
        s->owner->fault(s, fault, result, s->userdata);
        scan_reset(&s->scan);
        if (fault == STREAM_FAULT_SYNTAX) {
                s->skipping = true;
        } else if (fault != STREAM_FAULT_CUT) {
                stream_finish(s);
                s->finish_by = stream_now(s) + STREAM_DRAIN_USEC;
        }
}

/*
 * Cuts one text from the n bytes at data, which begin where the last one ended (or with the
 * part of this text that the scan has seen). Returns how many of them are done with; what a
 * text begun leaves stays for the next time. *ret_more: whether it is worth trying again.
 */
static size_t stream_cut(Stream *s, const char *data, size_t n, bool *ret_more)
{
        size_t seen = scan_begun(&s->scan) ? scan_length(&s->scan) : 0, used = 0, leading;
        ScanResult r;

        r = scan_feed(&s->scan, data + seen, n - seen, &used);
        used += seen;

        switch (r) {
        case SCAN_MORE:
                *ret_more = false;
                if (!scan_begun(&s->scan))
                        return n;
                if (s->text_begun == 0)
                        s->text_begun = stream_now(s);
                return n - scan_length(&s->scan);
        case SCAN_DONE:
                leading = used - scan_length(&s->scan);
                s->text_begun = 0;
                s->owner->text(s, data + leading, &s->scan, s->userdata);
                scan_reset(&s->scan);
                break;
        case SCAN_BAD_SYNTAX:
        case SCAN_BAD_UTF8:
                stream_fault(s, STREAM_FAULT_SYNTAX, r);
                break;
        case SCAN_NO_MEMORY:
                stream_fault(s, STREAM_FAULT_MEMORY, r);
                break;
        case SCAN_TOO_LONG:
        case SCAN_TOO_MANY_VALUES:
        case SCAN_TOO_DEEP:
                stream_fault(s, STREAM_FAULT_LIMIT, r);
                break;
        }
        *ret_more = true;
        return used;
}

/* Takes what can be taken of the n bytes at data and returns how many are done with. */
static size_t stream_take(Stream *s, const char *data, size_t n)
{
        size_t done = 0;
        bool more = true;

        for (unsigned budget = TURN_BUDGET;; budget--) {
                if (stream_is_congested(s)) {
                        s->stalled = true;
                        return s->finishing ? n : done;
                }
                if (budget == 0) {
                        s->unfinished = true;
                        return done;
                }
                if (s->owner->work(s, s->userdata))
                        continue;
                if (s->finishing)
                        return n;
                if (!more || done == n)
                        return done;
                if (s->skipping) {
                        const char *newline = memchr(data + done, '\n', n - done);

                        if (!newline)
                                return n;
                        done = (size_t)(newline - data) + 1;
                        s->skipping = false;
                        continue;
                }
                done += stream_cut(s, data + done, n - done, &more);
        }
}

/* After the input has ended and all of it was taken: the text that it may have cut short. */
static void stream_take_end(Stream *s)
{
        ScanResult r;

        if (s->cut_told || s->finishing)
                return;
        s->cut_told = true;

        r = scan_finish(&s->scan);
        if (r == SCAN_DONE) {
                s->text_begun = 0;
                s->owner->text(s, s->in.size > 0 ? buffer_peek(&s->in) : "", &s->scan, s->userdata);
                scan_reset(&s->scan);
        } else if (r != SCAN_MORE) {
                stream_fault(s, STREAM_FAULT_CUT, r);
        }
        buffer_done(&s->in);
}

/* What an earlier turn left over. */
static void stream_take_left(Stream *s)
{
        size_t done;

        done = stream_take(s, s->in.size > 0 ? buffer_peek(&s->in) : "", s->in.size);
        buffer_consume(&s->in, done);
}

/* Returns whether bytes came. */
static bool stream_receive(Stream *s, char *to, size_t size, size_t *ret_n)
{
        ssize_t n;

        n = recv(s->fd, to, size, MSG_DONTWAIT);
        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        stream_set_gone(s, -errno);
                return false;
        }
        if (n == 0) {
                s->input_ended = true;
                return false;
        }
        s->last_active = stream_now(s);
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

static void stream_flush(Stream *s)
{
        while (s->out.size > 0 && !s->gone) {
                ssize_t n;

                n = send(s->fd, buffer_peek(&s->out), s->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno == EAGAIN)
                                return;
                        if (errno != EINTR)
                                stream_set_gone(s, -errno);
                        continue;
                }
                s->last_active = stream_now(s);
                s->stats->bytes_sent += (uint64_t)n;
                buffer_consume(&s->out, (size_t)n);
        }
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
        if (s->input_ended && busy) {
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

static void stream_wait(Stream *s)
{
        uint32_t interest = 0;
        int r;

        if (!s->input_ended && !s->unfinished && (s->finishing || !stream_is_congested(s)))
                interest |= EPOLLIN;
        if (s->out.size > 0)
                interest |= EPOLLOUT;
        if (interest != s->interest) {
                r = sd_event_source_set_io_events(s->io, interest);
                if (r < 0) {
                        stream_set_gone(s, r);
                        return;
                }
                s->interest = interest;
        }
        if (s->unfinished)
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

/* The end of each turn: what is out goes out, and what is next is settled. May free s. */
static void stream_settle(Stream *s)
{
        stream_flush(s);
        s->in_turn = false;

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

static void stream_take_rest(Stream *s)
{
        s->unfinished = false;
        stream_take_left(s);
        if (s->input_ended && !s->unfinished && !s->stalled)
                stream_take_end(s);
}

static int stream_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Stream *s = userdata;
        bool had_ended = s->input_ended;

        s->in_turn = true;
        if (revents & EPOLLERR) {
                int error = 0;
                socklen_t length = sizeof(error);

                (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
                stream_set_gone(s, error > 0 ? -error : -ECONNRESET);
        }
        if (revents & EPOLLHUP) {
                s->hung_up = true;
                /* Nobody will read what waits, and it is reported until it is gone. */
                if (s->congested || (had_ended && !s->unfinished))
                        stream_set_gone(s, 0);
        }
        if (!s->gone && (revents & EPOLLOUT))
                stream_flush(s);
        if (!s->gone && !s->input_ended && (revents & (EPOLLIN | EPOLLHUP))) {
                stream_on_input(s);
                if (s->input_ended && !s->gone) {
                        if (s->owner->busy(s, s->userdata))
                                stream_probe(s);
                        if (!s->gone)
                                stream_take_rest(s);
                }
        }
        stream_settle(s);
        return 0;
}

static int stream_on_again(sd_event_source *source, void *userdata)
{
        Stream *s = userdata;

        s->in_turn = true;
        if (!s->gone)
                stream_take_rest(s);
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
                if (!s->gone && busy)
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

char *stream_reserve(Stream *s, size_t n)
{
        char *p;

        p = buffer_reserve(&s->out, n);
        if (!p) {
                stream_break(s, -ENOMEM);
        }
        return p;
}

void stream_commit(Stream *s, size_t n)
{
        buffer_commit(&s->out, n);
        stream_wake(s);
}

void stream_write(Stream *s, const void *data, size_t n)
{
        char *p = stream_reserve(s, n);

        if (!p)
                return;
        memcpy(p, data, n);
        stream_commit(s, n);
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
        s->scan.limits = settings->limits;
        s->message_timeout = settings->message_timeout;
        s->idle_timeout = settings->idle_timeout;
        stream_wake(s);
}

uint64_t stream_last_active(const Stream *s)
{
        return s->last_active;
}

sd_event *stream_event(const Stream *s)
{
        return s->event;
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
        s->interest = EPOLLIN;
        scan_init(&s->scan, keys, &settings->limits);
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
        fd_close(s->fd);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
