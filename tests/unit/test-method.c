/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/error.h"
#include "rpc/method.h"
#include "rpc/policy.h"

static const Method agent_methods[] = {
        { .name = "agent.ping" },
        { .name = "agent.reload", .flags = METHOD_PRIVILEGED },
        { .name = "agent.info" },
        { 0 },
};

static const Method rpc_methods[] = {
        { .name = "rpc.cancel" },
        { .name = "agent" },
        { .name = "rpc.discover" },
        { 0 },
};

static const Method doubled_methods[] = {
        { .name = "new.one" },
        { .name = "agent.info" },
        { 0 },
};

static const Method doubled_inside[] = {
        { .name = "new.one" },
        { .name = "new.one" },
        { 0 },
};

static const Method no_methods[] = { { 0 } };

static void test_find(void **state)
{
        _cleanup_(method_set_unrefp) MethodSet *s = NULL;
        int userdata;

        assert_int_equal(method_set_new(&userdata, &s), 0);
        assert_ptr_equal(method_set_userdata(s), &userdata);
        assert_null(method_set_find(s, "agent.ping", 10));
        assert_int_equal(method_set_add(s, agent_methods), 0);
        assert_int_equal(method_set_add(s, rpc_methods), 0);
        assert_int_equal(method_set_add(s, no_methods), 0);

        assert_ptr_equal(method_set_find(s, "agent.ping", 10), &agent_methods[0]);
        assert_ptr_equal(method_set_find(s, "agent.reload", 12), &agent_methods[1]);
        assert_ptr_equal(method_set_find(s, "agent.info", 10), &agent_methods[2]);
        assert_ptr_equal(method_set_find(s, "rpc.cancel", 10), &rpc_methods[0]);
        assert_ptr_equal(method_set_find(s, "agent", 5), &rpc_methods[1]);
        assert_ptr_equal(method_set_find(s, "rpc.discover", 12), &rpc_methods[2]);

        /* The length counts, not a NUL. */
        assert_ptr_equal(method_set_find(s, "agent.pingX", 10), &agent_methods[0]);
        assert_null(method_set_find(s, "agent.ping\0", 11));
        assert_null(method_set_find(s, "agent\0ping", 10));
        assert_null(method_set_find(s, "agent.pin", 9));
        assert_null(method_set_find(s, "agent.pings", 11));
        assert_null(method_set_find(s, "Agent.ping", 10));
        assert_null(method_set_find(s, "", 0));
        assert_null(method_set_find(s, "a", 1));
        assert_null(method_set_find(s, "zzz", 3));
        assert_null(method_set_find(s, "\xff", 1));
}

static void test_list_is_sorted(void **state)
{
        static const char *const names[] = { "agent",        "agent.info", "agent.ping",
                                             "agent.reload", "rpc.cancel", "rpc.discover" };
        _cleanup_(method_set_unrefp) MethodSet *s = NULL;
        const Method *const *list;
        size_t n;

        assert_int_equal(method_set_new(NULL, &s), 0);
        method_set_list(s, &n);
        assert_int_equal(n, 0);
        assert_int_equal(method_set_add(s, rpc_methods), 0);
        assert_int_equal(method_set_add(s, agent_methods), 0);
        list = method_set_list(s, &n);
        assert_int_equal(n, ELEMENTSOF(names));
        for (size_t i = 0; i < n; i++)
                assert_string_equal(list[i]->name, names[i]);
}

static void test_doubled_name(void **state)
{
        _cleanup_(method_set_unrefp) MethodSet *s = NULL;
        size_t n;

        assert_int_equal(method_set_new(NULL, &s), 0);
        assert_int_equal(method_set_add(s, agent_methods), 0);
        assert_int_equal(method_set_add(s, doubled_methods), -EEXIST);
        assert_int_equal(method_set_add(s, doubled_inside), -EEXIST);
        assert_int_equal(method_set_add(s, agent_methods), -EEXIST);

        /* All of a table or none of it. */
        method_set_list(s, &n);
        assert_int_equal(n, 3);
        assert_null(method_set_find(s, "new.one", 7));
        assert_non_null(method_set_find(s, "agent.info", 10));
}

static void test_many(void **state)
{
        enum { COUNT = 300 };
        static char names[COUNT][16];
        static Method table[COUNT + 1];
        _cleanup_(method_set_unrefp) MethodSet *s = NULL;

        for (size_t i = 0; i < COUNT; i++) {
                snprintf(names[i], sizeof(names[i]), "m%zu", i);
                table[i].name = names[i];
        }
        assert_int_equal(method_set_new(NULL, &s), 0);
        assert_int_equal(method_set_add(s, table), 0);
        for (size_t i = 0; i < COUNT; i++)
                assert_ptr_equal(method_set_find(s, names[i], strlen(names[i])), &table[i]);
        assert_null(method_set_find(s, "m300", 4));
        assert_null(method_set_unref(NULL));
}

typedef struct PolicyCase PolicyCase;

struct PolicyCase {
        const char *methods[4];
        const char *blocked[4];
        const char *name;
        bool allowed;
};

static void test_policy_names(void **state)
{
        static const PolicyCase cases[] = {
                { { "*" }, { NULL }, "agent.ping", true },
                { { "*" }, { NULL }, ".hidden", true },
                { { NULL }, { NULL }, "agent.ping", false },
                { { "agent.*" }, { NULL }, "agent.ping", true },
                { { "agent.*" }, { NULL }, "system.info", false },
                { { "agent.*" }, { NULL }, "agent", false },
                { { "agent.ping", "system.*" }, { NULL }, "system.info", true },
                { { "agent.ping" }, { NULL }, "agent.pings", false },
                { { "agent.[pi]*" }, { NULL }, "agent.info", true },
                { { "agent.[pi]*" }, { NULL }, "agent.stats", false },
                { { "agent.????" }, { NULL }, "agent.ping", true },
                { { "*" }, { "agent.reload" }, "agent.reload", false },
                { { "*" }, { "agent.reload" }, "agent.ping", true },
                { { "*" }, { "*" }, "agent.ping", false },
                { { "agent.ping" }, { "agent.*" }, "agent.ping", false },
                { { "system.*", "*" }, { "rpc.*", "file.*" }, "file.read", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Policy p = { .methods = (char *const *)cases[i].methods,
                             .block_methods = (char *const *)cases[i].blocked };

                if (policy_allows_name(&p, cases[i].name) != cases[i].allowed)
                        fail_msg("case %zu: %s", i, cases[i].name);
        }
}

static void test_policy_without_lists(void **state)
{
        char all[] = "*", *every[] = { all, NULL };
        Policy p = { .block_methods = NULL };

        assert_false(policy_allows_name(&p, "agent.ping"));
        p.methods = every;
        assert_true(policy_allows_name(&p, "agent.ping"));
}

static void test_policy_privilege(void **state)
{
        char all[] = "*", reload[] = "agent.reload", *every[] = { all, NULL };
        char *blocked[] = { reload, NULL };
        Policy p = { .methods = every };

        assert_int_equal(policy_check(&p, &agent_methods[0], agent_methods[0].name), 0);
        assert_int_equal(policy_check(&p, &agent_methods[1], agent_methods[1].name), -EPERM);
        p.privileged = true;
        assert_int_equal(policy_check(&p, &agent_methods[1], agent_methods[1].name), 0);

        /* The name decides before the caller does, so that nobody learns who would be let in. */
        p.block_methods = blocked;
        assert_int_equal(policy_check(&p, &agent_methods[1], agent_methods[1].name), -EACCES);
        p.privileged = false;
        assert_int_equal(policy_check(&p, &agent_methods[1], agent_methods[1].name), -EACCES);
}

/* docs/protocol.md's closed list, by hand. */
static void test_error_texts(void **state)
{
        static const char *const reasons[] = {
                "not-allowed", "not-privileged", "unsupported", "not-ready",
                "unavailable", "busy",           "limit",       "timeout",
                "cancelled",   "not-found",      "exists",      "failed",
        };

        assert_int_equal(REASON_MAX, ELEMENTSOF(reasons));
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                assert_string_equal(reason_to_text((Reason)i), reasons[i]);

        assert_int_equal(rpc_code_to_number(RPC_PARSE_ERROR), -32700);
        assert_int_equal(rpc_code_to_number(RPC_INVALID_REQUEST), -32600);
        assert_int_equal(rpc_code_to_number(RPC_METHOD_NOT_FOUND), -32601);
        assert_int_equal(rpc_code_to_number(RPC_INVALID_PARAMS), -32602);
        assert_int_equal(rpc_code_to_number(RPC_INTERNAL_ERROR), -32603);
        assert_string_equal(rpc_code_to_text(RPC_PARSE_ERROR), "parse_error");
        assert_string_equal(rpc_code_to_text(RPC_INTERNAL_ERROR), "internal_error");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_find),
                cmocka_unit_test(test_list_is_sorted),
                cmocka_unit_test(test_doubled_name),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_policy_names),
                cmocka_unit_test(test_policy_without_lists),
                cmocka_unit_test(test_policy_privilege),
                cmocka_unit_test(test_error_texts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
