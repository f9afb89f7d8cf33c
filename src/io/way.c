/* SPDX-License-Identifier: MIT */
#include "io/way.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

/* What a turn does before others have theirs: reads and writes. */
#define TURN_STEPS 32U

/* One buffer serves all who copy: what is not taken at once moves to the way's own memory. */
static char scratch[64U * 1024U];

/* -1: no socket. */
static int socket_family(int fd)
{
        socklen_t length = sizeof(int);
        int family;

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0)
                return -1;
        return family;
}

void way_init(Way *w, int from, int to, uint64_t *counter)
{
        int from_family = socket_family(from), to_family = socket_family(to);

        *w = (Way){
                .from = from,
                .to = to,
                .counter = counter,
                .pipe = PIPE_NULL,
                .from_socket = from_family >= 0,
                .to_socket = to_family >= 0,
                /* AF_VSOCK splices in name only: the kernel would copy into single pages, and
                 * send each as a packet of its own. */
                .copies = from_family == AF_VSOCK || to_family == AF_VSOCK,
                .drops = to < 0,
                .ended = from < 0,
        };
}

size_t way_pending(const Way *w)
{
        return w->piped + w->left.size;
}

bool way_is_ready(const Way *w)
{
        if (way_pending(w) > 0)
                return w->writable;
        return !w->ended && w->readable;
}

bool way_is_over(const Way *w)
{
        return w->ended && way_pending(w) == 0;
}

static void way_count(Way *w, size_t n)
{
        w->moved = true;
        if (w->counter)
                *w->counter += n;
}

void way_fail(Way *w, int error)
{
        bool loses = way_pending(w) > 0;

        pipe_close(&w->pipe);
        w->piped = 0;
        buffer_done(&w->left);
        if (w->write_error == 0)
                w->write_error = error < 0 ? error : loses ? -EPIPE : 0;
        w->drops = true;
        w->failed = true;
}

void way_end(Way *w)
{
        w->ended = true;
}

static void way_read_failed(Way *w)
{
        if (errno == EAGAIN) {
                w->readable = false;
        } else if (errno != EINTR) {
                w->read_error = -errno;
                w->ended = true;
        }
}

static void way_write_failed(Way *w)
{
        if (errno == EAGAIN)
                w->writable = false;
        else if (errno != EINTR)
                way_fail(w, -errno);
}

static bool splice_is_refused(int error)
{
        return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS;
}

/* Out of a socket or a file into memory. Returns the number of bytes, 0 for none. */
static size_t way_read(Way *w, char *to, size_t size)
{
        ssize_t n;

        n = w->from_socket ? recv(w->from, to, size, MSG_DONTWAIT) : read(w->from, to, size);
        if (n < 0)
                way_read_failed(w);
        else if (n == 0)
                w->ended = true;
        return n > 0 ? (size_t)n : 0;
}

static size_t way_write(Way *w, const char *from, size_t size)
{
        ssize_t n;

        n = w->to_socket ? send(w->to, from, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(w->to, from, size);
        if (n < 0) {
                way_write_failed(w);
                return 0;
        }
        way_count(w, (size_t)n);
        return (size_t)n;
}

static void way_copy(Way *w)
{
        size_t n, done = 0;

        n = way_read(w, scratch, sizeof(scratch));
        if (n == 0)
                return;
        if (w->drops) {
                way_count(w, n);
                if (w->failed && w->write_error == 0)
                        w->write_error = -EPIPE;
                return;
        }
        if (w->writable)
                done = way_write(w, scratch, n);
        if (done < n && !w->drops && buffer_append(&w->left, scratch + done, n - done) < 0)
                way_fail(w, -ENOMEM);
}

/* An empty pipe, so that EAGAIN can mean one thing: that there is no input. */
static void way_fill(Way *w)
{
        ssize_t n;

        if (w->copies || w->drops || (w->pipe.in < 0 && pipe_take(&w->pipe) < 0)) {
                way_copy(w);
                return;
        }
        n = splice(w->from, NULL, w->pipe.out, NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0)
                w->piped = (size_t)n;
        else if (n == 0)
                w->ended = true;
        else if (splice_is_refused(errno))
                w->copies = true;
        else
                way_read_failed(w);
}

/* The receiver takes no splice: what is in the pipe becomes bytes in memory. */
static void way_unpipe(Way *w)
{
        w->copies = true;
        while (w->piped > 0) {
                char *p = buffer_reserve(&w->left, w->piped);
                ssize_t n;

                if (!p) {
                        way_fail(w, -ENOMEM);
                        return;
                }
                n = read(w->pipe.in, p, w->piped);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        way_fail(w, n < 0 ? -errno : -EIO);
                        return;
                }
                buffer_commit(&w->left, (size_t)n);
                w->piped -= (size_t)n;
        }
}

static void way_flush(Way *w)
{
        ssize_t n;

        if (w->left.size > 0) {
                size_t done = way_write(w, buffer_peek(&w->left), w->left.size);

                if (done > 0)
                        buffer_consume(&w->left, done);
                return;
        }
        n = splice(w->pipe.in, NULL, w->to, NULL, w->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
                w->piped -= (size_t)n;
                way_count(w, (size_t)n);
        } else if (n < 0 && splice_is_refused(errno)) {
                way_unpipe(w);
        } else if (n < 0) {
                way_write_failed(w);
        } else {
                way_fail(w, -EIO);
        }
}

bool way_turn(Way *w)
{
        for (unsigned i = 0; way_is_ready(w); i++) {
                if (i == TURN_STEPS)
                        return true;
                if (way_pending(w) > 0)
                        way_flush(w);
                else
                        way_fill(w);
        }
        return false;
}

void way_rest(Way *w)
{
        if (w->piped == 0)
                pipe_give(&w->pipe);
}

void way_done(Way *w)
{
        way_rest(w);
        pipe_close(&w->pipe);
        buffer_done(&w->left);
}
