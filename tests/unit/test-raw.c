/* SPDX-License-Identifier: MIT */

/* Raw calls over a socket pair: the frames to the byte, pressure both ways, and how it ends. */
#include <fcntl.h>

#include "tests/unit/raw-world.h"

static void test_both_ways_in_steps(void **state)
{
        Fixture *f = *state;

        for (size_t step = 1; step < 300; step += step < 40 ? 1 : 37) {
                Buffer b = BUFFER_NULL;

                world.reply_at_end = true;
                world.ended = 0;
                add_text(&b, PING("0") "\n" RUN("7") " \r\n");
                add_frame(&b, 0, PING("8"), strlen(PING("8")));
                add_frame(&b, 1, "hel", 3);
                add_frame(&b, 0, " 1 ", 3);
                add_frame(&b, 1, "lo\n", 3);
                add_frame(&b, 3, "", 0);
                add_frame(&b, 1, "", 0);
                /* Dropped: the call has ended. */
                add_frame(&b, 1, "more", 4);
                add_frame(&b, 9, "", 0);
                add_frame(&b, 0, "", 0);
                add_text(&b, PING("9"));
                feed_in_steps(f, &b, step);
                expect_words(f, false,
                             PONG("0") RAW("7") "[0:" PONG(
                                     "8") "][0:{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,"
                                          "\"message\":\"a request is an object with jsonrpc, "
                                          "method, and perhaps params and id\"},\"id\":null}\n]"
                                          "[2:hello\n][2][0:" ENDED("7") "][0]" PONG("9"));
                assert_int_equal(world.ended, 1U << 1 | 1U << 3);
                buffer_done(&world.in[1]);
        }
}

/* What comes behind the caller's last end waits for the call's. */
static void test_caller_ends_first(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("\"a\""));
        feed_frame(f, "0");
        feed_text(f, PING("2") RUN("3"));
        expect_words(f, false, RAW("\"a\""));
        assert_int_equal(f->n_echoed, 0);
        assert_true(call_raw_is_input_over(world.call));
        raw_put(2, "x", 1);
        raw_reply("{\"exit\":0}");
        expect_words(f, true, "[2:x][2][0:" ENDED("\"a\"") "][0]" PONG("2") RAW("3"));
        raw_reply("1");
        expect_words(f, true, "[0:{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":3}\n][0]");
        assert_false(f->ended);
        /* It need not end its side in as many words. */
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_true(f->ended);
        assert_int_equal(f->error, 0);
}

/* It begins later than it was called, in another turn of the loop. */
static void test_begun_later(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"raw.later\"}");
        feed_text(f, PING("2"));
        expect_words(f, false, PONG("2"));
        assert_int_equal(raw_begin(world.call), 0);
        feed_text(f, "\n");
        feed_frame(f, "3:abc");
        feed_frame(f, "0:" PING("4"));
        expect_words(f, false, RAW("1") "[0:" PONG("4") "]");
        assert_int_equal(world.in[3].size, 3);
        call_fail(TAKE_PTR(world.call), REASON_FAILED, ENOSPC, "no");
        feed_frame(f, "0");
        feed_text(f, PING("5"));
        expect_words(f, true,
                     "[0:{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"no\","
                     "\"data\":{\"reason\":\"failed\",\"errno\":\"ENOSPC\"}},\"id\":1}\n][0]" PONG(
                             "5"));
}

static void test_alone(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}" RUN("2"));
        expect_among_words(f, false, "\"reason\":\"busy\"", "\"id\":2}");
        call_reply_text(f->held[--f->n_held], "1", 1);
        expect_words(f, false, "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");

        feed_text(f, "[" RUN("3") "]");
        expect_among_words(f, false, "-32602", "\"id\":3}]");
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"method\":\"raw.run\"}" PING("4"));
        expect_words(f, false, PONG("4"));
        assert_null(world.call);
        assert_int_equal(f->stats.errors_protocol[RPC_INVALID_REQUEST], 1);

        /* Nor is there room for a second beside a first, though for any other. */
        feed_text(f, RUN("5"));
        feed_frame(f, "0:" RUN("6"));
        expect_among_words(f, false, "\"reason\":\"busy\"", "\"id\":6}");
        feed_frame(f, "0:{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"test.hold\"}");
        raw_reply("{\"exit\":0}");
        /* Channel 0 lasts until that, too, has ended. */
        expect_words(f, true, "[0:" ENDED("5") "]");
        feed_frame(f, "0:" RUN("8"));
        expect_among_words(f, true, "\"reason\":\"busy\"", "\"id\":8}");
        call_reply_text(f->held[--f->n_held], "1", 1);
        expect_words(f, true, "[0:{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":7}\n][0]");
        feed_frame(f, "0:" PING("8"));
        expect_words(f, false, "");
        feed_frame(f, "0");
        feed_text(f, PING("9"));
        expect_words(f, false, PONG("9"));
}

static void test_texts_in_frames(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        /* One text each: not none, not two, not half, not none at all. */
        feed_frame(f, "0: ");
        feed_frame(f, "0:" PING("2") PING("3"));
        feed_frame(f, "0:{\"jsonrpc\":\"2.0\"");
        feed_frame(f, "0:\"\xff\"");
        feed_frame(f, "0:[" PING("4") "," PING("5") "]");
        {
                bool raw = false;
                _cleanup_free_ char *got = collect_words(f, &raw);
                unsigned n = 0;

                for (const char *p = got; (p = strstr(p, "-32700")); p++)
                        n++;
                assert_int_equal(n, 4);
                assert_null(strstr(got, "newline"));
                assert_non_null(
                        strstr(got, "\"id\":4},{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":5}]"));
        }
        /* What no frame can hold is an error by the same id. */
        feed_frame(f, "0:{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"test.huge\"}");
        expect_among_words(f, true, "\"reason\":\"limit\"", "\"id\":6}");
        feed_frame(f, "0:[{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"test.huge\"}]");
        expect_among_words(f, true, "\"reason\":\"limit\"", "\"id\":null}");
        /* A call is told things by channel 0, too. */
        call_notify(world.call, "raw.note", json_object_new_int(5));
        feed_frame(f, "0:{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"rpc.cancel\",\"params\":{"
                      "\"id\":1}}");
        expect_among_words(f, true,
                           "[0:{\"jsonrpc\":\"2.0\",\"method\":\"raw.note\",\"params\":5}\n]",
                           "\"reason\":\"cancelled\"}},\"id\":1}\n][0:{\"jsonrpc\":\"2.0\","
                           "\"result\":{},\"id\":7}\n][0]");
        assert_int_equal(world.n_told[CALL_CANCELLED], 1);
}

static void test_holder_takes_little(void **state)
{
        Fixture *f = *state;
        static char data[200000];
        size_t fed = 0, before;

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (char)(i % 251);
        world.allowance = 3;
        feed_text(f, RUN("1"));
        for (unsigned i = 0; i < 10; i++) {
                uint8_t header[FRAME_HEADER_SIZE];
                size_t sent = 0;

                frame_put_header(header, 1, sizeof(data));
                if (send(f->fd, header, sizeof(header), 0) != sizeof(header))
                        break;
                while (sent < sizeof(data)) {
                        ssize_t n = send(f->fd, data + sent, sizeof(data) - sent, 0);

                        if (n > 0)
                                sent += (size_t)n;
                        /* Neither side takes more. */
                        else if (sd_event_run(f->event, 0) == 0)
                                break;
                }
                fed += sent;
                if (sent < sizeof(data))
                        break;
        }
        assert_int_equal(world.in[1].size, 3);
        assert_true(fed < 150000);

        /* Nothing is read; then in small steps, without a gap or a double. */
        for (size_t step = 1; world.in[1].size < fed; step = step * 3 + 1) {
                before = world.in[1].size;
                world.allowance = step;
                call_raw_resume(world.call);
                turn(f);
                assert_int_equal(world.in[1].size, MIN_OF(fed, before + step));
        }
        assert_memory_equal(buffer_peek(&world.in[1]), data, fed);
        raw_reply("1");
}

/* Where nothing of a frame was taken, not even its header is lost; nor is a channel's end, or what
 * comes on another channel. */
static void test_holder_takes_nothing(void **state)
{
        Fixture *f = *state;
        int room = 256 * 1024;

        /* For what waits in the socket byte by byte. */
        assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
        for (size_t step = 1; step < 60; step++) {
                Buffer b = BUFFER_NULL;

                world.allowance = 0;
                add_text(&b, RUN("1"));
                add_frame(&b, 1, "ab", 2);
                add_frame(&b, 1, "", 0);
                add_frame(&b, 3, "c", 1);
                add_frame(&b, 0, "", 0);
                feed_in_steps(f, &b, step);
                assert_int_equal(world.in[1].size + world.in[3].size + world.ended, 0);
                call_raw_resume(world.call);
                turn(f);
                assert_int_equal(world.in[1].size, 0);
                world.allowance = 1;
                call_raw_resume(world.call);
                turn(f);
                assert_int_equal(world.in[1].size, 1);
                world.allowance = SIZE_MAX;
                call_raw_resume(world.call);
                turn(f);
                assert_int_equal(world.in[1].size, 2);
                assert_int_equal(world.in[3].size, 1);
                assert_int_equal(world.ended, 1U << 1);
                raw_reply("{\"exit\":0}");
                expect_words(f, false, RAW("1") "[0:" ENDED("1") "][0]");
                buffer_done(&world.in[1]);
                buffer_done(&world.in[3]);
                world.ended = 0;
        }
}

static void test_caller_does_not_read(void **state)
{
        Fixture *f = *state;
        Buffer all = BUFFER_NULL;
        size_t seen = 0, used;
        FrameReader r = { 0 };
        FramePiece piece;
        int what = FRAME_MORE;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"raw.produce\"}");
        assert_true(world.left > 3 * 1024 * 1024);
        assert_int_equal(world.n_writable, 1);
        /* It is heard all the same. */
        feed_frame(f, "0:" PING("2"));
        assert_int_equal(f->n_echoed, 1);

        collect_bytes(f, &all);
        assert_true(world.n_writable > 2);
        assert_null(world.call);
        buffer_consume(&all, strlen(RAW("1")));
        while (all.size > 0) {
                what = frame_next(&r, buffer_peek(&all), all.size, &used, &piece);
                assert_true(what > 0);
                if (what == FRAME_PIECE && piece.channel == 2)
                        for (size_t i = 0; i < piece.n; i++, seen++)
                                assert_int_equal((uint8_t)piece.data[i], seen % 251);
                buffer_consume(&all, used);
        }
        assert_int_equal(seen, 4 * 1024 * 1024 + 1);
        assert_true(what == FRAME_END && piece.channel == FRAME_CONTROL);
        assert_int_equal(f->stats.bytes_sent > seen, true);
}

/* Takes what f has sent, and checks that channel 2 counts on. */
static void count_on(Fixture *f, FrameReader *r, Buffer *all, size_t *seen)
{
        size_t used;
        FramePiece piece;

        collect_bytes(f, all);
        while (all->size > 0) {
                int what = frame_next(r, buffer_peek(all), all->size, &used, &piece);

                assert_true(what >= 0);
                if (what == FRAME_PIECE && piece.channel == 2)
                        for (size_t i = 0; i < piece.n; i++, (*seen)++)
                                assert_int_equal((uint8_t)piece.data[i], *seen % 251);
                buffer_consume(all, used);
        }
}

/* What waits in a pipe, little or much, for a caller that reads only now and then. */
static void test_from_a_pipe(void **state)
{
        static const size_t amounts[] = { 1, 70000, 16383, 16384, 5, 65536, 100, 200000, 31 };
        Fixture *f = *state;
        Buffer all = BUFFER_NULL;
        FrameReader r = { 0 };
        size_t wrote = 0, went = 0, seen = 0;
        int pair[2];

        assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
        assert_true(fcntl(pair[1], F_SETPIPE_SZ, 256 * 1024) > 0);
        feed_text(f, RUN("1"));
        collect_bytes(f, &all);
        buffer_consume(&all, strlen(RAW("1")));
        assert_int_equal(call_raw_splice(world.call, 2, pair[0], FRAME_PAYLOAD_MAX), -EAGAIN);
        for (size_t i = 0; i < 10 * ELEMENTSOF(amounts); i++) {
                static char data[200000];
                size_t n = amounts[i % ELEMENTSOF(amounts)];
                ssize_t k;

                for (size_t j = 0; j < n; j++)
                        data[j] = (char)((wrote + j) % 251);
                assert_int_equal(write(pair[1], data, n), n);
                wrote += n;
                while ((k = call_raw_splice(world.call, 2, pair[0], 100000)) > 0)
                        went += (size_t)k;
                assert_int_equal(k, -EAGAIN);
                assert_int_equal(went, wrote);
                if (i % 3 == 0)
                        call_notify(world.call, "raw.note", json_object_new_int(5));
                if (i % 4 == 0)
                        count_on(f, &r, &all, &seen);
        }
        fd_close(pair[1]);
        assert_int_equal(call_raw_splice(world.call, 2, pair[0], FRAME_PAYLOAD_MAX), 0);
        fd_close(pair[0]);
        count_on(f, &r, &all, &seen);
        assert_int_equal(seen, wrote);
        assert_true(frame_is_between(&r));
        raw_reply("1");
}

/* What is no pipe is read. */
static void test_from_a_socket(void **state)
{
        Fixture *f = *state;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                         0);
        feed_text(f, RUN("1"));
        assert_int_equal(send(pair[1], "abc", 3, 0), 3);
        assert_int_equal(call_raw_splice(world.call, 2, pair[0], 2), 2);
        assert_int_equal(call_raw_splice(world.call, 2, pair[0], 2), 1);
        fd_close(pair[1]);
        assert_int_equal(call_raw_splice(world.call, 2, pair[0], 2), 0);
        assert_int_equal(call_raw_splice(world.call, 2, -1, 2), -EBADF);
        fd_close(pair[0]);
        raw_reply("{\"exit\":0}");
        expect_words(f, false, RAW("1") "[2:ab][2:c][2][0:" ENDED("1") "][0]");
}

/* Nor is it let ask for replies without end. */
static void test_replies_not_read(void **state)
{
        Fixture *f = *state;
        Buffer b = BUFFER_NULL, all = BUFFER_NULL;
        size_t sent = 0;
        ssize_t n;

        feed_text(f, RUN("1"));
        add_frame(&b, 0, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.big\"}",
                  strlen("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.big\"}"));
        for (;;) {
                n = send(f->fd, buffer_peek(&b), b.size, 0);
                if (n == (ssize_t)b.size)
                        sent++;
                else if (sd_event_run(f->event, 0) == 0)
                        break;
        }
        assert_true(sent > f->n_echoed);
        assert_true(f->n_echoed * 32 * 1024 < 3 * FRAME_PAYLOAD_MAX);
        collect_bytes(f, &all);
        assert_true(f->n_echoed >= sent);
        raw_reply("1");
        buffer_done(&all);
        buffer_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                RAW_TEST(test_from_a_pipe),
                RAW_TEST(test_from_a_socket),
                RAW_TEST(test_replies_not_read),
                RAW_TEST(test_both_ways_in_steps),
                RAW_TEST(test_caller_ends_first),
                RAW_TEST(test_begun_later),
                RAW_TEST(test_alone),
                RAW_TEST(test_texts_in_frames),
                RAW_TEST(test_holder_takes_little),
                RAW_TEST(test_holder_takes_nothing),
                RAW_TEST(test_caller_does_not_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
