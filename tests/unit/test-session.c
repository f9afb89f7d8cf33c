/* SPDX-License-Identifier: MIT */

/* What a session makes of what it reads, and what it answers. */
#include "tests/unit/session-world.h"

static void test_split_at_every_byte(void **state)
{
        static const struct {
                const char *in, *out;
        } rows[] = {
                { PING("1") "\n", PONG("1") },
                { PING("\"\\u00e4\\\"\"") PING("1.50e3"), PONG("\"\\u00e4\\\"\"") PONG("1.50e3") },
                { " \r\n\t" PING("-0") " \n\n", PONG("-0") },
                { "{\"method\":\"test.echo\",\"params\":{\"text\":\"\xc3\xa4\"},\"id\":null,"
                  "\"jsonrpc\":\"2.0\"}",
                  "{\"jsonrpc\":\"2.0\",\"result\":{\"text\":\"\xc3\xa4\"},\"id\":null}\n" },
                { "[" PING("1") "," PING("2") "]",
                  "[{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":1},{\"jsonrpc\":\"2.0\",\"result\":{}"
                  ",\"id\":2}]\n" },
                { "{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\"}", "" },
                { "{\"\\u006dethod\":\"\\u0074est.echo\",\"jsonrpc\":\"2\\u002e0\",\"id\":3}",
                  PONG("3") },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t n = strlen(rows[i].in);

                for (size_t split = 0; split <= n; split++) {
                        feed(f, rows[i].in, split);
                        feed(f, rows[i].in + split, n - split);
                        expect(f, rows[i].out);
                }
                for (size_t k = 0; k < n; k++)
                        feed(f, rows[i].in + k, 1);
                expect(f, rows[i].out);
        }
}

static void test_errors(void **state)
{
        static const struct {
                const char *in;
                int code;
                const char *id;
        } rows[] = {
                { "{'a':1}\n", -32700, "null" },
                { "[NaN]\n", -32700, "null" },
                { "{\"a\":\"\xc0\x80\"}\n", -32700, "null" },
                { "[\"\\ud800\"]\n", -32700, "null" },
                { "nothing\n", -32700, "null" },
                { "1\n", -32600, "null" },
                { "\"text\"", -32600, "null" },
                { "null ", -32600, "null" },
                { "{}", -32600, "null" },
                { "[]", -32600, "null" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5}", -32600, "5" },
                { "{\"jsonrpc\":\"1.0\",\"id\":5,\"method\":\"test.echo\"}", -32600, "5" },
                { "{\"id\":5,\"method\":\"test.echo\"}", -32600, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":1}", -32600, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"test.echo\"}", -32600, "null" },
                { "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"test.echo\"}", -32600, "null" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":1}", -32600,
                  "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":null}", -32600,
                  "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"id\":6,\"method\":\"test.echo\"}", -32600,
                  "null" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"me\\u0074hod\":\"x\"}",
                  -32600, "null" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"a\\u0000\":1}", -32600,
                  "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"any\":"
                  "{\"\\u0000\":1}}}",
                  -32600, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"no.such\"}", -32601, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.ech\"}", -32601, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\\u0000\"}", -32601, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":[1]}", -32602,
                  "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"x\":1}}",
                  -32602, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"text\":1}}",
                  -32602, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"text\":"
                  "\"a\",\"text\":\"b\"}}",
                  -32602, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"number\":"
                  "18446744073709551616}}",
                  -32602, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":{\"any\":"
                  "[{\"x\":-9223372036854775809}]}}",
                  -32602, "5" },
                { "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.root\"}", -32000, "5" },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                feed_text(f, rows[i].in);
                expect_code(f, rows[i].code, rows[i].id);
        }
        /* The connection has outlived them all. */
        feed_text(f, PING("1"));
        expect(f, PONG("1"));
        assert_string_equal(f->record, "test.root not-privileged");
}

static void test_positional_names_the_parameter(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":[1]}");
        got = collect(f);
        assert_non_null(strstr(got, "\\\"text\\\""));
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":[]}");
        expect(f, PONG("5"));
}

static void test_on_after_the_next_newline(void **state)
{
        Fixture *f = *state;

        feed_text(f, "{\"a\":nope} {\"lost\":true}\n" PING("2"));
        expect(f, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"not JSON; reading "
                  "goes on after the next newline\"},\"id\":null}\n" PONG("2"));
        /* The newline may itself be what is wrong: then it ends what is skipped. */
        feed_text(f, "{\"a\n" PING("3"));
        expect(f, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"not JSON; reading "
                  "goes on after the next newline\"},\"id\":null}\n" PONG("3"));
}

static void test_batches(void **state)
{
        Fixture *f = *state;

        feed_text(f, "[1,{}," PING("7") ",{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\"}]");
        {
                _cleanup_free_ char *got = collect(f);

                assert_non_null(strstr(got, "\"id\":7}]\n"));
                assert_int_equal(got[0], '[');
                assert_null(strstr(got, "]\n["));
        }
        feed_text(f, "[{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\"},{\"jsonrpc\":\"2.0\","
                     "\"method\":\"no.such\"}]");
        expect(f, "");

        /* A batch waits for its last call; others pass it by. */
        feed_text(f, "[{\"jsonrpc\":\"2.0\",\"method\":\"test.hold\",\"id\":1}," PING("2") "]");
        expect(f, "");
        feed_text(f, PING("3"));
        expect(f, PONG("3"));
        assert_int_equal(f->n_held, 1);
        call_reply_text(f->held[--f->n_held], "true", 4);
        expect(f, "[{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":2},{\"jsonrpc\":\"2.0\",\"result\":"
                  "true,\"id\":1}]\n");
}

static void test_cancel(void **state)
{
        static const char cancelled[] =
                "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"told to\",\"data\":"
                "{\"reason\":\"cancelled\"}},\"id\":\"a\"}\n";
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL, *want = NULL;

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"test.hold\"}");
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":\"a\"}}");
        expect(f, cancelled);
        assert_int_equal(f->n_told[CALL_CANCELLED], 1);

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"test.hold\"}");
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"rpc.cancel\",\"params\":{\"id\":"
                     "\"\\u0061\"}}");
        want = text_format("%s%s", cancelled, PONG("9"));
        expect(f, want);

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"rpc.cancel\",\"params\":{\"id\":"
                     "77}}");
        got = collect(f);
        assert_non_null(strstr(got, "\"reason\":\"not-found\""));
}

static void test_policy(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;

        f->block_globs[0] = (char *)"test.b*";
        f->settings.policy.privileged = true;
        session_set_settings(f->session, &f->settings);
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.big\"}");
        got = collect(f);
        assert_non_null(strstr(got, "\"reason\":\"not-allowed\""));
        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.root\"}");
        expect(f, PONG("1"));
        assert_string_equal(f->record, "test.root ok");
}

/* A method's name is cut for the message, perhaps within a character: the reply is JSON. */
static void test_long_method_name(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *got = NULL;
        char text[1024] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x";

        for (int i = 0; i < 200; i++)
                strcat(text, "\xc3\xa4");
        strcat(text, "\"}");
        feed_text(f, text);
        got = collect(f);
        assert_true(text_is_utf8(got, strlen(got)));
        assert_non_null(strstr(got, "-32601"));
}

/* It waits for no turn, but for others that the same round of the loop may bring. */
static void test_late_reply_leaves_at_once(void **state)
{
        Fixture *f = *state;
        char got[256];

        feed_text(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.hold\"}"
                     "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.hold\"}"
                     "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"test.hold\"}");
        assert_int_equal(f->n_held, 3);
        call_reply_text(f->held[0], "{}", 2);
        assert_int_equal(recv(f->fd, got, sizeof(got), 0), strlen(PONG("1")));
        assert_memory_equal(got, PONG("1"), strlen(PONG("1")));

        call_reply_text(f->held[1], "{}", 2);
        call_reply_text(f->held[2], "{}", 2);
        f->n_held = 0;
        assert_int_equal(recv(f->fd, got, sizeof(got), 0), -1);
        assert_int_equal(errno, EAGAIN);
        expect(f, PONG("2") PONG("3"));

        /* Nothing is left to be done, nor is the session's end overlooked. */
        assert_int_equal(sd_event_run(f->event, 0), 0);
        (void)shutdown(f->fd, SHUT_WR);
        run_until_ended(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_split_at_every_byte),
                TEST(test_errors),
                TEST(test_positional_names_the_parameter),
                TEST(test_on_after_the_next_newline),
                TEST(test_batches),
                TEST(test_cancel),
                TEST(test_policy),
                TEST(test_long_method_name),
                TEST(test_late_reply_leaves_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
