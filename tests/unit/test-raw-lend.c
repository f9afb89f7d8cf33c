/* SPDX-License-Identifier: MIT */

/* The connection of a raw call with somebody else, and back again. */
#include <fcntl.h>

#include "tests/unit/raw-world.h"

static void on_ready(Call *call, int fd, const char *received, size_t n, void *userdata)
{
        assert_ptr_equal(call, world.call);
        assert_ptr_equal(userdata, &world);
        assert_int_equal(world.fd, -EBADF);
        world.n_lent++;
        assert_int_equal(buffer_append(&world.received, received, n), 0);
        if (world.return_at_once) {
                world.return_at_once = false;
                call_raw_return(call, received, n, 0, 0, 0);
                return;
        }
        world.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        assert_true(world.fd >= 0);
}

static void lend(Fixture *f)
{
        buffer_done(&world.received);
        call_raw_lend(world.call, on_ready, &world);
        turn(f);
}

static void give_back(Fixture *f, const Buffer *unread, int error)
{
        world.fd = fd_close(world.fd);
        call_raw_return(world.call, unread ? buffer_peek(unread) : NULL, unread ? unread->size : 0,
                        100, 1000, error);
}

static void expect_received(const char *data, size_t n)
{
        assert_int_equal(world.received.size, n);
        if (n > 0)
                assert_memory_equal(buffer_peek(&world.received), data, n);
}

static void test_there_and_back(void **state)
{
        Fixture *f = *state;
        uint64_t sent, received;
        Buffer unread = BUFFER_NULL;
        char c;

        feed_text(f, RUN("1"));
        lend(f);
        assert_int_equal(world.n_lent, 1);
        expect_received("", 0);
        expect_words(f, false, RAW("1"));

        /* Nothing is read or written here. */
        assert_int_equal(send(f->fd, "x", 1, 0), 1);
        turn(f);
        assert_int_equal(recv(world.fd, &c, 1, MSG_DONTWAIT), 1);
        assert_int_equal(c, 'x');
        assert_int_equal(send(world.fd, "\0\0\0\1\2y", 6, MSG_DONTWAIT), 6);
        expect_words(f, true, "[2:y]");

        sent = f->stats.bytes_sent;
        received = f->stats.bytes_received;
        add_frame(&unread, 1, "abc", 3);
        unread.size -= 2;
        give_back(f, &unread, 0);
        buffer_done(&unread);
        assert_int_equal(f->stats.bytes_sent, sent + 1000);
        assert_int_equal(f->stats.bytes_received, received + 100);
        feed(f, "bc", 2);
        assert_int_equal(world.in[1].size, 3);
        raw_reply("{\"exit\":0}");
        feed_frame(f, "0");
        feed_text(f, PING("2"));
        expect_words(f, true, "[0:" ENDED("1") "][0]" PONG("2"));
}

/* What a borrower does that finds a text: it gives back whatever it has read. */
static void read_and_give_back(void)
{
        char buffer[4096];
        ssize_t n;

        n = recv(world.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n > 0)
                assert_int_equal(buffer_append(&world.received, buffer, (size_t)n), 0);
        give_back(NULL, &world.received, 0);
        buffer_done(&world.received);
}

/* A text is taken here before it is lent again, wherever its bytes are. */
static void test_text_between(void **state)
{
        Fixture *f = *state;
        Buffer all = BUFFER_NULL;
        size_t text = FRAME_HEADER_SIZE + strlen(PING("2"));

        add_frame(&all, 0, PING("2"), strlen(PING("2")));
        add_frame(&all, 1, "abc", 3);
        for (size_t cut = 0; cut <= text; cut++) {
                Buffer unread = BUFFER_NULL;
                unsigned times = 1;

                f->n_echoed = world.n_lent = 0;
                feed_text(f, RUN("1"));
                lend(f);
                assert_int_equal(world.n_lent, 1);
                assert_int_equal(buffer_append(&unread, buffer_peek(&all), cut), 0);
                assert_int_equal(send(f->fd, buffer_peek(&all) + cut, all.size - cut, 0),
                                 all.size - cut);
                give_back(f, &unread, 0);
                buffer_done(&unread);
                lend(f);
                /* Without its header it is not known for one: the borrower finds out. */
                if (f->n_echoed == 0) {
                        assert_true(cut > 0 && cut < FRAME_HEADER_SIZE);
                        expect_received(buffer_peek(&all), cut);
                        read_and_give_back();
                        lend(f);
                        times++;
                }
                assert_int_equal(f->n_echoed, 1);
                assert_int_equal(world.n_lent, times + 1);
                expect_words(f, false, RAW("1") "[0:" PONG("2") "]");
                read_and_give_back();
                turn(f);
                assert_int_equal(world.in[1].size, 3);
                buffer_done(&world.in[1]);
                raw_reply("{\"exit\":0}");
                feed_frame(f, "0");
                expect_words(f, true, "[0:" ENDED("1") "][0]");
        }
        buffer_done(&all);
}

/* Not within a frame; and what came behind it goes along. */
static void test_between_two_frames(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        feed(f, "\0\0\0\3\1a", 6);
        lend(f);
        assert_int_equal(world.n_lent, 0);
        feed(f, "bc\0\0\0\2\1x", 8);
        assert_int_equal(world.in[1].size, 3);
        assert_int_equal(world.n_lent, 1);
        expect_received("\0\0\0\2\1x", 6);
        read_and_give_back();
        raw_reply("1");
}

/* The newline of the request may be all there is. */
static void test_before_the_first_frame(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"raw.run\"}");
        lend(f);
        assert_int_equal(world.n_lent, 1);
        assert_int_equal(send(f->fd, "\n\0\0\0\1\1x", 7, 0), 7);
        read_and_give_back();
        turn(f);
        assert_int_equal(world.in[1].size, 1);
        raw_reply("1");

        feed_frame(f, "0");
        buffer_done(&world.in[1]);
        feed_text(f, RUN("2") "  ");
        feed_frame(f, "0:" PING("3"));
        lend(f);
        expect_received("", 0);
        read_and_give_back();
        raw_reply("1");
}

static void test_output_first(void **state)
{
        Fixture *f = *state;
        Buffer all = BUFFER_NULL;
        char *p;

        feed_text(f, RUN("1"));
        p = call_raw_reserve(world.call, 2, 500000);
        assert_non_null(p);
        memset(p, 'x', 500000);
        call_raw_commit(world.call, 500000);
        lend(f);
        assert_int_equal(world.n_lent, 0);
        /* Data waits meanwhile, texts do not. */
        feed_frame(f, "0:" PING("2"));
        assert_int_equal(f->n_echoed, 1);
        feed_frame(f, "1:abc");
        assert_int_equal(world.in[1].size, 0);
        collect_bytes(f, &all);
        assert_int_equal(all.size, strlen(RAW("1") PONG("2")) + 2 * FRAME_HEADER_SIZE + 500000);
        buffer_done(&all);
        assert_int_equal(world.n_lent, 1);
        expect_received("\0\0\0\3\1abc", 8);
        read_and_give_back();
        raw_reply("1");
}

/* Who asked on channel 0 has the answer before. */
static void test_other_calls_first(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        feed_frame(f, "0:{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.hold\"}");
        feed_frame(f, "1:abc");
        buffer_done(&world.in[1]);
        lend(f);
        feed_frame(f, "1:def");
        assert_int_equal(world.n_lent, 0);
        assert_int_equal(world.in[1].size, 0);
        call_reply_text(f->held[--f->n_held], "1", 1);
        expect_words(f, false, RAW("1") "[0:{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":2}\n]");
        assert_int_equal(world.n_lent, 1);
        expect_received("\0\0\0\3\1def", 8);
        read_and_give_back();
        raw_reply("1");
}

/* What follows the caller's last end is for the time after the call, and no borrower's to read. */
static void test_caller_has_ended(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        feed_frame(f, "0");
        feed_text(f, PING("2"));
        lend(f);
        assert_int_equal(world.n_lent, 1);
        assert_true(call_raw_is_input_over(world.call));
        expect_received("", 0);
        give_back(f, NULL, 0);
        lend(f);
        assert_int_equal(world.n_lent, 2);
        give_back(f, NULL, 0);
        raw_reply("{\"exit\":0}");
        expect_words(f, false, RAW("1") "[0:" ENDED("1") "][0]" PONG("2"));
}

static void test_back_at_once(void **state)
{
        Fixture *f = *state;

        world.return_at_once = true;
        feed_text(f, RUN("1"));
        call_raw_lend(world.call, on_ready, &world);
        feed_frame(f, "1:abc");
        assert_int_equal(world.n_lent, 1);
        assert_int_equal(world.in[1].size, 3);
        raw_reply("{\"exit\":0}");
        expect_words(f, false, RAW("1") "[0:" ENDED("1") "][0]");
}

/* The borrower has found out that the peer is gone, or that it sent no frames. */
static void test_back_with_an_error(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        lend(f);
        f->fd = fd_close(f->fd);
        turn(f);
        assert_false(f->ended);
        give_back(f, NULL, -EPIPE);
        assert_int_equal(world.n_told[CALL_GONE], 0);
        run_until_ended(f);
        assert_int_equal(f->error, -EPIPE);
        assert_int_equal(world.n_told[CALL_GONE], 1);
}

/* Not to be done: nobody knows where in a frame the borrower is. */
static void test_ended_while_lent(void **state)
{
        Fixture *f = *state;
        char c;

        feed_text(f, RUN("1"));
        lend(f);
        expect_words(f, false, RAW("1"));
        raw_reply("1");
        run_until_ended(f);
        assert_int_equal(f->error, -EPROTO);
        assert_int_equal(recv(f->fd, &c, 1, 0), 0);
}

/* Its borrower, which has the socket still, is not to go on. */
static void test_freed_while_lent(void **state)
{
        Fixture *f = *state;
        char c;

        feed_text(f, RUN("1"));
        lend(f);
        expect_words(f, false, RAW("1"));
        f->session = session_free(f->session);
        assert_int_equal(world.n_told[CALL_GONE], 1);
        assert_int_equal(recv(world.fd, &c, 1, MSG_DONTWAIT), 0);
        assert_int_equal(send(world.fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
        assert_int_equal(recv(f->fd, &c, 1, 0), 0);
}

static void test_stopped_while_lent(void **state)
{
        Fixture *f = *state;

        world.deaf = true;
        feed_text(f, RUN("1"));
        lend(f);
        session_stop(f->session);
        session_cancel_all(f->session, CALL_SHUTDOWN);
        turn(f);
        assert_false(f->ended);
        assert_int_equal(world.n_told[CALL_SHUTDOWN], 1);
        give_back(f, NULL, 0);
        call_fail(TAKE_PTR(world.call), REASON_CANCELLED, 0, "told to");
        expect_among_words(f, false, "\"reason\":\"cancelled\"", "[0]");
        feed_frame(f, "0");
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_true(f->ended);
        assert_int_equal(f->error, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                RAW_TEST(test_there_and_back),     RAW_TEST(test_text_between),
                RAW_TEST(test_between_two_frames), RAW_TEST(test_before_the_first_frame),
                RAW_TEST(test_output_first),       RAW_TEST(test_other_calls_first),
                RAW_TEST(test_caller_has_ended),   RAW_TEST(test_back_at_once),
                RAW_TEST(test_back_with_an_error), RAW_TEST(test_ended_while_lent),
                RAW_TEST(test_freed_while_lent),   RAW_TEST(test_stopped_while_lent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
