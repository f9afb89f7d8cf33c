/* SPDX-License-Identifier: MIT */
#include "tests/unit/pump-world.h"

#include <malloc.h>

static void test_both_ways_at_once(void **state)
{
        World *w = *state;

        begin_sockets(w, UNIX, TCP, plain);
        exchange_streams(w, STREAM_SIZE, SIZE_MAX);
}

static void test_tcp_to_unix(void **state)
{
        World *w = *state;

        begin_sockets(w, TCP, UNIX, plain);
        exchange_streams(w, STREAM_SIZE, SIZE_MAX);
}

static void test_small_pieces(void **state)
{
        World *w = *state;

        begin_sockets(w, UNIX, UNIX, plain);
        exchange_streams(w, 40000, 7);
}

static void test_half_close_each_way(void **state)
{
        World *w = *state;

        for (unsigned i = 0; i < 2; i++) {
                begin_sockets(w, UNIX, TCP, plain);
                say(w->peers[i], "question");
                assert_int_equal(shutdown(w->peers[i], SHUT_WR), 0);
                hear(w, w->peers[1 - i], "question");
                hear_end(w, w->peers[1 - i]);
                assert_int_equal(w->n_calls, 0);
                say(w->peers[1 - i], "answer");
                hear(w, w->peers[i], "answer");
                w->peers[1 - i] = fd_close(w->peers[1 - i]);
                hear_end(w, w->peers[i]);
                assert_ended(w, 0);
                w->peers[i] = fd_close(w->peers[i]);
                w->n_calls = 0;
        }
}

/* A reader that stops stops its writer, and the other way goes on. */
static void test_reader_stops(void **state)
{
        World *w = *state;
        size_t sent;

        begin_sockets(w, UNIX, UNIX, plain);
        sent = write_until_full(w, w->peers[0]);
        assert_true(sent < 4 * WAY_BLOCK_SIZE);
        say(w->peers[1], "still here");
        hear(w, w->peers[0], "still here");
        assert_int_equal(shutdown(w->peers[0], SHUT_WR), 0);
        assert_int_equal(read_until_end(w, w->peers[1]), sent);
        w->peers[1] = fd_close(w->peers[1]);
        assert_ended(w, 0);
}

/* What was read before its writer had gone is delivered. */
static void test_writer_gone(void **state)
{
        World *w = *state;
        size_t sent;

        for (Kind kind = UNIX; kind <= TCP; kind++) {
                begin_sockets(w, kind, UNIX, plain);
                sent = write_until_full(w, w->peers[0]);
                w->peers[0] = fd_close(w->peers[0]);
                run_dry(w);
                assert_int_equal(read_until_end(w, w->peers[1]), sent);
                w->peers[1] = fd_close(w->peers[1]);
                finish(w);
                w->n_calls = 0;
        }
}

/* Its reader is gone: nothing holds the writer, and both are closed. */
static void test_reader_gone(void **state)
{
        World *w = *state;

        begin_sockets(w, UNIX, UNIX, plain);
        (void)write_until_full(w, w->peers[0]);
        w->peers[1] = fd_close(w->peers[1]);
        assert_ended(w, -ECONNRESET);
        assert_int_equal(w->end, 1);
}

static void reset_peer(World *w, unsigned i)
{
        const struct linger now = { .l_onoff = 1 };

        assert_int_equal(setsockopt(w->peers[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
        w->peers[i] = fd_close(w->peers[i]);
}

static void hear_reset(World *w, int fd)
{
        char byte;
        ssize_t k;

        while ((k = read(fd, &byte, 1)) < 0 && errno == EAGAIN)
                if (w->n_calls == 0)
                        assert_true(sd_event_run(w->event, LONG) >= 0);
        assert_int_equal(k, -1);
        assert_int_equal(errno, ECONNRESET);
}

static void test_reset(void **state)
{
        World *w = *state;

        begin_sockets(w, UNIX, TCP, plain);
        say(w->peers[1], "last words");
        hear(w, w->peers[0], "last words");
        reset_peer(w, 1);
        assert_ended(w, -ECONNRESET);
        assert_int_equal(w->end, 1);
        hear_end(w, w->peers[0]);
}

/* Of TCP the other end is reset too, and not before it has received what was said. */
static void test_reset_is_passed_on(void **state)
{
        World *w = *state;

        begin_sockets(w, TCP, TCP, plain);
        say(w->peers[1], "last words");
        hear(w, w->peers[0], "last words");
        reset_peer(w, 1);
        hear_reset(w, w->peers[0]);
        assert_ended(w, -ECONNRESET);
        assert_int_equal(w->end, 1);
}

/* A Unix socket's writer that leaves what it was sent unread. */
static void test_reset_of_unix_is_passed_on(void **state)
{
        World *w = *state;

        begin_sockets(w, TCP, UNIX, plain);
        say(w->peers[0], "unread");
        while (w->counters[0] == 0)
                assert_true(sd_event_run(w->event, LONG) > 0);
        w->peers[1] = fd_close(w->peers[1]);
        hear_reset(w, w->peers[0]);
        assert_ended(w, -ECONNRESET);
}

/* It had ended its own sending before. */
static void test_reset_is_passed_on_to_a_half_closed_end(void **state)
{
        World *w = *state;

        begin_sockets(w, TCP, TCP, plain);
        assert_int_equal(shutdown(w->peers[0], SHUT_WR), 0);
        hear_end(w, w->peers[1]);
        reset_peer(w, 1);
        hear_reset(w, w->peers[0]);
        assert_ended(w, -ECONNRESET);
}

/* send(2) is told of it, and then recv(2) knows of an end alone. */
static void test_reset_that_the_write_meets(void **state)
{
        World *w = *state;

        begin_sockets(w, TCP, TCP, plain);
        say(w->peers[0], "x");
        hear(w, w->peers[1], "x");
        /* The loop hears of it in this order. */
        say(w->peers[0], "y");
        reset_peer(w, 1);
        hear_reset(w, w->peers[0]);
        finish(w);
        assert_int_equal(w->end, 1);
}

/* The reader is slow: for as long as something is under way to it, it is not reset. */
static void test_reset_takes_nothing_back(void **state)
{
        World *w = *state;
        size_t sent;

        begin_sockets(w, TCP, UNIX, plain);
        sent = write_until_full(w, w->peers[1]);
        say(w->peers[0], "unread");
        run_dry(w);
        w->peers[1] = fd_close(w->peers[1]);
        run_dry(w);
        for (size_t got = 0; got < sent;) {
                static char block[65536];
                ssize_t k = read(w->peers[0], block, sizeof(block));

                if (k < 0)
                        assert_int_equal(errno, EAGAIN);
                assert_int_not_equal(k, 0);
                got += (size_t)MAX_OF(k, 0);
                if (w->n_calls == 0)
                        (void)sd_event_run(w->event, 0);
        }
        hear_reset(w, w->peers[0]);
        assert_ended(w, -ECONNRESET);
}

/* It does not read at all: what it was sent is worth more to it than the truth about its end. */
static void test_reset_gives_way_to_an_end(void **state)
{
        World *w = *state;
        size_t sent, got = 0, n;

        begin_sockets(w, TCP, UNIX, plain);
        sent = write_until_full(w, w->peers[1]);
        /* What is left is within the buffers of TCP, for the pump to hold none of it. */
        while (w->counters[1] < sent) {
                static char block[65536];
                ssize_t k = read(w->peers[0], block, sizeof(block));

                got += (size_t)MAX_OF(k, 0);
                (void)sd_event_run(w->event, 0);
        }
        say(w->peers[0], "unread");
        run_dry(w);
        w->peers[1] = fd_close(w->peers[1]);
        finish(w);
        n = read_until_end(w, w->peers[0]);
        assert_int_equal(got + n, sent);
}

/* Closing a TCP socket with unread input resets the connection, and with it goes what the peer
 * has not read yet. */
static void test_last_words_survive_unread_input(void **state)
{
        World *w = *state;
        static char words[100000];

        memset(words, 'x', sizeof(words));
        begin_sockets(w, TCP, UNIX, plain);
        assert_int_equal(send(w->peers[1], words, sizeof(words), MSG_NOSIGNAL), sizeof(words));
        w->peers[1] = fd_close(w->peers[1]);
        assert_true(send(w->peers[0], words, sizeof(words), MSG_NOSIGNAL) > 0);
        run_dry(w);
        assert_int_equal(w->n_calls, 0);
        assert_true(send(w->peers[0], words, sizeof(words), MSG_NOSIGNAL) > 0);
        assert_int_equal(read_until_end(w, w->peers[0]), sizeof(words));
        w->peers[0] = fd_close(w->peers[0]);
        finish(w);
}

static void test_idle_timeout(void **state)
{
        World *w = *state;
        PumpSettings settings = { .idle_timeout = 20000 };

        begin_sockets(w, UNIX, TCP, settings);
        say(w->peers[0], "x");
        assert_ended(w, -ETIMEDOUT);
        hear(w, w->peers[1], "x");
        hear_end(w, w->peers[1]);
}

static void test_end_with(void **state)
{
        World *w = *state;
        PumpSettings settings = { .end_with = { true, false } };

        begin_sockets(w, UNIX, UNIX, settings);
        assert_int_equal(shutdown(w->peers[1], SHUT_WR), 0);
        hear_end(w, w->peers[0]);
        assert_int_equal(w->n_calls, 0);
        say(w->peers[0], "bye");
        assert_int_equal(shutdown(w->peers[0], SHUT_WR), 0);
        assert_ended(w, 0);
        hear(w, w->peers[1], "bye");
        hear_end(w, w->peers[1]);
}

static void test_end_with_first(void **state)
{
        World *w = *state;
        PumpSettings settings = { .end_with = { true, false } };

        begin_sockets(w, UNIX, UNIX, settings);
        say(w->peers[0], "bye");
        assert_int_equal(shutdown(w->peers[0], SHUT_WR), 0);
        assert_ended(w, 0);
        hear(w, w->peers[1], "bye");
}

static void test_freed_later(void **state)
{
        World *w = *state;

        w->keeps = true;
        begin_sockets(w, UNIX, UNIX, plain);
        w->peers[0] = fd_close(w->peers[0]);
        assert_ended(w, 0);
        w->pump = pump_free(w->pump);
        hear_end(w, w->peers[1]);
}

static void test_last_active(void **state)
{
        World *w = *state;
        uint64_t before, now;

        begin_sockets(w, UNIX, UNIX, plain);
        before = pump_last_active(w->pump);
        assert_true(before > 0);
        say(w->peers[0], "x");
        hear(w, w->peers[1], "x");
        run_dry(w);
        assert_true(sd_event_now(w->event, CLOCK_MONOTONIC, &now) >= 0);
        assert_in_range(pump_last_active(w->pump), before, now);
}

/* Files and pipes, as a command has them for its standard input and output */

static int scratch_file(void)
{
        char path[] = "/tmp/guestwire-XXXXXX";
        int fd = mkostemp(path, O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(unlink(path), 0);
        return fd;
}

static void fill_file(int fd, size_t n)
{
        static unsigned char block[65536];

        for (size_t at = 0; at < n; at += sizeof(block)) {
                for (size_t i = 0; i < sizeof(block); i++)
                        block[i] = flow_byte(at + i);
                assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
        }
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static void assert_file(int fd, size_t n)
{
        static unsigned char block[65536];
        size_t at = 0;
        ssize_t k;

        while ((k = pread(fd, block, sizeof(block), (off_t)at)) > 0) {
                for (ssize_t i = 0; i < k; i++)
                        if (block[i] != flow_byte(at + (size_t)i))
                                fail_msg("another byte at %zu", at + (size_t)i);
                at += (size_t)k;
        }
        assert_int_equal(at, n);
}

/* An echo on the far side, and files on this one: all of it comes back. */
static void regular_files(World *w, int flags)
{
        int in = scratch_file(), out = scratch_file(), pair[2];
        _cleanup_close_ int kept = fcntl(out, F_DUPFD_CLOEXEC, 0);
        Flow seen = { .size = STREAM_SIZE };
        PumpSettings settings = plain;
        static char block[65536];
        ssize_t k;

        fill_file(in, STREAM_SIZE);
        assert_int_equal(fcntl(out, F_SETFL, flags), 0);
        make_pair(TCP, pair);
        w->peers[1] = pair[0];
        begin(w, (PumpEnd[]){ { in, out }, { pair[1], pair[1] } }, &settings);
        while (seen.got < STREAM_SIZE) {
                k = read(w->peers[1], block, sizeof(block));
                for (ssize_t done = 0; done < k;) {
                        ssize_t n = write(w->peers[1], block + done, (size_t)(k - done));

                        done += MAX_OF(n, 0);
                        (void)sd_event_run(w->event, 0);
                }
                seen.got += (size_t)MAX_OF(k, 0);
                (void)sd_event_run(w->event, 0);
        }
        hear_end(w, w->peers[1]);
        w->peers[1] = fd_close(w->peers[1]);
        assert_ended(w, 0);
        assert_file(kept, STREAM_SIZE);
}

static void test_regular_files(void **state)
{
        regular_files(*state, 0);
}

static void test_appended_file(void **state)
{
        regular_files(*state, O_APPEND);
}

/* The end of a peer closes the `out` of its own, and the other way goes on. */
static void test_pipes(void **state)
{
        World *w = *state;
        PumpSettings settings = plain;
        int in[2], out[2], pair[2];

        assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
        make_pair(UNIX, pair);
        w->peers[0] = pair[0];
        begin(w, (PumpEnd[]){ { in[0], out[1] }, { pair[1], pair[1] } }, &settings);
        assert_int_equal(write(in[1], "there", 5), 5);
        hear(w, pair[0], "there");
        say(pair[0], "back");
        hear(w, out[0], "back");
        assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
        hear_end(w, out[0]);
        assert_int_equal(write(in[1], "more", 4), 4);
        hear(w, pair[0], "more");
        assert_int_equal(close(in[1]), 0);
        hear_end(w, pair[0]);
        assert_ended(w, 0);
        assert_int_equal(close(out[0]), 0);
}

/* Nobody reads the standard output any more. */
static void test_pipe_reader_gone(void **state)
{
        World *w = *state;
        PumpSettings settings = plain;
        int in[2], out[2], pair[2];

        assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
        make_pair(UNIX, pair);
        w->peers[0] = pair[0];
        begin(w, (PumpEnd[]){ { in[0], out[1] }, { pair[1], pair[1] } }, &settings);
        (void)write_until_full(w, pair[0]);
        assert_int_equal(close(out[0]), 0);
        w->peers[0] = fd_close(w->peers[0]);
        assert_ended(w, -EPIPE);
        assert_int_equal(w->end, 0);
        assert_int_equal(close(in[1]), 0);
}

/* The same with the input open, where the end of one is to be the end of all. */
static void test_end_without(void **state)
{
        World *w = *state;
        PumpSettings settings = { .end_without = { true, false } };
        int in[2], out[2], pair[2];

        assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
        make_pair(UNIX, pair);
        w->peers[0] = pair[0];
        begin(w, (PumpEnd[]){ { in[0], out[1] }, { pair[1], pair[1] } }, &settings);
        say(pair[0], "heard");
        hear(w, out[0], "heard");
        assert_int_equal(close(out[0]), 0);
        /* Nothing is lost so far. */
        run_dry(w);
        assert_int_equal(w->n_calls, 0);
        assert_int_equal(write(in[1], "there", 5), 5);
        hear(w, pair[0], "there");
        say(pair[0], "unheard");
        assert_ended(w, -EPIPE);
        assert_int_equal(w->end, 0);
        hear_end(w, pair[0]);
        assert_int_equal(close(in[1]), 0);
}

static void test_no_input_and_no_output(void **state)
{
        World *w = *state;
        PumpSettings settings = plain;
        int pair[2];

        make_pair(UNIX, pair);
        w->peers[0] = pair[0];
        begin(w, (PumpEnd[]){ { -1, -1 }, { pair[1], pair[1] } }, &settings);
        say(pair[0], "to nobody");
        hear_end(w, pair[0]);
        assert_int_equal(w->n_calls, 0);
        assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
        assert_ended(w, 0);
        assert_int_equal(w->counters[1], strlen("to nobody"));
}

static void test_idle_ones_hold_little(void **state)
{
        World *w = *state;
        Pump *pumps[64];
        int peers[64][2];
        struct mallinfo2 before, after;

        for (size_t i = 0; i < ELEMENTSOF(pumps); i++) {
                if (i == 1)
                        before = mallinfo2();
                begin_sockets(w, UNIX, UNIX, plain);
                say(w->peers[0], "x");
                hear(w, w->peers[1], "x");
                run_dry(w);
                pumps[i] = TAKE_PTR(w->pump);
                peers[i][0] = TAKE_FD(w->peers[0]);
                peers[i][1] = TAKE_FD(w->peers[1]);
        }
        after = mallinfo2();
        for (size_t i = 0; i < ELEMENTSOF(pumps); i++) {
                pump_free(pumps[i]);
                fd_close(peers[i][0]);
                fd_close(peers[i][1]);
        }
        assert_true(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd <
                    ELEMENTSOF(pumps) * 4096);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_world(test_both_ways_at_once),
                with_world(test_tcp_to_unix),
                with_world(test_small_pieces),
                with_world(test_half_close_each_way),
                with_world(test_reader_stops),
                with_world(test_writer_gone),
                with_world(test_reader_gone),
                with_world(test_reset),
                with_world(test_reset_is_passed_on),
                with_world(test_reset_of_unix_is_passed_on),
                with_world(test_reset_is_passed_on_to_a_half_closed_end),
                with_world(test_reset_that_the_write_meets),
                with_world(test_reset_takes_nothing_back),
                with_world(test_reset_gives_way_to_an_end),
                with_world(test_last_words_survive_unread_input),
                with_world(test_idle_timeout),
                with_world(test_end_with),
                with_world(test_end_with_first),
                with_world(test_freed_later),
                with_world(test_last_active),
                with_world(test_regular_files),
                with_world(test_appended_file),
                with_world(test_pipes),
                with_world(test_pipe_reader_gone),
                with_world(test_end_without),
                with_world(test_no_input_and_no_output),
                with_world(test_idle_ones_hold_little),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
