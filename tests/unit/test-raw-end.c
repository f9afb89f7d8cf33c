/* SPDX-License-Identifier: MIT */

/* How raw calls end other than well: by faults of the caller's, its departure, time, a stop. */
#include "tests/unit/raw-world.h"

static void reconnect(Fixture *f)
{
        f->session = session_free(f->session);
        f->fd = fd_close(f->fd);
        world.ended = 0;
        buffer_done(&world.in[1]);
        fixture_connect(f);
}

/* The error is said, the connection ends, and the call with it. */
static void expect_fault(Fixture *f, Buffer *b, size_t step, const char *first, const char *second)
{
        feed_text(f, RUN("1"));
        expect_words(f, false, RAW("1"));
        feed_in_steps(f, b, step);
        expect_among_words(f, true, first, second);
        assert_false(f->ended);
        /* It may go on sending for a while; what it says is not taken. */
        f->n_echoed = 0;
        feed_frame(f, "0:" PING("2"));
        assert_int_equal(f->n_echoed, 0);
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_true(f->ended);
        assert_null(world.call);
        assert_int_equal(world.n_told[CALL_GONE], 1);
        world.n_told[CALL_GONE] = 0;
        reconnect(f);
}

static void test_faults_of_frames(void **state)
{
        Fixture *f = *state;
        char big[2000];

        memset(big, 'x', sizeof(big));
        f->settings.max_message = 1000;
        session_set_settings(f->session, &f->settings);
        for (size_t step = 1; step < 20; step += 6) {
                Buffer b = BUFFER_NULL;

                assert_int_equal(buffer_append(&b, "\0\20\0\1\1", 5), 0);
                expect_fault(f, &b, step, "longer than 1048576 bytes", "\"reason\":\"limit\"");
                /* A letter where a frame should begin. */
                add_text(&b, PING("1"));
                expect_fault(f, &b, step, "longer than 1048576 bytes", "\"reason\":\"limit\"");
                add_frame(&b, 2, "x", 1);
                expect_fault(f, &b, step, "-32700", "channel");
                add_frame(&b, 200, "", 0);
                expect_fault(f, &b, step, "-32700", "channel");
                add_frame(&b, 1, "", 0);
                add_frame(&b, 1, "x", 1);
                expect_fault(f, &b, step, "-32700", "channel");
                add_frame(&b, 3, "", 0);
                add_frame(&b, 3, "", 0);
                expect_fault(f, &b, step, "-32700", "channel");
                add_frame(&b, 0, big, sizeof(big));
                b.size = 100;
                expect_fault(f, &b, step, "max-message, 1000", "\"reason\":\"limit\"");
        }
}

/* After its end the call's channels are nobody's, but frames they must be. */
static void test_fault_after_the_end(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        raw_reply("{\"exit\":0}");
        expect_words(f, false, RAW("1") "[0:" ENDED("1") "][0]");
        feed_text(f, PING("2"));
        expect_among_words(f, false, "\"reason\":\"limit\"", "\"id\":null}");
        run_until_ended(f);
        assert_int_equal(f->error, -ETIMEDOUT);
}

static void expect_gone(Fixture *f)
{
        run_until_ended(f);
        assert_int_equal(f->error, -ECONNRESET);
        assert_int_equal(world.n_told[CALL_GONE], 1);
        assert_null(world.call);
}

static void test_end_of_input_is_departure(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        feed_frame(f, "1:abc");
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        expect_gone(f);
        assert_int_equal(world.in[1].size, 3);
}

static void test_gone_within_a_frame(void **state)
{
        for (size_t cut = 1; cut < 2 * FRAME_HEADER_SIZE + 3; cut++) {
                Fixture *f = *state;
                Buffer b = BUFFER_NULL;

                feed_text(f, RUN("1"));
                add_frame(&b, 1, "abc", 3);
                add_frame(&b, 1, "", 0);
                feed(f, buffer_peek(&b), cut);
                buffer_done(&b);
                f->fd = fd_close(f->fd);
                expect_gone(f);
                world.n_told[CALL_GONE] = 0;
                reconnect(f);
        }
}

/* While nothing is read, and while nothing can be written. */
static void test_gone_while_held(void **state)
{
        Fixture *f = *state;

        world.allowance = 1;
        feed_text(f, RUN("1"));
        feed_frame(f, "1:abc");
        f->fd = fd_close(f->fd);
        expect_gone(f);

        fixture_connect(f);
        world.n_told[CALL_GONE] = 0;
        feed_text(f, RUN("1"));
        feed_frame(f, "0");
        f->fd = fd_close(f->fd);
        expect_gone(f);
}

static void test_gone_while_full(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"raw.produce\"}");
        assert_non_null(world.call);
        f->fd = fd_close(f->fd);
        run_until_ended(f);
        assert_int_equal(world.n_told[CALL_GONE], 1);
}

/* Its words are lost, and a frame of it may be asked for nothing. */
static void test_holder_outlives_the_caller(void **state)
{
        Fixture *f = *state;

        world.deaf = true;
        feed_text(f, RUN("1"));
        f->fd = fd_close(f->fd);
        run_until_ended(f);
        assert_int_equal(world.n_told[CALL_GONE], 1);
        assert_null(call_raw_reserve(world.call, 2, 5));
        call_raw_commit(world.call, 5);
        call_raw_end(world.call, 2);
        call_raw_resume(world.call);
        call_raw_return(world.call, "x", 1, 0, 0, 0);
        assert_false(call_is_congested(world.call));
        raw_reply("1");
}

static void test_text_in_time(void **state)
{
        Fixture *f = *state;

        f->settings.message_timeout = 1000;
        f->settings.idle_timeout = 1000;
        session_set_settings(f->session, &f->settings);
        feed_text(f, RUN("1"));
        /* Other channels have all the time they want, and so has the call. */
        feed(f, "\0\0\0\5\1ab", 7);
        for (unsigned i = 0; i < 5; i++)
                (void)sd_event_run(f->event, 2000);
        assert_false(f->ended);
        feed(f, "cde", 3);
        assert_int_equal(world.in[1].size, 5);
        /* A text that is no more than begun has not. */
        feed(f, "\0\0\0\5\0", 5);
        for (unsigned i = 0; i < 10000 && !f->ended; i++)
                (void)sd_event_run(f->event, 10 * 1000);
        expect_among_words(f, false, RAW("1"), "\"reason\":\"timeout\"");
        assert_int_equal(world.n_told[CALL_GONE], 1);
}

/* Once the call has ended the caller has as long as any that is idle. */
static void test_idle_after_the_call(void **state)
{
        Fixture *f = *state;

        f->settings.idle_timeout = 1000;
        session_set_settings(f->session, &f->settings);
        feed_text(f, RUN("1"));
        raw_reply("1");
        run_until_ended(f);
        assert_int_equal(f->error, -ETIMEDOUT);
}

static void test_stop(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        session_stop(f->session);
        turn(f);
        /* What the call needs for its end still comes. */
        feed_frame(f, "1:abc");
        feed_frame(f, "0:" PING("2"));
        assert_int_equal(world.in[1].size, 3);
        expect_words(f, false, RAW("1") "[0:" PONG("2") "]");
        raw_reply("{\"exit\":0}");
        expect_words(f, true, "[0:" ENDED("1") "][0]");
        /* So that nothing is lost on the way the caller ends it. */
        assert_false(f->ended);
        feed_frame(f, "1");
        feed_frame(f, "0");
        feed_text(f, PING("3"));
        assert_int_equal(f->n_echoed, 1);
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_true(f->ended);
        assert_int_equal(f->error, 0);
}

static void test_shutdown(void **state)
{
        Fixture *f = *state;

        feed_text(f, RUN("1"));
        session_stop(f->session);
        session_cancel_all(f->session, CALL_SHUTDOWN);
        assert_int_equal(world.n_told[CALL_SHUTDOWN], 1);
        expect_among_words(f, false, "\"reason\":\"cancelled\"", "[0]");
        run_until_ended(f);
}

static void test_session_freed(void **state)
{
        Fixture *f = *state;
        char buffer[256];
        ssize_t n;

        feed_text(f, RUN("1"));
        raw_put(2, "x", 1);
        expect_words(f, false, RAW("1") "[2:x]");
        f->session = session_free(f->session);
        assert_int_equal(world.n_told[CALL_GONE], 1);
        /* Nothing that looks like an orderly end. */
        n = recv(f->fd, buffer, sizeof(buffer), 0);
        assert_int_equal(n, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                RAW_TEST(test_faults_of_frames),
                RAW_TEST(test_fault_after_the_end),
                RAW_TEST(test_end_of_input_is_departure),
                RAW_TEST(test_gone_within_a_frame),
                RAW_TEST(test_gone_while_held),
                RAW_TEST(test_gone_while_full),
                RAW_TEST(test_holder_outlives_the_caller),
                RAW_TEST(test_text_in_time),
                RAW_TEST(test_idle_after_the_call),
                RAW_TEST(test_stop),
                RAW_TEST(test_shutdown),
                RAW_TEST(test_session_freed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
