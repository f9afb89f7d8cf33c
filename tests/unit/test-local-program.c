/* SPDX-License-Identifier: MIT */

/* `[method NAME]` with a command: real programs. */
#include "tests/unit/local-world.h"

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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
