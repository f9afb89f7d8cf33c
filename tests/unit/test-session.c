/* SPDX-License-Identifier: MIT */

/* A session over a socket pair, with methods that can be held, at the level below the daemon:
 * what a black-box test cannot time is done here step by step. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/context.h"
#include "rpc/session.h"
#include "rpc/stream.h"

#define HELD_MAX 128

typedef struct Fixture Fixture;

struct Fixture {
        sd_event *event;
        MethodSet *methods;
        Stats stats;
        SessionSettings settings;
        Session *session;
        int fd; /* the peer's end */
        bool ended;
        int error;
        char *methods_globs[2];
        char *block_globs[2];

        Call *held[HELD_MAX];
        size_t n_held;
        size_t n_told[3]; /* by CallEnd */
        size_t n_echoed;
        char record[128];
};

static void hold_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Fixture *f = userdata;

        f->n_told[why]++;
        for (size_t i = 0; i < f->n_held; i++)
                if (f->held[i] == call)
                        f->held[i] = f->held[--f->n_held];
        call_fail(call, REASON_CANCELLED, 0, "told to");
}

static void method_hold(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        assert_true(f->n_held < HELD_MAX);
        f->held[f->n_held++] = call;
        call_set_cancel(call, hold_on_cancel, f);
}

/* Cannot be ended early: the holder has it until the test lets go. */
static void method_deaf(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        f->held[f->n_held++] = call;
}

static void method_echo(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        f->n_echoed++;
        call_reply(call, params ? json_object_get(params) : json_object_new_object());
}

static void method_big(Call *call, json_object *params, void *userdata)
{
        static char text[32 * 1024];
        Fixture *f = userdata;

        f->n_echoed++;
        memset(text, 'x', sizeof(text));
        text[0] = text[sizeof(text) - 1] = '"';
        call_reply_text(call, text, sizeof(text));
}

static const Field echo_params[] = {
        { "text", FIELD_STRING, FIELD_OPTIONAL, "Some text", NULL },
        { "number", FIELD_INTEGER, FIELD_OPTIONAL, "A number", NULL },
        { "any", FIELD_ANY, FIELD_OPTIONAL | FIELD_NULLABLE, "Anything", NULL },
        { 0 },
};

static const Method test_methods[] = {
        { "test.hold", method_hold, METHOD_ASYNC, "Ends when the test says so", NULL, NULL },
        { "test.deaf", method_deaf, METHOD_ASYNC, "Cannot be cancelled", NULL, NULL },
        { "test.echo", method_echo, 0, "Gives its parameters back", echo_params, NULL },
        { "test.big", method_big, 0, "Answers 32 KiB", NULL, NULL },
        { "test.root", method_echo, METHOD_PRIVILEGED, "For root", NULL, NULL },
        { 0 },
};

static void on_ended(Session *s, int error, void *userdata)
{
        Fixture *f = userdata;

        f->ended = true;
        f->error = error;
        f->session = session_free(s);
}

static void on_privileged_call(Session *s, const CallRecord *record, void *userdata)
{
        Fixture *f = userdata;

        (void)snprintf(f->record, sizeof(f->record), "%s %s", record->name, record->outcome);
}

static const SessionOwner owner = { .ended = on_ended, .privileged_call = on_privileged_call };

static void fixture_connect(Fixture *f)
{
        int pair[2], r, size = 4096;
        Peer peer = { .kind = PEER_UNIX, .text = "test" };

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                         0);
        /* Tiny buffers, so that writes come in pieces. */
        (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        r = session_new(f->event, pair[0], &peer, f->methods, &f->stats, &f->settings, &owner, f,
                        &f->session);
        assert_int_equal(r, 0);
        f->fd = pair[1];
        f->ended = false;
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(method_set_new(f, &f->methods), 0);
        assert_int_equal(method_set_add(f->methods, test_methods), 0);
        assert_int_equal(method_set_add(f->methods, rpc_methods), 0);
        f->methods_globs[0] = (char *)"*";
        f->settings = (SessionSettings){
                .max_message = 1024 * 1024,
                .max_values = 16384,
                .max_calls = 64,
                .message_timeout = TEXT_INFINITY,
                .policy = { .methods = f->methods_globs, .block_methods = f->block_globs },
        };
        fixture_connect(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;

        f->session = session_free(f->session);
        fd_close(f->fd);
        (void)method_set_unref(f->methods);
        sd_event_unref(f->event);
        assert_int_equal(f->stats.calls_running, 0);
        free(f);
        return 0;
}

/* Turns the loop until nothing is left to do at once. */
static void turn(Fixture *f)
{
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void feed(Fixture *f, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t m = send(f->fd, data, n, MSG_NOSIGNAL);

                if (m < 0)
                        assert_int_equal(errno, EAGAIN);
                else
                        data += m, n -= (size_t)m;
                turn(f);
        }
}

static void feed_text(Fixture *f, const char *text)
{
        feed(f, text, strlen(text));
}

/* Everything that the session has sent, as one string; the caller frees. */
static char *collect(Fixture *f)
{
        char *text = NULL;
        size_t n = 0;

        for (;;) {
                ssize_t m;

                turn(f);
                text = realloc(text, n + 65536);
                assert_non_null(text);
                m = recv(f->fd, text + n, 65535, 0);
                if (m <= 0)
                        break;
                n += (size_t)m;
        }
        text[n] = '\0';
        return text;
}

static void expect(Fixture *f, const char *text)
{
        _cleanup_free_ char *got = collect(f);

        assert_string_equal(got, text);
}

static void expect_code(Fixture *f, int code, const char *id)
{
        _cleanup_free_ char *got = collect(f), *begin = NULL, *end = NULL;

        begin = text_format("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,", code);
        end = text_format(",\"id\":%s}\n", id);
        if (strncmp(got, begin, strlen(begin)) != 0 || strlen(got) < strlen(end) ||
            strcmp(got + strlen(got) - strlen(end), end) != 0)
                fail_msg("expected %s...%s, got %s", begin, end, got);
}

static void run_until_ended(Fixture *f)
{
        for (unsigned i = 0; i < 10000 && !f->ended; i++)
                (void)sd_event_run(f->event, 10 * 1000);
        assert_true(f->ended);
}

#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"test.echo\"}"
#define PONG(id) "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":" id "}\n"

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_split_at_every_byte),
                TEST(test_errors),
                TEST(test_positional_names_the_parameter),
                TEST(test_on_after_the_next_newline),
                TEST(test_batches),
                TEST(test_batch_replies_are_bounded),
                TEST(test_max_calls_and_id_in_use),
                TEST(test_cancel),
                TEST(test_end_of_input_is_not_departure),
                TEST(test_half_a_text_then_end),
                TEST(test_number_ended_by_end),
                TEST(test_gone_while_running),
                TEST(test_notifications_of_one_who_left),
                TEST(test_gone_with_replies_unread),
                TEST(test_peer_that_never_reads),
                TEST(test_limits_of_a_text),
                TEST(test_drain_ends),
                TEST(test_message_timeout),
                TEST(test_idle_timeout),
                TEST(test_stop),
                TEST(test_policy),
                TEST(test_long_method_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
