/* SPDX-License-Identifier: MIT */
#pragma once

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

static inline _unused_ void hold_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Fixture *f = userdata;

        f->n_told[why]++;
        for (size_t i = 0; i < f->n_held; i++)
                if (f->held[i] == call)
                        f->held[i] = f->held[--f->n_held];
        call_fail(call, REASON_CANCELLED, 0, "told to");
}

static inline _unused_ void method_hold(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        assert_true(f->n_held < HELD_MAX);
        f->held[f->n_held++] = call;
        call_set_cancel(call, hold_on_cancel, f);
}

/* Cannot be ended early: the holder has it until the test lets go. */
static inline _unused_ void method_deaf(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        f->held[f->n_held++] = call;
}

static inline _unused_ void method_echo(Call *call, json_object *params, void *userdata)
{
        Fixture *f = userdata;

        f->n_echoed++;
        call_reply(call, params ? json_object_get(params) : json_object_new_object());
}

static inline _unused_ void method_big(Call *call, json_object *params, void *userdata)
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

static inline _unused_ void on_ended(Session *s, int error, void *userdata)
{
        Fixture *f = userdata;

        f->ended = true;
        f->error = error;
        f->session = session_free(s);
}

static inline _unused_ void on_privileged_call(Session *s, const CallRecord *record, void *userdata)
{
        Fixture *f = userdata;

        (void)snprintf(f->record, sizeof(f->record), "%s %s", record->name, record->outcome);
}

static const SessionOwner owner = { .ended = on_ended, .privileged_call = on_privileged_call };

static inline _unused_ void fixture_connect(Fixture *f)
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

static inline _unused_ int setup(void **state)
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

static inline _unused_ int teardown(void **state)
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
static inline _unused_ void turn(Fixture *f)
{
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static inline _unused_ void feed(Fixture *f, const char *data, size_t n)
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

static inline _unused_ void feed_text(Fixture *f, const char *text)
{
        feed(f, text, strlen(text));
}

/* Everything that the session has sent, as one string; the caller frees. */
static inline _unused_ char *collect(Fixture *f)
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

static inline _unused_ void expect(Fixture *f, const char *text)
{
        _cleanup_free_ char *got = collect(f);

        assert_string_equal(got, text);
}

static inline _unused_ void expect_code(Fixture *f, int code, const char *id)
{
        _cleanup_free_ char *got = collect(f), *begin = NULL, *end = NULL;

        begin = text_format("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,", code);
        end = text_format(",\"id\":%s}\n", id);
        if (strncmp(got, begin, strlen(begin)) != 0 || strlen(got) < strlen(end) ||
            strcmp(got + strlen(got) - strlen(end), end) != 0)
                fail_msg("expected %s...%s, got %s", begin, end, got);
}

static inline _unused_ void run_until_ended(Fixture *f)
{
        for (unsigned i = 0; i < 10000 && !f->ended; i++)
                (void)sd_event_run(f->event, 10 * 1000);
        assert_true(f->ended);
}

#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"test.echo\"}"
#define PONG(id) "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":" id "}\n"

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
