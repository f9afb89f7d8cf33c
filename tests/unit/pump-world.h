/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of pumps need around them: a loop, pairs of sockets, streams that are known. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/pump.h"
#include "io/way.h"

/* Far beyond what any of these take: a test that hangs ends, and fails. */
#define LONG UINT64_C(60000000)
#define STREAM_SIZE ((size_t)8 * 1024 * 1024)

typedef struct World World;

struct World {
        sd_event *event;
        size_t n_fds;
        Pump *pump;
        int peers[2]; /* who talks to end 0, and to end 1 */
        uint64_t counters[2];
        unsigned n_calls;
        int error;
        unsigned end;
        bool keeps; /* does not free the pump within the call */
};

typedef enum Kind { UNIX, TCP } Kind;

static inline _unused_ size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline _unused_ int setup(void **state)
{
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        (void)signal(SIGPIPE, SIG_IGN);
        w->n_fds = count_fds();
        w->peers[0] = w->peers[1] = -EBADF;
        assert_true(sd_event_new(&w->event) >= 0);
        *state = w;
        return 0;
}

static inline _unused_ int teardown(void **state)
{
        World *w = *state;
        size_t n_fds;

        pump_free(w->pump);
        fd_close(w->peers[0]);
        fd_close(w->peers[1]);
        sd_event_unref(w->event);
        way_drop_blocks();
        n_fds = count_fds();
        if (n_fds != w->n_fds)
                fail_msg("%zu descriptors instead of %zu", n_fds, w->n_fds);
        free(w);
        return 0;
}

/* A connected pair, both non-blocking. */
static inline _unused_ void make_pair(Kind kind, int ret[2])
{
        struct sockaddr_in in = { .sin_family = AF_INET };
        _cleanup_close_ int listener = -EBADF;
        socklen_t length = sizeof(in);

        if (kind == UNIX) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                                            ret),
                                 0);
                return;
        }
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (const struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &length), 0);
        ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(ret[0], (const struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(fcntl(ret[0], F_SETFL, O_NONBLOCK), 0);
        ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(ret[1] >= 0);
}

static inline _unused_ void on_ended(Pump *p, int error, unsigned end, void *userdata)
{
        World *w = userdata;

        assert_ptr_equal(p, w->pump);
        w->n_calls++;
        w->error = error;
        w->end = end;
        if (!w->keeps)
                w->pump = pump_free(p);
}

static inline _unused_ void begin(World *w, const PumpEnd ends[2], PumpSettings *settings)
{
        settings->counters[0] = &w->counters[0];
        settings->counters[1] = &w->counters[1];
        assert_int_equal(pump_new(w->event, ends, settings, on_ended, w, &w->pump), 0);
        assert_int_equal(w->n_calls, 0);
}

static inline _unused_ void begin_sockets(World *w, Kind first, Kind second, PumpSettings settings)
{
        int pairs[2][2];

        make_pair(first, pairs[0]);
        make_pair(second, pairs[1]);
        w->peers[0] = pairs[0][0];
        w->peers[1] = pairs[1][0];
        begin(w, (PumpEnd[]){ { pairs[0][1], pairs[0][1] }, { pairs[1][1], pairs[1][1] } },
              &settings);
}

static const PumpSettings plain = { .idle_timeout = TEXT_INFINITY };

/* All that the loop can do without an event from outside. */
static inline _unused_ void run_dry(World *w)
{
        while (sd_event_run(w->event, 0) > 0)
                ;
}

static inline _unused_ void finish(World *w)
{
        while (w->n_calls == 0)
                assert_true(sd_event_run(w->event, LONG) > 0);
        run_dry(w);
        assert_int_equal(w->n_calls, 1);
}

static inline _unused_ void assert_ended(World *w, int error)
{
        finish(w);
        if (w->error != error)
                fail_msg("%s (end %u) instead of %s", strerror(-w->error), w->end,
                         strerror(-error));
}

static inline _unused_ void say(int fd, const char *text)
{
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Waits for exactly this text; the loop runs meanwhile. */
static inline _unused_ void hear(World *w, int fd, const char *text)
{
        size_t n = strlen(text), done = 0;
        char got[256];

        assert_true(n < sizeof(got));
        while (done < n) {
                ssize_t k = read(fd, got + done, n - done);

                if (k < 0 && errno == EAGAIN) {
                        assert_true(sd_event_run(w->event, LONG) >= 0);
                        continue;
                }
                assert_true(k > 0);
                done += (size_t)k;
        }
        assert_memory_equal(got, text, n);
}

static inline _unused_ void hear_end(World *w, int fd)
{
        char byte;
        ssize_t k;

        while ((k = read(fd, &byte, 1)) < 0 && errno == EAGAIN)
                if (w->n_calls == 0)
                        assert_true(sd_event_run(w->event, LONG) >= 0);
        assert_int_equal(k, 0);
}

/* A stream that is known at each place, and what has come of it. */
typedef struct Flow Flow;

struct Flow {
        uint32_t sent_seed, got_seed;
        size_t sent, got, size;
};

/* Of odd length, so that no two blocks of a power of two are alike. */
static inline _unused_ unsigned char flow_byte(size_t at)
{
        return (unsigned char)((at % 65521) * 31 >> 3);
}

static inline _unused_ void flow_send(Flow *f, int fd, size_t most)
{
        static unsigned char block[65536];
        size_t n = MIN_OF(MIN_OF(sizeof(block), most), f->size - f->sent);
        ssize_t k;

        for (size_t i = 0; i < n; i++)
                block[i] = flow_byte(f->sent + i);
        if (n == 0)
                return;
        k = send(fd, block, n, MSG_NOSIGNAL);
        if (k < 0)
                assert_int_equal(errno, EAGAIN);
        else
                f->sent += (size_t)k;
        if (f->sent == f->size)
                assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

/* Returns whether the stream has ended. */
static inline _unused_ bool flow_receive(Flow *f, int fd, size_t most)
{
        static unsigned char block[65536];
        ssize_t k = recv(fd, block, MIN_OF(sizeof(block), most), 0);

        if (k < 0) {
                assert_int_equal(errno, EAGAIN);
                return false;
        }
        for (ssize_t i = 0; i < k; i++)
                if (block[i] != flow_byte(f->got + (size_t)i))
                        fail_msg("another byte at %zu", f->got + (size_t)i);
        f->got += (size_t)k;
        return k == 0;
}

static inline _unused_ void exchange_streams(World *w, size_t size, size_t most)
{
        Flow there = { .size = size }, back = { .size = size };
        bool there_ended = false, back_ended = false;

        while (!there_ended || !back_ended) {
                flow_send(&there, w->peers[0], most);
                flow_send(&back, w->peers[1], most);
                (void)sd_event_run(w->event, 0);
                if (!there_ended)
                        there_ended = flow_receive(&there, w->peers[1], most);
                if (!back_ended)
                        back_ended = flow_receive(&back, w->peers[0], most);
        }
        assert_int_equal(there.got, size);
        assert_int_equal(back.got, size);
        assert_ended(w, 0);
        assert_int_equal(w->counters[0], size);
        assert_int_equal(w->counters[1], size);
}

/* Writes until nothing more is taken, whatever the loop does. */
static inline _unused_ size_t write_until_full(World *w, int fd)
{
        static const char block[65536];
        size_t sum = 0;

        for (;;) {
                ssize_t k = send(fd, block, sizeof(block), MSG_NOSIGNAL);

                if (k > 0) {
                        sum += (size_t)k;
                        continue;
                }
                assert_int_equal(errno, EAGAIN);
                if (sd_event_run(w->event, 0) == 0)
                        return sum;
        }
}

static inline _unused_ size_t read_until_end(World *w, int fd)
{
        static char block[65536];
        size_t sum = 0;
        ssize_t k;

        while ((k = read(fd, block, sizeof(block))) != 0) {
                if (k > 0) {
                        sum += (size_t)k;
                        continue;
                }
                assert_int_equal(errno, EAGAIN);
                assert_true(sd_event_run(w->event, LONG) > 0);
        }
        return sum;
}

#define with_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
