/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "methods/discover.h"
#include "methods/facts.h"
#include "methods/virtualization.h"
#include "tests/lib/world.h"

static void test_ping(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);

        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"agent.ping\"}");
        assert_string_equal(world_receive(w),
                            "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":\"\\u0061\"}");
        world_send(w,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.ping\",\"params\":{\"a\":1}}");
        assert_non_null(strstr(world_receive(w), "\"code\":-32602"));
}

static void assert_id128(json_object *o, const char *key)
{
        const char *text = member_text(o, key);

        /* Where the system has none, as in some containers. */
        if (!text)
                return;
        assert_int_equal(strlen(text), 32);
        assert_int_equal(strspn(text, "0123456789abcdef"), 32);
}

static void test_info(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, true);
        _cleanup_json_ json_object *info = NULL;
        json_object *caller, *port;
        char guid_text[] = "Guest agent", hostname[256];
        ListenSettings vsock = { .address = { .kind = ADDRESS_VSOCK, .port = 1000 },
                                 .description = guid_text };
        ListenSettings unix_socket = { .address = { .kind = ADDRESS_UNIX } };
        ListenSettings high = { .address = { .kind = ADDRESS_VSOCK, .port = 0xfffffffe } };
        ListenSettings *listens[] = { &vsock, &unix_socket, &high };

        w->config.listens = listens;
        w->config.n_listens = ELEMENTSOF(listens);
        info = world_call(w, "agent.info");
        assert_as_declared(w, "agent.info", info);
        assert_string_equal(member_text(info, "name"), PACKAGE_NAME);
        assert_string_equal(member_text(info, "version"), PACKAGE_VERSION);
        assert_int_equal(gethostname(hostname, sizeof hostname), 0);
        assert_string_equal(member_text(info, "hostname"), hostname);
        assert_id128(info, "boot_id");
        assert_id128(info, "machine_id");
        assert_string_equal(member_text(info, "virtualization"), virtualization_detect());
        assert_in_range(member_unsigned(info, "uptime_us"), 3 * SECOND, 1000 * SECOND);
        assert_string_equal(json_object_get_string(
                                    json_object_array_get_idx(member(info, "dialects"), 0)),
                            session_dialects()[0]);

        assert_int_equal(json_object_array_length(member(info, "ports")), 2);
        port = json_object_array_get_idx(member(info, "ports"), 0);
        assert_int_equal(member_unsigned(port, "port"), 1000);
        assert_string_equal(member_text(port, "guid"), "000003e8-facb-11e6-bd58-64006a7986d3");
        assert_string_equal(member_text(port, "handler"), "rpc");
        assert_string_equal(member_text(port, "description"), "Guest agent");
        port = json_object_array_get_idx(member(info, "ports"), 1);
        assert_int_equal(member_unsigned(port, "port"), 0xfffffffe);
        assert_string_equal(member_text(port, "guid"), "fffffffe-facb-11e6-bd58-64006a7986d3");
        assert_null(member_text(port, "description"));

        caller = member(info, "caller");
        assert_int_equal(member_unsigned(caller, "cid"), 2);
        assert_int_equal(member_unsigned(caller, "port"), 1023);
        assert_null(member(caller, "uid"));
        assert_true(json_object_get_boolean(member(caller, "privileged")));
}

static void test_info_callers(void **state)
{
        static const Peer unix_peer = { .kind = PEER_UNIX, .uid = 1000, .cid = 9, .port = 9 };
        static const Peer tcp_peer = { .kind = PEER_TCP, .port = 50000, .cid = 9, .uid = 9 };
        _cleanup_(world_freep) World *unix_world = world_new(&unix_peer, false);
        _cleanup_(world_freep) World *tcp_world = world_new(&tcp_peer, false);
        json_object *info;

        info = world_call(unix_world, "agent.info");
        assert_string_equal(json_object_to_json_string_ext(member(info, "caller"),
                                                           JSON_C_TO_STRING_PLAIN),
                            "{\"cid\":null,\"port\":null,\"uid\":1000,\"privileged\":false}");
        json_object_put(info);
        info = world_call(tcp_world, "agent.info");
        assert_string_equal(json_object_to_json_string_ext(member(info, "caller"),
                                                           JSON_C_TO_STRING_PLAIN),
                            "{\"cid\":null,\"port\":50000,\"uid\":null,\"privileged\":false}");
        json_object_put(info);
}

static void test_stats(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        _cleanup_json_ json_object *stats = NULL;
        json_object *errors;

        w->stats.connections_refused = 5;
        w->stats.connections_current = 1;
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no.such\"}");
        world_receive(w);
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.reload\"}");
        world_receive(w);
        stats = world_call(w, "agent.stats");
        assert_as_declared(w, "agent.stats", stats);
        assert_int_equal(member_unsigned(stats, "refused_peers"), 5);
        assert_int_equal(member_unsigned(member(stats, "connections"), "current"), 1);
        assert_int_equal(member_unsigned(member(stats, "calls"), "total"), 3);
        assert_int_equal(member_unsigned(member(stats, "calls"), "running"), 1);
        errors = member(stats, "errors");
        assert_int_equal(json_object_object_length(errors), RPC_CODE_MAX + REASON_MAX);
        assert_int_equal(member_unsigned(errors, "method_not_found"), 1);
        assert_int_equal(member_unsigned(errors, "not_privileged"), 1);
        assert_int_equal(member_unsigned(errors, "parse_error"), 0);
        json_object_object_foreach(errors, key, value)
        {
                assert_null(strchr(key, '-'));
                assert_true(json_object_is_type(value, json_type_int));
        }
        assert_true(member_unsigned(member(stats, "bytes"), "received") > 100);
        assert_true(member_unsigned(member(stats, "bytes"), "sent") > 100);
        assert_true(member_unsigned(member(stats, "memory"), "resident_bytes") >=
                    member_unsigned(member(stats, "memory"), "anonymous_bytes"));
        assert_true(member_unsigned(member(stats, "memory"), "anonymous_bytes") > 0);
}

static void test_system_info(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        _cleanup_json_ json_object *info = NULL, *os = NULL;
        uint64_t before = facts_now(CLOCK_REALTIME), time_us;
        static const char *const declared[] = { "id", "name", "pretty_name", "version_id" };
        struct utsname name;

        info = world_call(w, "system.info");
        assert_int_equal(uname(&name), 0);
        assert_string_equal(member_text(info, "hostname"), name.nodename);
        assert_string_equal(member_text(info, "architecture"), name.machine);
        assert_string_equal(member_text(member(info, "kernel"), "release"), name.release);
        assert_string_equal(member_text(member(info, "kernel"), "version"), name.version);
        assert_int_equal(member_unsigned(info, "cpus"), sysconf(_SC_NPROCESSORS_ONLN));
        assert_in_range(member_unsigned(member(info, "memory"), "available_bytes"), 1,
                        member_unsigned(member(info, "memory"), "total_bytes"));
        assert_in_range(member_unsigned(info, "uptime_us"), 1, facts_now(CLOCK_BOOTTIME));
        time_us = member_unsigned(info, "time_us");
        assert_in_range(time_us, before, facts_now(CLOCK_REALTIME));

        /* os-release has what fields it likes beside those that are always there. */
        os = json_object_new_object();
        for (size_t i = 0; i < ELEMENTSOF(declared); i++)
                json_object_object_add(os, declared[i],
                                       json_object_get(member(member(info, "os"), declared[i])));
        json_object_object_add(info, "os", TAKE_PTR(os));
        assert_as_declared(w, "system.info", info);
}

/* snake_case, a summary, and the same of what is inside. */
static void assert_fields(const char *method, const Field *fields)
{
        for (const Field *f = fields; f && f->name; f++) {
                if (strspn(f->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(f->name))
                        fail_msg("%s: %s is not in snake case", method, f->name);
                if (!f->summary || f->summary[0] == '\0')
                        fail_msg("%s: %s has no summary", method, f->name);
                assert_fields(method, f->members);
        }
}

static void test_rows_are_complete(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        const Method *const *list;
        size_t n;

        list = method_set_list(w->methods, &n);
        assert_int_equal(n, 14);
        for (size_t i = 0; i < n; i++) {
                assert_non_null(list[i]->run);
                assert_true(list[i]->summary && list[i]->summary[0] != '\0');
                assert_fields(list[i]->name, list[i]->params);
                assert_fields(list[i]->name, list[i]->result);
        }
}

static json_object *document_method(json_object *document, const char *name)
{
        json_object *methods = member(document, "methods");

        for (size_t i = 0; i < json_object_array_length(methods); i++) {
                json_object *m = json_object_array_get_idx(methods, i);

                if (strcmp(member_text(m, "name"), name) == 0)
                        return m;
        }
        return NULL;
}

/* What only a privileged caller may ask for. */
static bool changes_something(const char *method)
{
        return strcmp(method, "agent.reload") == 0 || strcmp(method, "system.shutdown") == 0 ||
               strncmp(method, "system.set_", strlen("system.set_")) == 0;
}

static void test_discover(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        _cleanup_json_ json_object *document = world_call(w, "rpc.discover");
        json_object *m, *param, *methods, *error;

        assert_as_declared(w, "rpc.discover", document);
        assert_int_equal(strncmp(member_text(document, "openrpc"), "1.", 2), 0);
        assert_string_equal(member_text(member(document, "info"), "version"), PACKAGE_VERSION);
        methods = member(document, "methods");
        assert_int_equal(json_object_array_length(methods), 14);
        for (size_t i = 0; i < json_object_array_length(methods); i++) {
                m = json_object_array_get_idx(methods, i);
                assert_string_equal(member_text(m, "paramStructure"), "by-name");
                assert_string_equal(member_text(member(member(m, "result"), "schema"), "type"),
                                    "object");
                assert_non_null(member_text(member(m, "result"), "name"));
                /* OpenRPC: the codes of one method's errors differ. */
                assert_int_equal(json_object_array_length(member(m, "errors")), 1);
                error = json_object_array_get_idx(member(m, "errors"), 0);
                assert_int_equal(json_object_get_int(member(error, "code")), -32000);
                assert_int_equal(json_object_get_boolean(member(m, "x-privileged")),
                                 changes_something(member_text(m, "name")));
        }

        m = document_method(document, "rpc.cancel");
        param = json_object_array_get_idx(member(m, "params"), 0);
        assert_string_equal(member_text(param, "name"), "id");
        assert_true(json_object_get_boolean(member(param, "required")));
        assert_true(json_object_is_type(member(param, "schema"), json_type_object));
        assert_non_null(strstr(json_object_to_json_string(member(m, "errors")), "not-found"));

        m = document_method(document, "agent.reload");
        assert_non_null(strstr(json_object_to_json_string(member(m, "errors")), "not-privileged"));
}

static void test_discover_shows_what_policy_allows(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        char agent[] = "agent.*", reload[] = "agent.reload";
        char *allowed[] = { agent, NULL }, *blocked[] = { reload, NULL };
        Policy policy = { .methods = allowed, .block_methods = blocked, .privileged = true };
        _cleanup_json_ json_object *document = discover_document(w->methods, &policy);

        assert_int_equal(json_object_array_length(member(document, "methods")), 5);
        assert_non_null(document_method(document, "agent.ping"));
        assert_null(document_method(document, "agent.reload"));
        assert_null(document_method(document, "rpc.discover"));
}

static void test_cancel(void **state)
{
        static const struct {
                const char *id;
                const char *answer;
        } cases[] = {
                { "7", "\"reason\":\"not-found\"" },
                { "null", "\"reason\":\"not-found\"" },
                { "\"x\"", "\"reason\":\"not-found\"" },
                { "1.5", "\"reason\":\"not-found\"" },
                { "\"self\"", "\"reason\":\"unsupported\"" },
                { "true", "\"code\":-32602" },
                { "[]", "\"code\":-32602" },
                { "{}", "\"code\":-32602" },
        };
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                text = text_format("{\"jsonrpc\":\"2.0\",\"id\":\"self\",\"method\":\"rpc.cancel\","
                                   "\"params\":{\"id\":%s}}",
                                   cases[i].id);
                world_send(w, text);
                assert_non_null(strstr(world_receive(w), cases[i].answer));
        }
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.cancel\"}");
        assert_non_null(strstr(world_receive(w), "\"code\":-32602"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ping),
                cmocka_unit_test(test_info),
                cmocka_unit_test(test_info_callers),
                cmocka_unit_test(test_stats),
                cmocka_unit_test(test_system_info),
                cmocka_unit_test(test_rows_are_complete),
                cmocka_unit_test(test_discover),
                cmocka_unit_test(test_discover_shows_what_policy_allows),
                cmocka_unit_test(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
