/* SPDX-License-Identifier: MIT */

/* Methods of the configuration's own, behind a session: real programs, and the test itself as the
 * local server. */
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

static char shell[] = "/bin/sh", dash_c[] = "-c";

/* `program.run`, a shell script, and `server.*`. */
static Fixture *fixture_new(const char *script)
{
        Fixture *f = calloc(1, sizeof(*f));
        static char run[] = "program.run", server[] = "server.*", summary[] = "Does it";

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

static void release(void *owner)
{
        (void)local_methods_unref(owner);
}

/* After the settings are made. */
static void fixture_start(Fixture *f)
{
        const Method *table;
        LocalMethods *l;

        assert_int_equal(local_methods_new(&f->w->context, &f->w->config, NULL, &l, &table), 0);
        method_set_set_owner(f->w->methods, release, l);
        assert_int_equal(method_set_add(f->w->methods, table), 0);
}

static void fixture_free(Fixture *f)
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

static Fixture *started(const char *script)
{
        Fixture *f = fixture_new(script);

        fixture_start(f);
        return f;
}

static const char *call(Fixture *f, const char *method, const char *params)
{
        _cleanup_free_ char *text = NULL;

        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
                           method, params);
        world_send(f->w, text);
        return world_receive(f->w);
}

static void send_call(Fixture *f, unsigned id, const char *method)
{
        _cleanup_free_ char *text = NULL;

        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\"}\n", id, method);
        world_send(f->w, text);
}

#define assert_result(reply, json) \
        assert_string_equal(reply, "{\"jsonrpc\":\"2.0\",\"result\":" json ",\"id\":1}")

static void assert_reason(const char *reply, const char *reason)
{
        _cleanup_free_ char *text = text_format("\"reason\":\"%s\"", reason);

        if (!strstr(reply, "\"code\":-32000") || !strstr(reply, text))
                fail_msg("not %s: %s", reason, reply);
}

static void assert_holds(const char *reply, const char *text)
{
        if (!strstr(reply, text))
                fail_msg("no %s in %s", text, reply);
}

/* Runs the loop until the spawner has nothing left. */
static void assert_nothing_left(Fixture *f)
{
        while (spawner_count(f->spawner) > 0)
                assert_true(sd_event_run(f->w->event, 30 * SECOND) > 0);
}

/* Programs */

static void test_params_are_an_object_on_stdin(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("exec cat");
        static char target[] = "target", level[] = "level", tags[] = "tags";

        f->params[0] = (MethodParam){ target, METHOD_PARAM_STRING, false };
        f->params[1] = (MethodParam){ level, METHOD_PARAM_NUMBER, true };
        f->params[2] = (MethodParam){ tags, METHOD_PARAM_ARRAY, true };
        f->methods[0].n_params = 3;
        fixture_start(f);
        assert_result(call(f, "program.run",
                           "{\"target\":\"\xc3\xa4/\\\"\",\"level\":1.50e+2,\"tags\":[1,{}]}"),
                      "{\"target\":\"\xc3\xa4/\\\"\",\"level\":1.50e+2,\"tags\":[1,{}]}");
        assert_holds(call(f, "program.run", "{}"), "\"code\":-32602");
        assert_holds(call(f, "program.run", "{\"target\":1}"), "\"code\":-32602");
        assert_holds(call(f, "program.run", "{\"target\":\"\",\"x\":1}"), "\"code\":-32602");
}

static void test_without_params_the_object_is_empty(void **state)
{
        _cleanup_fixture_ Fixture *f = started("exec cat");

        send_call(f, 1, "program.run");
        assert_result(world_receive(f->w), "{}");
        assert_result(call(f, "program.run", "[]"), "{}");
        assert_holds(call(f, "program.run", "{\"a\":1}"), "none are taken");
}

static void test_params_larger_than_a_pipe(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("sleep 0.05; exec wc -c");
        _cleanup_free_ char *big = malloc(300001), *params = NULL;
        static char text[] = "text";

        f->params[0] = (MethodParam){ text, METHOD_PARAM_STRING, false };
        f->methods[0].n_params = 1;
        fixture_start(f);
        memset(big, 'x', 300000);
        big[300000] = '\0';
        params = text_format("{\"text\":\"%s\"}", big);
        {
                _cleanup_free_ char *request = NULL;
                size_t sent = 0, n;

                request = text_format("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"program.run\","
                                      "\"params\":%s}\n",
                                      params);
                n = strlen(request);
                while (sent < n) {
                        ssize_t r = send(f->w->caller, request + sent, n - sent, 0);

                        if (r > 0)
                                sent += (size_t)r;
                        world_settle(f->w);
                }
        }
        assert_result(world_receive(f->w), "300012");
        assert_nothing_left(f);
}

static void test_a_program_need_not_read(void **state)
{
        _cleanup_fixture_ Fixture *f = started("exec <&-; echo true");

        assert_result(call(f, "program.run", "{}"), "true");
}

static void test_json_as_it_is_on_one_line(void **state)
{
        _cleanup_fixture_ Fixture *f =
                started("printf '\\n {\"a\" : [1.50e+2,\\r\\n\"\\\\u0041\"]\\n}\\n\\n'");

        assert_result(call(f, "program.run", "{}"), "{\"a\" : [1.50e+2,  \"\\u0041\"] }");
}

static void test_output_that_is_no_json(void **state)
{
        static const char *const scripts[] = {
                "echo hello",         "true",        "echo '{}' '{}'", "echo '{'", "echo 'NaN'",
                "printf '\"\\377\"'", "echo '{} x'", "printf '1\\0'",
        };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                _cleanup_fixture_ Fixture *f = started(scripts[i]);
                const char *reply = call(f, "program.run", "{}");

                assert_reason(reply, "failed");
                assert_holds(reply, "is not JSON");
        }
}

static void test_json_scalars(void **state)
{
        static const char *const scalars[] = { "1", "-1.5e3", "null", "\"x\"", "[]" };

        for (size_t i = 0; i < ELEMENTSOF(scalars); i++) {
                _cleanup_free_ char *script = text_format("printf '%%s' '%s'", scalars[i]);
                _cleanup_fixture_ Fixture *f = started(script);
                _cleanup_free_ char *expected = NULL;

                expected = text_format("{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":1}", scalars[i]);
                assert_string_equal(call(f, "program.run", "{}"), expected);
        }
}

static void test_nesting_is_bounded(void **state)
{
        _cleanup_fixture_ Fixture *f = started("true");
        static const char deep[] =
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
        _cleanup_free_ char *good = NULL, *bad = NULL;

        assert_int_equal(strlen(deep), 64);
        bad = text_format("echo '%s'", deep);
        f->command[2] = bad;
        assert_reason(call(f, "program.run", "{}"), "limit");
        good = text_format("echo '%.*s'", 62, deep + 1);
        f->command[2] = good;
        assert_holds(call(f, "program.run", "{}"), "\"result\":[[");
}

static void test_text(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("printf 'a \"b\"\\n\\303\\244\\001'");
        static char bad[] = "printf '\\377'", empty[] = "true";

        f->methods[0].output = METHOD_OUTPUT_TEXT;
        fixture_start(f);
        assert_result(call(f, "program.run", "{}"), "\"a \\\"b\\\"\\n\xc3\xa4\\u0001\"");
        f->command[2] = empty;
        assert_result(call(f, "program.run", "{}"), "\"\"");
        f->command[2] = bad;
        assert_holds(call(f, "program.run", "{}"), "is not UTF-8");
}

static void test_exit_status_and_stderr(void **state)
{
        _cleanup_fixture_ Fixture *f = started("echo out; echo 'no tape' >&2; exit 3");
        static char flood[] = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo END >&2; exit 1";
        const char *reply;

        reply = call(f, "program.run", "{}");
        assert_reason(reply, "failed");
        assert_holds(reply, "\"exit_status\":3");
        assert_holds(reply, "\"stderr\":\"no tape\\n\"");
        f->command[2] = flood;
        reply = call(f, "program.run", "{}");
        assert_holds(reply, "xEND\\n\"");
        assert_in_range(strlen(reply), LINES_TAIL_MAX, LINES_TAIL_MAX + 300);
}

static void test_signal(void **state)
{
        _cleanup_fixture_ Fixture *f = started("kill -SEGV $$");
        const char *reply = call(f, "program.run", "{}");

        assert_reason(reply, "failed");
        assert_holds(reply, "\"signal\":\"SIGSEGV\"");
        assert_null(strstr(reply, "exit_status"));
}

static void test_cannot_be_started(void **state)
{
        _cleanup_fixture_ Fixture *f = started("true");
        static char absent[] = "/no/such/program", folder[] = "/etc";
        const char *reply;

        f->command[0] = absent;
        reply = call(f, "program.run", "{}");
        assert_reason(reply, "failed");
        assert_holds(reply, "\"errno\":\"ENOENT\"");
        assert_holds(reply, "/no/such/program");
        f->command[0] = folder;
        assert_holds(call(f, "program.run", "{}"), "\"errno\":\"EACCES\"");
        assert_nothing_left(f);
}

static void test_output_over_the_limit(void **state)
{
        _cleanup_fixture_ Fixture *f = started("exec yes");
        static char exact[] = "printf '\"'; head -c 65534 /dev/zero | tr '\\0' x; printf '\"'";
        static char over[] = "printf '\"'; head -c 65535 /dev/zero | tr '\\0' x; printf '\"'";

        assert_reason(call(f, "program.run", "{}"), "limit");
        assert_nothing_left(f);
        f->command[2] = exact;
        assert_holds(call(f, "program.run", "{}"), "\"result\":\"xxx");
        f->command[2] = over;
        assert_reason(call(f, "program.run", "{}"), "limit");
}

static void test_timeout(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("echo begun >&2; sleep 1000 & sleep 1000");
        const char *reply;

        f->methods[0].timeout = SECOND / 5;
        fixture_start(f);
        reply = call(f, "program.run", "{}");
        assert_reason(reply, "timeout");
        assert_holds(reply, "\"stderr\":\"begun\\n\"");
        assert_nothing_left(f);
}

static void test_cancel(void **state)
{
        _cleanup_fixture_ Fixture *f = started("exec sleep 1000");
        const char *reply;

        send_call(f, 7, "program.run");
        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":7}}");
        reply = world_receive(f->w);
        assert_reason(reply, "cancelled");
        assert_holds(reply, "\"id\":7");
        assert_nothing_left(f);
}

static void test_the_caller_goes(void **state)
{
        _cleanup_fixture_ Fixture *f = started("exec sleep 1000");

        send_call(f, 7, "program.run");
        while (spawner_count(f->spawner) == 0)
                assert_true(sd_event_run(f->w->event, 30 * SECOND) > 0);
        f->w->session = session_free(f->w->session);
        assert_int_equal(f->w->stats.calls_running, 0);
        assert_nothing_left(f);
}

static void test_max_instances(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("exec sleep 1000");

        f->methods[0].program.max_instances = 1;
        fixture_start(f);
        send_call(f, 1, "program.run");
        send_call(f, 2, "program.run");
        assert_reason(world_receive(f->w), "busy");
        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":1}}");
        assert_reason(world_receive(f->w), "cancelled");
        send_call(f, 2, "program.run");
        send_call(f, 3, "program.run");
        assert_holds(world_receive(f->w), "\"id\":3");
}

static void test_environment(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("env | grep ^GUESTWIRE_ | sort");

        f->methods[0].output = METHOD_OUTPUT_TEXT;
        fixture_start(f);
        assert_result(call(f, "program.run", "{}"),
                      "\"GUESTWIRE_METHOD=program.run\\nGUESTWIRE_PEER_CID=2\\n"
                      "GUESTWIRE_PEER_PORT=1023\\nGUESTWIRE_PORT=0\\n\"");
}

/* Servers */

static void serve(Fixture *f)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        memcpy(address.sun_path, f->path, strlen(f->path));
        f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(f->listener >= 0);
        assert_int_equal(bind(f->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(f->listener, 4), 0);
}

/* Runs the loop until the agent has connected. */
static void take_connection(Fixture *f)
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
static const char *take_line(Fixture *f)
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

static unsigned long long id_of(const char *line)
{
        const char *id = strstr(line, "\"id\":");

        assert_non_null(id);
        return strtoull(id + strlen("\"id\":"), NULL, 10);
}

/* The id of the request that comes next, of this method. */
static unsigned long long take_request(Fixture *f, const char *method)
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

static void say(Fixture *f, const char *format, ...) _printf_(2, 3);

static void say(Fixture *f, const char *format, ...)
{
        char text[4096];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        assert_int_equal(send(f->server, text, (size_t)n, MSG_NOSIGNAL), n);
}

static Fixture *serving(void)
{
        Fixture *f = started("true");

        serve(f);
        return f;
}

/* A connection, by a call that is answered. */
static void warm_up(Fixture *f)
{
        send_call(f, 1, "server.first");
        take_connection(f);
        say(f, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":0}\n", take_request(f, "server.first"));
        assert_result(world_receive(f->w), "0");
}

static void test_request_and_result(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        const char *line;

        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"server.a.b\","
                         "\"params\":{ \"n\": 1.50e+2, \"s\": \"\\u00e4/\" }}");
        take_connection(f);
        line = take_line(f);
        assert_holds(line, "{\"jsonrpc\":\"2.0\",\"id\":");
        assert_holds(line, ",\"method\":\"server.a.b\",\"params\":{\"n\":1.50e+2,"
                           "\"s\":\"\xc3\xa4/\"}}");
        say(f, "\r\n{ \"id\" : %llu,\n\"result\" : {\"a\" :\n 1.50e+2} , \"jsonrpc\":\"2.0\"}",
            id_of(line));
        assert_string_equal(world_receive(f->w),
                            "{\"jsonrpc\":\"2.0\",\"result\":{\"a\" :  1.50e+2},\"id\":\"x\"}");
        assert_int_equal(f->w->privileged_calls, 1);
}

static void test_names_are_escaped(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();

        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.\\n\\\"\\u00e4\"}");
        take_connection(f);
        assert_holds(take_line(f), "\"method\":\"server.\\n\\\"\xc3\xa4\",");
}

static void test_errors_are_passed_on(void **state)
{
        static const char *const errors[] = {
                "{\"code\":-32601,\"message\":\"no such\"}",
                "{\"code\":-32602,\"message\":\"bad\",\"data\":{\"x\":[1,2.50]}}",
                "{\"message\":\"\\u00e4\",\"data\":null,\"code\":7}",
        };
        _cleanup_fixture_ Fixture *f = serving();

        warm_up(f);
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                _cleanup_free_ char *expected = NULL;

                send_call(f, 1, "server.x");
                say(f, "{\"jsonrpc\":\"2.0\",\"error\":%s,\"id\":%llu}\n", errors[i],
                    take_request(f, "server.x"));
                expected = text_format("{\"jsonrpc\":\"2.0\",\"error\":%s,\"id\":1}", errors[i]);
                assert_string_equal(world_receive(f->w), expected);
        }
}

static void test_replies_in_any_order_and_pieces(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        unsigned long long ids[3];
        char text[256];
        int n;

        warm_up(f);
        for (unsigned i = 0; i < 3; i++)
                send_call(f, i + 1, "server.x");
        for (unsigned i = 0; i < 3; i++)
                ids[i] = take_request(f, "server.x");
        n = snprintf(text, sizeof(text),
                     "{\"id\":%llu,\"result\":\"c\"} {\"id\":%llu,\"result\":\"a\"}"
                     "{\"id\":%llu,\"result\":\"b\"}\n",
                     ids[2], ids[0], ids[1]);
        for (int i = 0; i < n; i++) {
                assert_int_equal(send(f->server, text + i, 1, 0), 1);
                world_settle(f->w);
        }
        assert_holds(world_receive(f->w), "\"c\",\"id\":3");
        assert_holds(world_receive(f->w), "\"a\",\"id\":1");
        assert_holds(world_receive(f->w), "\"b\",\"id\":2");
}

static void test_what_answers_nothing_of_ours(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        unsigned long long id;

        warm_up(f);
        send_call(f, 1, "server.x");
        id = take_request(f, "server.x");
        say(f,
            "{\"jsonrpc\":\"2.0\",\"method\":\"news\",\"params\":[]}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"ask\",\"id\":%llu}\n"
            "{\"id\":%llu,\"result\":1}\n{\"id\":\"%llu\",\"result\":2}\n"
            "{\"id\":-1,\"result\":3}\n{\"id\":null,\"result\":4}\n{\"id\":0,\"result\":5}\n"
            "{\"id\":123456789012345678901234567890,\"result\":6}\n"
            "{\"id\":%llu,\"result\":7,\"error\":null}\n",
            id, id + 1024, id, id);
        assert_result(world_receive(f->w), "7");
}

static void test_nonsense_drops_the_connection(void **state)
{
        static const char *const nonsense[] = {
                "garbage\n",
                "[]\n",
                "[{\"id\":1,\"result\":1}]\n",
                "7\n",
                "{\"id\":1}\n",
                "{\"result\":1}\n",
                "{\"id\":1,\"id\":2,\"result\":1}\n",
                "{\"id\":1,\"error\":{\"code\":\"x\",\"message\":\"y\"}}\n",
                "{\"id\":1,\"error\":{\"code\":1.5,\"message\":\"y\"}}\n",
                "{\"id\":1,\"error\":{\"code\":1}}\n",
                "{\"id\":1,\"error\":[]}\n",
                "\"\xff\"\n",
        };
        _cleanup_fixture_ Fixture *f = serving();

        for (size_t i = 0; i < ELEMENTSOF(nonsense); i++) {
                warm_up(f);
                send_call(f, 1, "server.x");
                send_call(f, 2, "server.y");
                (void)take_request(f, "server.x");
                say(f, "%s", nonsense[i]);
                assert_reason(world_receive(f->w), "unavailable");
                assert_reason(world_receive(f->w), "unavailable");
        }
}

static void test_a_reply_over_max_message(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        static char big[MAX_MESSAGE + 1];
        unsigned long long id;
        int n;

        warm_up(f);
        send_call(f, 1, "server.x");
        id = take_request(f, "server.x");
        memset(big, 'x', sizeof(big));
        n = sprintf(big, "{\"id\":%llu,\"result\":\"", id);
        big[n] = 'x';
        memcpy(big + MAX_MESSAGE - 2, "\"}", 2);
        assert_int_equal(send(f->server, big, MAX_MESSAGE, 0), MAX_MESSAGE);
        assert_holds(world_receive(f->w), "\"result\":\"xxx");

        send_call(f, 1, "server.x");
        id = take_request(f, "server.x");
        n = sprintf(big, "{\"id\":%llu,\"result\":\"", id);
        big[n] = 'x';
        memcpy(big + MAX_MESSAGE - 2, "x\"}", 3);
        assert_int_equal(send(f->server, big, MAX_MESSAGE + 1, 0), MAX_MESSAGE + 1);
        assert_reason(world_receive(f->w), "unavailable");
}

static void test_death_is_answered_at_once(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();

        warm_up(f);
        for (unsigned i = 1; i <= 5; i++)
                send_call(f, i, "server.x");
        for (unsigned i = 1; i <= 5; i++)
                (void)take_request(f, "server.x");
        f->server = fd_close(f->server);
        for (unsigned i = 1; i <= 5; i++) {
                const char *reply = world_receive(f->w);

                assert_reason(reply, "unavailable");
                assert_holds(reply, f->path);
        }
        warm_up(f);
}

/* It was started anew, and the end of the old connection has not been seen yet. */
static void test_a_restart_between_calls(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        unsigned long long id;

        warm_up(f);
        send_call(f, 1, "server.x");
        f->server = fd_close(f->server);
        take_connection(f);
        id = take_request(f, "server.x");
        say(f, "{\"id\":%llu,\"result\":true}", id);
        assert_result(world_receive(f->w), "true");
}

static void test_nobody_there(void **state)
{
        _cleanup_fixture_ Fixture *f = started("true");
        const char *reply;

        reply = call(f, "server.x", "{}");
        assert_reason(reply, "unavailable");
        assert_holds(reply, "\"errno\":\"ENOENT\"");
        assert_holds(reply, f->path);
        serve(f);
        f->listener = fd_close(f->listener);
        assert_holds(call(f, "server.x", "{}"), "\"errno\":\"ECONNREFUSED\"");
        (void)unlink(f->path);
        serve(f);
        warm_up(f);
}

static void test_server_timeout(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("true");
        _cleanup_free_ char *expected = NULL;
        unsigned long long id;

        f->methods[1].timeout = SECOND / 10;
        fixture_start(f);
        serve(f);
        send_call(f, 1, "server.x");
        take_connection(f);
        id = take_request(f, "server.x");
        assert_reason(world_receive(f->w), "timeout");
        expected = text_format(
                "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":%llu}}", id);
        assert_string_equal(take_line(f), expected);
        /* Late, it is an answer to nothing. */
        say(f, "{\"id\":%llu,\"result\":1}\n", id);
        send_call(f, 1, "server.y");
        id = take_request(f, "server.y");
        say(f, "{\"id\":%llu,\"result\":2}\n", id);
        assert_result(world_receive(f->w), "2");
}

static void test_server_cancel(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        unsigned long long id;

        warm_up(f);
        send_call(f, 5, "server.x");
        id = take_request(f, "server.x");
        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":5}}");
        assert_reason(world_receive(f->w), "cancelled");
        assert_int_equal(id_of(take_line(f)), id);

        send_call(f, 6, "server.x");
        id = take_request(f, "server.x");
        f->w->session = session_free(f->w->session);
        assert_int_equal(id_of(take_line(f)), id);
}

static void test_a_full_server(void **state)
{
        static char all[] = "*";
        static char *every[] = { all, NULL };
        _cleanup_fixture_ Fixture *f = serving();

        session_set_settings(f->w->session,
                             &(SessionSettings){
                                     .max_message = MAX_MESSAGE,
                                     .max_values = 1000,
                                     .max_calls = 2000,
                                     .message_timeout = TEXT_INFINITY,
                                     .policy = { .methods = every, .privileged = true },
                             });
        for (unsigned i = 0; i <= LOCAL_SERVER_CALLS_MAX; i++) {
                send_call(f, i, "server.x");
                world_settle(f->w);
        }
        assert_reason(world_receive(f->w), "busy");
        take_connection(f);
        for (unsigned i = 0; i < LOCAL_SERVER_CALLS_MAX; i++) {
                say(f, "{\"id\":%llu,\"result\":%u}\n", take_request(f, "server.x"), i);
                world_settle(f->w);
        }
        for (unsigned i = 0; i < LOCAL_SERVER_CALLS_MAX; i++)
                assert_holds(world_receive(f->w), "\"result\"");
        warm_up(f);
}

/* Discovery */

static void test_discovery_of_a_program(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("true");
        static char target[] = "target", tags[] = "tags";
        const char *reply;

        f->params[0] = (MethodParam){ target, METHOD_PARAM_STRING, false };
        f->params[1] = (MethodParam){ tags, METHOD_PARAM_ARRAY, true };
        f->methods[0].n_params = 2;
        fixture_start(f);
        reply = call(f, "rpc.discover", "{}");
        assert_holds(
                reply,
                "{\"name\":\"program.run\",\"summary\":\"Does it\",\"paramStructure\":\"by-name\","
                "\"params\":[{\"name\":\"target\",\"required\":true,\"schema\":{\"type\":"
                "\"string\"}},{\"name\":\"tags\",\"required\":false,\"schema\":{\"type\":"
                "\"array\"}}],\"result\":{\"name\":\"result\",\"schema\":{}}");
        /* Nobody is there to describe these. */
        assert_holds(reply, "{\"name\":\"server.*\",");
}

static void test_discovery_asks_servers(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();
        _cleanup_json_ json_object *reply = NULL;
        json_object *methods;
        const char *text;

        send_call(f, 1, "rpc.discover");
        take_connection(f);
        say(f,
            "{\"id\":%llu,\"result\":{\"methods\":[{\"name\":\"server.z\"},7,{\"name\":\"agent."
            "evil\"},"
            "{\"name\":\"server.a\",\"summary\":\"A\",\"x-privileged\":false},{\"name\":\"server."
            "\"},{}]}}",
            take_request(f, "rpc.discover"));
        text = world_receive(f->w);
        assert_null(strstr(text, "evil"));
        assert_null(strstr(text, "server.*"));
        assert_holds(text, "{\"name\":\"server.a\",\"summary\":\"A\",\"x-privileged\":true}");
        reply = json_tokener_parse(text);
        methods = member(member(reply, "result"), "methods");
        for (size_t i = 1; i < json_object_array_length(methods); i++)
                assert_true(strcmp(member_text(json_object_array_get_idx(methods, i - 1), "name"),
                                   member_text(json_object_array_get_idx(methods, i), "name")) < 0);
        assert_string_equal(member_text(json_object_array_get_idx(
                                                methods, json_object_array_length(methods) - 4),
                                        "name"),
                            "server.a");
}

static void test_discovery_without_a_document(void **state)
{
        static const char *const answers[] = {
                "{\"id\":%llu,\"result\":{}}",
                "{\"id\":%llu,\"result\":7}",
                "{\"id\":%llu,\"result\":{\"methods\":[{\"name\":\"other\"}]}}",
                "{\"id\":%llu,\"error\":{\"code\":-32601,\"message\":\"no\"}}",
                "nonsense %llu",
                "", /* within a second */
        };
        _cleanup_fixture_ Fixture *f = serving();

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                char answer[256];
                unsigned long long id;

                send_call(f, 1, "rpc.discover");
                if (f->server < 0)
                        take_connection(f);
                id = take_request(f, "rpc.discover");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                (void)snprintf(answer, sizeof(answer), answers[i], id);
#pragma GCC diagnostic pop
                say(f, "%s", answer);
                assert_holds(world_receive(f->w), "{\"name\":\"server.*\",");
                if (answer[0] == 'n')
                        f->server = fd_close(f->server);
        }
        assert_holds(take_line(f), "rpc.cancel");
}

static void test_discovery_is_cancelled(void **state)
{
        _cleanup_fixture_ Fixture *f = serving();

        send_call(f, 9, "rpc.discover");
        take_connection(f);
        (void)take_request(f, "rpc.discover");
        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":9}}");
        assert_reason(world_receive(f->w), "cancelled");
        assert_holds(take_line(f), "rpc.cancel");
        send_call(f, 9, "rpc.discover");
        (void)take_request(f, "rpc.discover");
        f->w->session = session_free(f->w->session);
        assert_int_equal(f->w->stats.calls_running, 0);
}

/* A reload: another set of rows, while calls of the first are running. */
static void test_reload_keeps_what_runs(void **state)
{
        _cleanup_fixture_ Fixture *f = fixture_new("exec sleep 1000");
        MethodSet *first, *second;
        LocalMethods *l, *next;
        unsigned long long id;
        const Method *table;

        f->methods[0].program.max_instances = 1;
        serve(f);
        first = f->w->methods;
        assert_int_equal(local_methods_new(&f->w->context, &f->w->config, NULL, &l, &table), 0);
        method_set_set_owner(first, release, l);
        assert_int_equal(method_set_add(first, table), 0);
        warm_up(f);
        send_call(f, 1, "program.run");
        send_call(f, 2, "server.x");
        id = take_request(f, "server.x");

        assert_int_equal(method_set_new(&f->w->context, &second), 0);
        assert_int_equal(local_methods_new(&f->w->context, &f->w->config, l, &next, &table), 0);
        method_set_set_owner(second, release, next);
        assert_int_equal(method_set_add(second, table), 0);
        assert_int_equal(method_set_add(second, rpc_methods), 0);
        session_set_methods(f->w->session, second);
        f->w->methods = second;
        (void)method_set_unref(first);

        send_call(f, 3, "program.run");
        assert_reason(world_receive(f->w), "busy");
        say(f, "{\"id\":%llu,\"result\":7}", id);
        assert_holds(world_receive(f->w), "\"result\":7,\"id\":2");
        send_call(f, 4, "server.y");
        say(f, "{\"id\":%llu,\"result\":8}", take_request(f, "server.y"));
        assert_holds(world_receive(f->w), "\"result\":8,\"id\":4");
        world_send(f->w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":1}}");
        assert_reason(world_receive(f->w), "cancelled");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_params_are_an_object_on_stdin),
                cmocka_unit_test(test_without_params_the_object_is_empty),
                cmocka_unit_test(test_params_larger_than_a_pipe),
                cmocka_unit_test(test_a_program_need_not_read),
                cmocka_unit_test(test_json_as_it_is_on_one_line),
                cmocka_unit_test(test_output_that_is_no_json),
                cmocka_unit_test(test_json_scalars),
                cmocka_unit_test(test_nesting_is_bounded),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_exit_status_and_stderr),
                cmocka_unit_test(test_signal),
                cmocka_unit_test(test_cannot_be_started),
                cmocka_unit_test(test_output_over_the_limit),
                cmocka_unit_test(test_timeout),
                cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_the_caller_goes),
                cmocka_unit_test(test_max_instances),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_request_and_result),
                cmocka_unit_test(test_names_are_escaped),
                cmocka_unit_test(test_errors_are_passed_on),
                cmocka_unit_test(test_replies_in_any_order_and_pieces),
                cmocka_unit_test(test_what_answers_nothing_of_ours),
                cmocka_unit_test(test_nonsense_drops_the_connection),
                cmocka_unit_test(test_a_reply_over_max_message),
                cmocka_unit_test(test_death_is_answered_at_once),
                cmocka_unit_test(test_a_restart_between_calls),
                cmocka_unit_test(test_nobody_there),
                cmocka_unit_test(test_server_timeout),
                cmocka_unit_test(test_server_cancel),
                cmocka_unit_test(test_a_full_server),
                cmocka_unit_test(test_discovery_of_a_program),
                cmocka_unit_test(test_discovery_asks_servers),
                cmocka_unit_test(test_discovery_without_a_document),
                cmocka_unit_test(test_discovery_is_cancelled),
                cmocka_unit_test(test_reload_keeps_what_runs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
