/* SPDX-License-Identifier: MIT */

/* What a session does at its limits: sizes, numbers and times. */
#include "tests/unit/session-world.h"

static void test_batch_replies_are_bounded(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;
        char text[8192] = "[";

        f->settings.max_message = 16384;
        session_set_settings(f->session, &f->settings);
        for (int i = 0; i < 50; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                               "%s{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"test.big\"}",
                               i > 0 ? "," : "", i);
        feed_text(f, text);
        feed_text(f, "]");
        got = collect(f);
        assert_true(f->n_echoed >= 2 && f->n_echoed <= 3);
        assert_non_null(strstr(got, "\"reason\":\"limit\""));
        assert_non_null(strstr(got, "\"id\":49}]\n"));
}

static void test_max_calls_and_id_in_use(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;

        f->settings.max_calls = 2;
        session_set_settings(f->session, &f->settings);
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}");
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}");
        expect_code(f, -32600, "1");
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.hold\"}");
        expect(f, "");
        feed_text(f, PING("3"));
        got = collect(f);
        assert_non_null(strstr(got, "\"reason\":\"busy\""));
        assert_int_equal(f->n_held, 2);
        /* Answered as they end, not as they came. */
        call_reply_text(f->held[1], "2", 1);
        call_reply_text(f->held[0], "1", 1);
        f->n_held = 0;
        expect(f, "{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":2}\n"
                  "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");
        feed_text(f, PING("1"));
        expect(f, PONG("1"));
}

static void test_peer_that_never_reads(void **state)
{
        Fixture *f = *state;
        const char *text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.big\"}";
        _cleanup_free_ char *got = NULL;
        size_t sent = 0;

        /* Until neither side takes more. */
        for (;;) {
                if (send(f->fd, text, strlen(text), 0) == (ssize_t)strlen(text))
                        sent++;
                else if (sd_event_run(f->event, 0) == 0)
                        break;
        }
        assert_true(sent > f->n_echoed);
        assert_true(f->n_echoed * 32 * 1024 < STREAM_OUTPUT_HIGH + 4 * 32 * 1024);
        /* It reads after all: everything is answered. */
        got = collect(f);
        assert_true(f->n_echoed >= sent);
        assert_false(f->ended);
}

static void expect_limit(Fixture *f, const char *text)
{
        _cleanup_free_ char *got = collect(f);

        assert_non_null(strstr(got, "\"code\":-32000"));
        assert_non_null(strstr(got, "\"reason\":\"limit\""));
        if (!strstr(got, text))
                fail_msg("expected %s in %s", text, got);
        assert_non_null(strstr(got, "\"id\":null}\n"));
        /* It may go on sending for a while and is not reset; what it says is not taken. */
        assert_false(f->ended);
        f->n_echoed = 0;
        feed_text(f, PING("1"));
        assert_int_equal(f->n_echoed, 0);
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_true(f->ended);
        fd_close(f->fd);
        fixture_connect(f);
}

static void test_limits_of_a_text(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *text = NULL;

        f->settings.max_message = 1000;
        f->settings.max_values = 10;
        session_set_settings(f->session, &f->settings);

        text = calloc(1, 2000);
        assert_non_null(text);
        memset(text, 'x', 1500);
        text[0] = '"';
        feed_text(f, text);
        expect_limit(f, "max-message, 1000");

        feed_text(f, "[{},{},{},{},{},{},{},{},{},{},{}]");
        expect_limit(f, "max-values, 10");

        f->settings.max_values = 1000;
        session_set_settings(f->session, &f->settings);
        memset(text, '[', 33);
        text[33] = '\0';
        feed_text(f, text);
        expect_limit(f, "deeper than 32");

        /* 32 levels are fine. */
        feed_text(f, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        {
                _cleanup_free_ char *got = collect(f);

                assert_non_null(strstr(got, "-32600"));
        }
}

/* A peer that does not end after its text was refused is cut off. */
static void test_drain_ends(void **state)
{
        Fixture *f = *state;

        f->settings.max_values = 1;
        session_set_settings(f->session, &f->settings);
        feed_text(f, "[1,2,3]");
        run_until_ended(f);
        assert_int_equal(f->error, -ETIMEDOUT);
}

static void test_message_timeout(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;

        f->settings.message_timeout = 1000;
        session_set_settings(f->session, &f->settings);
        feed_text(f, "{\"jsonrpc\":");
        run_until_ended(f);
        got = collect(f);
        assert_non_null(strstr(got, "\"reason\":\"timeout\""));
}

static void test_idle_timeout(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}");
        f->settings.idle_timeout = 1000;
        session_set_settings(f->session, &f->settings);
        /* Long over the time, but a call is running. */
        for (unsigned i = 0; i < 5; i++)
                (void)sd_event_run(f->event, 2000);
        assert_false(f->ended);
        call_reply_text(f->held[--f->n_held], "1", 1);
        run_until_ended(f);
        assert_int_equal(f->error, -ETIMEDOUT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_batch_replies_are_bounded),
                TEST(test_max_calls_and_id_in_use),
                TEST(test_peer_that_never_reads),
                TEST(test_limits_of_a_text),
                TEST(test_drain_ends),
                TEST(test_message_timeout),
                TEST(test_idle_timeout),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
