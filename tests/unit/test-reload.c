/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/lib/world.h"

#define RELOAD "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"agent.reload\"}"
#define CANCEL "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":9}}"

static void test_reload(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        world_send(w, RELOAD);
        assert_string_equal(world_receive(w), "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":9}");
        assert_int_equal(w->reloads, 1);
        assert_int_equal(w->privileged_calls, 1);
        world_send(w, RELOAD);
        world_receive(w);
        assert_int_equal(w->reloads, 2);
}

static void test_reload_errors(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);
        _cleanup_json_ json_object *reply = NULL;
        json_object *data, *errors;

        w->reload_result = -EINVAL;
        w->reload_errors[0] = "/etc/g.conf:3: no such key; remove it";
        w->reload_errors[1] = "/etc/\xff.conf:4: no such key";
        world_send(w, RELOAD);
        reply = json_tokener_parse(world_receive(w));
        assert_int_equal(json_object_get_int(member(member(reply, "error"), "code")), -32000);
        data = member(member(reply, "error"), "data");
        assert_string_equal(member_text(data, "reason"), "failed");
        errors = member(data, "errors");
        assert_int_equal(json_object_array_length(errors), 2);
        assert_string_equal(json_object_get_string(json_object_array_get_idx(errors, 0)),
                            "/etc/g.conf:3: no such key; remove it");
        assert_string_equal(json_object_get_string(json_object_array_get_idx(errors, 1)),
                            "/etc/\xef\xbf\xbd.conf:4: no such key");
}

static void test_reload_fails_with_errno(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        w->reload_result = -EMFILE;
        world_send(w, RELOAD);
        assert_non_null(strstr(world_receive(w), "\"reason\":\"failed\",\"errno\":\"EMFILE\""));
}

static void test_reload_needs_privilege(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);

        world_send(w, RELOAD);
        assert_non_null(strstr(world_receive(w), "\"reason\":\"not-privileged\""));
        world_settle(w);
        assert_int_equal(w->reloads, 0);
}

/* In one packet, so that both are read before the reload's turn comes. */
static void test_reload_cancelled(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        world_send(w, RELOAD CANCEL);
        assert_non_null(strstr(world_receive(w), "\"reason\":\"cancelled\""));
        world_settle(w);
        assert_int_equal(w->reloads, 0);
}

static void test_reload_closes_its_caller(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        w->reload_closes = true;
        world_send(w, RELOAD);
        world_settle(w);
        assert_int_equal(w->reloads, 1);
        assert_null(w->session);
        assert_int_equal(recv(w->caller, w->input, sizeof w->input, 0), 0);
}

/* Whoever asks and leaves at once gets what it asked for. */
static void test_reload_outlives_its_caller(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        world_send(w, RELOAD);
        while (w->stats.calls_total == 0)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        if (w->reloads == 0)
                w->session = session_free(w->session);
        world_settle(w);
        assert_int_equal(w->reloads, 1);
        assert_int_equal(w->stats.calls_running, 0);
}

/* The end of the loop takes a reload that is still due with it: nothing leaks. */
static void test_reload_at_the_end(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        world_send(w, RELOAD);
        while (w->stats.calls_total == 0)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        session_cancel_all(w->session, CALL_SHUTDOWN);
        world_send(w, RELOAD);
        while (w->stats.calls_total == 1)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        assert_int_equal(w->reloads, 0);
        assert_int_equal(w->stats.calls_running, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_reload_errors),
                cmocka_unit_test(test_reload_fails_with_errno),
                cmocka_unit_test(test_reload_needs_privilege),
                cmocka_unit_test(test_reload_cancelled),
                cmocka_unit_test(test_reload_closes_its_caller),
                cmocka_unit_test(test_reload_outlives_its_caller),
                cmocka_unit_test(test_reload_at_the_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
