/* SPDX-License-Identifier: MIT */
#include "files/wire.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* One whole frame fits behind a block that is not sent yet. */
#define OUT_CAPACITY (WIRE_BLOCK + FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX)

int wire_init(Wire *w, int fd, const char *received, size_t n)
{
        Wire made = WIRE_NULL;

        made.fd = fd;
        made.in_capacity = MAX_OF(n, (size_t)WIRE_BLOCK);
        made.out_capacity = OUT_CAPACITY;
        /* Pages that are never written to cost nothing. */
        made.in = malloc(made.in_capacity);
        made.out = malloc(made.out_capacity);
        if (!made.in || !made.out) {
                wire_done(&made);
                return -ENOMEM;
        }
        if (n > 0)
                memcpy(made.in, received, n);
        made.in_end = n;
        *w = made;
        return 0;
}

void wire_done(Wire *w)
{
        free(w->in);
        free(w->out);
        *w = WIRE_NULL;
}

const char *wire_pending(const Wire *w, size_t *ret_n)
{
        *ret_n = w->in_end - w->in_begin;
        return w->in + w->in_begin;
}

void wire_take(Wire *w, size_t n)
{
        assert(n <= w->in_end - w->in_begin);
        w->in_begin += n;
        if (w->in_begin == w->in_end)
                w->in_begin = w->in_end = 0;
}

/* As frame_next() does: an answer's line may end in more than its newline, and that may come late.
 */
static bool wire_has_input(Wire *w)
{
        while (!w->reader.begun && w->in_begin < w->in_end && w->in[w->in_begin] &&
               strchr(" \t\r\n", w->in[w->in_begin]))
                wire_take(w, 1);
        return w->in_begin < w->in_end;
}

bool wire_is_between(const Wire *w)
{
        return frame_is_between(&w->reader);
}

int wire_interrupted(const Wire *w)
{
        struct pollfd p = { .fd = w->interrupt_fd, .events = POLLIN };

        return w->interrupt_fd >= 0 && poll(&p, 1, 0) > 0 ? -EINTR : 0;
}

static int wire_broke(Wire *w, int error)
{
        w->failed = true;
        return error;
}

/* Waits for the connection. The events that are there, POLLHUP and POLLERR as what was asked for:
 * the call that follows tells what happened; or -EINTR. */
static int wire_poll(Wire *w, short events, int timeout)
{
        struct pollfd p[] = {
                { .fd = w->fd, .events = events },
                { .fd = w->interrupt_fd, .events = POLLIN },
        };

        while (poll(p, ELEMENTSOF(p), timeout) < 0)
                if (errno != EINTR)
                        return wire_broke(w, -errno);
        if (p[1].revents)
                return -EINTR;
        return p[0].revents & (POLLHUP | POLLERR | POLLNVAL) ? events : p[0].revents;
}

/* Receives once, without waiting. The number of bytes; -EAGAIN; -ECONNRESET at the end of input. */
static int wire_receive(Wire *w)
{
        ssize_t n;

        if (w->deaf)
                return wire_broke(w, -ECONNRESET);
        if (w->in_end == w->in_capacity) {
                if (w->in_begin == 0)
                        return -EAGAIN; /* it is full: whoever is meant takes it first */
                memmove(w->in, w->in + w->in_begin, w->in_end - w->in_begin);
                w->in_end -= w->in_begin;
                w->in_begin = 0;
        }
        n = recv(w->fd, w->in + w->in_end, w->in_capacity - w->in_end, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? -EAGAIN : wire_broke(w, -errno);
        if (n == 0)
                return wire_broke(w, -ECONNRESET);
        w->in_end += (size_t)n;
        w->received += (uint64_t)n;
        return (int)n;
}

static int wire_receive_some(Wire *w)
{
        int r;

        for (;;) {
                r = wire_receive(w);
                if (r != -EAGAIN)
                        return r;
                r = wire_poll(w, POLLIN, -1);
                if (r < 0)
                        return r;
        }
}

int wire_next(Wire *w, bool take_control, FramePiece *ret)
{
        FramePiece piece = {};
        size_t n, used;
        int r;

        for (;;) {
                n = wire_has_input(w) ? w->in_end - w->in_begin : 0;
                if (frame_is_between(&w->reader) && !take_control && n >= FRAME_HEADER_SIZE &&
                    w->in[w->in_begin + FRAME_HEADER_SIZE - 1] == FRAME_CONTROL)
                        return WIRE_CONTROL;
                /* A header is taken whole, so that a pause finds all of it. */
                if (n > 0 && !(frame_is_between(&w->reader) && n < FRAME_HEADER_SIZE)) {
                        r = frame_next(&w->reader, w->in + w->in_begin, n, &used, &piece);
                        if (r < 0)
                                return wire_broke(w, r);
                        wire_take(w, used);
                        if (r != FRAME_MORE) {
                                if (r == FRAME_END) {
                                        piece.data = NULL;
                                        piece.n = piece.size = 0;
                                        piece.first = piece.last = true;
                                }
                                *ret = piece;
                                return WIRE_PIECE;
                        }
                        continue;
                }
                r = wire_receive_some(w);
                if (r < 0)
                        return r;
        }
}

size_t wire_waiting(const Wire *w)
{
        return w->out_end - w->out_begin;
}

/* Sends until at most `keep` bytes are left. */
static int wire_send(Wire *w)
{
        size_t waiting;
        ssize_t n;
        int r;

        while (wire_waiting(w) > 0) {
                bool hears = !w->deaf && !wire_has_input(w);

                /* What the peer says is looked for each time: a peer that reads fast would else
                 * never be heard. What it has said already waits until we have finished. */
                r = wire_poll(w, (short)(POLLOUT | (hears ? POLLIN : 0)), -1);
                if (r < 0)
                        return r;
                if (r & POLLIN && hears) {
                        int received = wire_receive(w);

                        if (received < 0 && received != -EAGAIN)
                                return received;
                }
                if (!(r & POLLOUT))
                        continue;
                waiting = wire_waiting(w);
                n = send(w->fd, w->out + w->out_begin, waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0) {
                        if (errno == EAGAIN || errno == EINTR)
                                continue;
                        return wire_broke(w, -errno);
                }
                w->out_begin += (size_t)n;
                w->sent += (uint64_t)n;
        }
        w->out_begin = w->out_end = 0;
        return 0;
}

int wire_flush(Wire *w)
{
        int r;

        r = wire_send(w);
        if (r < 0)
                return r;
        return wire_has_input(w) ? WIRE_CONTROL : WIRE_DONE;
}

int wire_reserve(Wire *w, size_t n, char **ret)
{
        int r;

        assert(n <= FRAME_PAYLOAD_MAX);
        if (w->out_capacity - w->out_end < FRAME_HEADER_SIZE + n) {
                r = wire_send(w);
                if (r < 0)
                        return r;
        }
        *ret = w->out + w->out_end + FRAME_HEADER_SIZE;
        return 0;
}

void wire_commit(Wire *w, uint8_t channel, size_t n)
{
        assert(w->out_capacity - w->out_end >= FRAME_HEADER_SIZE + n);
        frame_put_header((uint8_t *)w->out + w->out_end, channel, n);
        w->out_end += FRAME_HEADER_SIZE + n;
}

int wire_put(Wire *w, uint8_t channel, const void *data, size_t n)
{
        char *p;
        int r;

        r = wire_reserve(w, n, &p);
        if (r < 0)
                return r;
        if (n > 0)
                memcpy(p, data, n);
        wire_commit(w, channel, n);
        return 0;
}

int wire_wait(Wire *w, int fd, short events)
{
        struct pollfd p[] = {
                { .fd = fd, .events = events },
                { .fd = w->interrupt_fd, .events = POLLIN },
                { .fd = w->fd, .events = w->deaf ? 0 : POLLIN },
        };
        int r;

        /* With the wire's input full nothing more is to be learned from it. */
        if (wire_has_input(w))
                return WIRE_CONTROL;
        for (;;) {
                if (poll(p, ELEMENTSOF(p), -1) < 0 && errno != EINTR)
                        return -errno;
                if (p[1].revents)
                        return -EINTR;
                if (p[2].revents) {
                        r = wire_receive(w);
                        if (r < 0 && r != -EAGAIN)
                                return r;
                        if (wire_has_input(w))
                                return WIRE_CONTROL;
                }
                if (p[0].revents)
                        return 0;
        }
}
