/* SPDX-License-Identifier: MIT */

/* Methods of the configuration's own, both kinds together: what rpc.discover tells of them, and
 * what a reload leaves alone. */
#include "tests/unit/local-world.h"

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
                                                methods, json_object_array_length(methods) - 8),
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
                cmocka_unit_test(test_discovery_of_a_program),
                cmocka_unit_test(test_discovery_asks_servers),
                cmocka_unit_test(test_discovery_without_a_document),
                cmocka_unit_test(test_discovery_is_cancelled),
                cmocka_unit_test(test_reload_keeps_what_runs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
