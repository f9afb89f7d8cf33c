/* SPDX-License-Identifier: MIT */

/* `[method PREFIX.*]`: calls that a local JSON-RPC server answers. */
#include "tests/unit/local-world.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
