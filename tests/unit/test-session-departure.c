/* SPDX-License-Identifier: MIT */

/* How a session ends: what end of input is, what departure is, and a stop. */
#include "tests/unit/session-world.h"

static void test_end_of_input_is_not_departure(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}");
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        turn(f);
        assert_false(f->ended);
        assert_int_equal(f->n_held, 1);
        call_reply_text(f->held[--f->n_held], "1", 1);
        expect(f, "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");
        assert_true(f->ended);
        assert_int_equal(f->error, 0);
}

static void test_half_a_text_then_end(void **state)
{
        Fixture *f = *state;

        feed_text(f, PING("1") "{\"jsonrpc\"");
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        expect(f, PONG("1") "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"not "
                            "JSON: the input ended inside a text\"},\"id\":null}\n");
        assert_true(f->ended);
}

static void test_number_ended_by_end(void **state)
{
        Fixture *f = *state;

        feed_text(f, "12");
        expect(f, "");
        assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        expect_code(f, -32600, "null");
        assert_true(f->ended);
}

static void test_gone_while_running(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}"
                     "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.deaf\"}");
        assert_int_equal(f->n_held, 2);
        f->fd = fd_close(f->fd);
        run_until_ended(f);
        assert_int_equal(f->n_told[CALL_GONE], 1);
        /* The deaf one still holds its call, and ends it without its caller. */
        assert_int_equal(f->n_held, 1);
        assert_int_equal(f->stats.calls_running, 1);
        call_reply_text(f->held[--f->n_held], "1", 1);
}

static void test_notifications_of_one_who_left(void **state)
{
        Fixture *f = *state;
        const char *text = "{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\"}";

        for (int i = 0; i < 3; i++)
                assert_int_equal(send(f->fd, text, strlen(text), 0), strlen(text));
        f->fd = fd_close(f->fd);
        run_until_ended(f);
        assert_int_equal(f->n_echoed, 3);
}

/* Closing with replies unread ends qemu-ga. */
static void test_gone_with_replies_unread(void **state)
{
        Fixture *f = *state;

        for (int i = 0; i < 3; i++) {
                char text[64];
                int n = snprintf(text, sizeof(text),
                                 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"test.big\"}", i);

                assert_int_equal(send(f->fd, text, (size_t)n, 0), n);
        }
        (void)sd_event_run(f->event, 0);
        f->fd = fd_close(f->fd);
        run_until_ended(f);
}

static void test_stop(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}");
        session_stop(f->session);
        feed_text(f, PING("2"));
        expect(f, "");
        assert_false(f->ended);
        call_reply_text(f->held[--f->n_held], "1", 1);
        expect(f, "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");
        assert_true(f->ended);

        fd_close(f->fd);
        fixture_connect(f);
        session_stop(f->session);
        turn(f);
        assert_true(f->ended);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_end_of_input_is_not_departure),
                TEST(test_half_a_text_then_end),
                TEST(test_number_ended_by_end),
                TEST(test_gone_while_running),
                TEST(test_notifications_of_one_who_left),
                TEST(test_gone_with_replies_unread),
                TEST(test_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
