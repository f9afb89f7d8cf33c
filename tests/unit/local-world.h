/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of methods of the configuration's own have around them: the methods
 * `program.run` and `server.*` behind a session, and the test itself as the local server. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/discover.h"
#include "methods/local.h"
#include "proc/lines.h"
#include "tests/lib/world.h"

#define MAX_MESSAGE 65536U

typedef struct Fixture Fixture;

struct Fixture {
        World *w;
        Spawner *spawner;
        char folder[32];
        char path[64];
        MethodSettings methods[2];
        MethodSettings *list[2];
        MethodParam params[3];
        char *command[4];
        int listener; /* of the server that the test is */
        int server;   /* its connection */
        char line[MAX_MESSAGE * 2];
        size_t line_size; /* of what came, line and rest */
        size_t line_used;
};

/* `program.run`, a shell script, and `server.*`. */
static inline _unused_ Fixture *fixture_new(const char *script)
{
        static char shell[] = "/bin/sh", dash_c[] = "-c";
        static char run[] = "program.run", server[] = "server.*", summary[] = "Does it";
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->listener = f->server = -EBADF;
        strcpy(f->folder, "/tmp/test-local-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        (void)snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
        f->command[0] = shell;
        f->command[1] = dash_c;
        f->command[2] = (char *)script;
        f->methods[0] = (MethodSettings){
                .name = run,
                .summary = summary,
                .timeout = TEXT_INFINITY,
                .program = { .command = f->command,
                             .timeout = TEXT_INFINITY,
                             .kill_timeout = 5 * SECOND,
                             .max_instances = 64 },
                .params = f->params,
                .output = METHOD_OUTPUT_JSON,
        };
        f->methods[1] = (MethodSettings){
                .name = server,
                .privileged = true,
                .timeout = TEXT_INFINITY,
                .to = { .kind = ADDRESS_UNIX, .path = f->path },
        };
        f->list[0] = &f->methods[0];
        f->list[1] = &f->methods[1];
        f->w = world_new(&vsock_peer, true);
        f->w->config.n_ref = 100; /* it is part of the world, and freed with it */
        f->w->config.agent.max_message = MAX_MESSAGE;
        f->w->config.agent.max_values = 1000;
        f->w->config.methods = f->list;
        f->w->config.n_methods = 2;
        assert_int_equal(spawner_new(f->w->event, &f->spawner), 0);
        f->w->context.spawner = f->spawner;
        return f;
}

static inline _unused_ void release(void *owner)
{
        (void)local_methods_unref(owner);
}

/* After the settings are made. */
static inline _unused_ void fixture_start(Fixture *f)
{
        const Method *table;
        LocalMethods *l;

        assert_int_equal(local_methods_new(&f->w->context, &f->w->config, NULL, &l, &table), 0);
        method_set_set_owner(f->w->methods, release, l);
        assert_int_equal(method_set_add(f->w->methods, table), 0);
}

static inline _unused_ void fixture_free(Fixture *f)
{
        f->w->session = session_free(f->w->session);
        fd_close(f->listener);
        fd_close(f->server);
        (void)unlink(f->path);
        assert_int_equal(rmdir(f->folder), 0);
        (void)method_set_unref(TAKE_PTR(f->w->methods));
        f->spawner = spawner_free(f->spawner);
        (void)world_free(f->w);
        free(f);
}
DEFINE_CLEANUP(Fixture, fixture_free)
#define _cleanup_fixture_ _cleanup_(fixture_freep)

static inline _unused_ Fixture *started(const char *script)
{
        Fixture *f = fixture_new(script);

        fixture_start(f);
        return f;
}

static inline _unused_ const char *call(Fixture *f, const char *method, const char *params)
{
        _cleanup_free_ char *text = NULL;

        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
                           method, params);
        world_send(f->w, text);
        return world_receive(f->w);
}

static inline _unused_ void send_call(Fixture *f, unsigned id, const char *method)
{
        _cleanup_free_ char *text = NULL;

        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\"}\n", id, method);
        world_send(f->w, text);
}

#define assert_result(reply, json) \
        assert_string_equal(reply, "{\"jsonrpc\":\"2.0\",\"result\":" json ",\"id\":1}")

static inline _unused_ void assert_reason(const char *reply, const char *reason)
{
        _cleanup_free_ char *text = text_format("\"reason\":\"%s\"", reason);

        if (!strstr(reply, "\"code\":-32000") || !strstr(reply, text))
                fail_msg("not %s: %s", reason, reply);
}

static inline _unused_ void assert_holds(const char *reply, const char *text)
{
        if (!strstr(reply, text))
                fail_msg("no %s in %s", text, reply);
}

/* Runs the loop until the spawner has nothing left. */
static inline _unused_ void assert_nothing_left(Fixture *f)
{
        while (spawner_count(f->spawner) > 0)
                assert_true(sd_event_run(f->w->event, 30 * SECOND) > 0);
}

/* The local server */

static inline _unused_ void serve(Fixture *f)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        memcpy(address.sun_path, f->path, strlen(f->path));
        f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(f->listener >= 0);
        assert_int_equal(bind(f->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(f->listener, 4), 0);
}

/* Runs the loop until the agent has connected. */
static inline _unused_ void take_connection(Fixture *f)
{
        f->server = fd_close(f->server);
        f->line_size = f->line_used = 0;
        for (;;) {
                f->server = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (f->server >= 0)
                        return;
                assert_int_equal(errno, EAGAIN);
                assert_true(sd_event_run(f->w->event, 30 * SECOND) > 0);
        }
}

/* The next line that the agent sends, without its end. */
static inline _unused_ const char *take_line(Fixture *f)
{
        char *newline;

        f->line_size -= f->line_used;
        memmove(f->line, f->line + f->line_used, f->line_size);
        while (!(newline = memchr(f->line, '\n', f->line_size))) {
                ssize_t n =
                        recv(f->server, f->line + f->line_size, sizeof(f->line) - f->line_size, 0);

                if (n > 0) {
                        f->line_size += (size_t)n;
                        continue;
                }
                assert_int_equal(n, -1);
                assert_int_equal(errno, EAGAIN);
                assert_true(sd_event_run(f->w->event, 30 * SECOND) > 0);
        }
        *newline = '\0';
        f->line_used = (size_t)(newline - f->line) + 1;
        return f->line;
}

static inline _unused_ unsigned long long id_of(const char *line)
{
        const char *id = strstr(line, "\"id\":");

        assert_non_null(id);
        return strtoull(id + strlen("\"id\":"), NULL, 10);
}

/* The id of the request that comes next, of this method. */
static inline _unused_ unsigned long long take_request(Fixture *f, const char *method)
{
        _cleanup_free_ char *expected = NULL;
        unsigned long long id;
        const char *line;

        line = take_line(f);
        id = id_of(line);
        expected = text_format("{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":{}}",
                               id, method);
        assert_string_equal(line, expected);
        return id;
}

static inline _unused_ void say(Fixture *f, const char *format, ...) _printf_(2, 3);

static inline _unused_ void say(Fixture *f, const char *format, ...)
{
        char text[4096];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        assert_int_equal(send(f->server, text, (size_t)n, MSG_NOSIGNAL), n);
}

static inline _unused_ Fixture *serving(void)
{
        Fixture *f = started("true");

        serve(f);
        return f;
}

/* A connection, by a call that is answered. */
static inline _unused_ void warm_up(Fixture *f)
{
        send_call(f, 1, "server.first");
        take_connection(f);
        say(f, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":0}\n", take_request(f, "server.first"));
        assert_result(world_receive(f->w), "0");
}
