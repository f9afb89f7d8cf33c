/* SPDX-License-Identifier: MIT */
#include "tests/unit/config-text.h"

static void test_scope_is_that_of_the_agent(void **state)
{
        _cleanup_config_ Config *c = load("[agent]\nscope = unit\n"
                                          "[port 1]\nhandler = rpc\n"
                                          "[port 2]\nhandler = exec\ncommand = /x\nscope = agent\n"
                                          "[port 3]\nscope = auto\n"
                                          "[method a.b]\ncommand = /x\n"
                                          "[method a.c]\ncommand = /x\nscope = agent\n");

        assert_int_equal(c->agent.scope, SCOPE_UNIT);
        assert_int_equal(c->listens[0]->program.scope, SCOPE_UNIT);
        assert_int_equal(c->listens[1]->program.scope, SCOPE_AGENT);
        assert_int_equal(c->listens[2]->program.scope, SCOPE_UNIT);
        assert_int_equal(c->methods[0]->program.scope, SCOPE_UNIT);
        assert_int_equal(c->methods[1]->program.scope, SCOPE_AGENT);
}

static void test_properties_and_limits(void **state)
{
        _cleanup_free_ char *printed = NULL, *again = NULL;
        _cleanup_config_ Config *c = NULL, *d = NULL;
        const ProgramSettings *p;

        c = load("[agent]\nproperties = Nice=5 \"Description=a b\"\n"
                 "[port 2]\nhandler = exec\ncommand = /x\nproperties = MemoryMax=1G\n"
                 "memory-max = 16M\ntasks-max = 7\ncpu-weight = 250\n"
                 "[method a.b]\ncommand = /x\nmemory-max = infinity\n");
        assert_string_equal(c->agent.properties[0], "Nice=5");
        assert_string_equal(c->agent.properties[1], "Description=a b");
        assert_null(c->agent.properties[2]);
        p = &c->listens[0]->program;
        assert_string_equal(p->properties[0], "MemoryMax=1G");
        assert_null(p->properties[1]);
        assert_int_equal(p->limits.memory_max, 16777216);
        assert_int_equal(p->limits.tasks_max, 7);
        assert_int_equal(p->limits.cpu_weight, 250);
        assert_int_equal(c->methods[0]->program.limits.memory_max, 0);
        assert_int_equal(c->methods[0]->program.limits.tasks_max, 0);
        /* What is as it would be anyway is no limit, which would need a control group. */
        assert_int_equal(c->methods[0]->program.limits.cpu_weight, 0);
        assert_null(c->methods[0]->program.properties);

        printed = print(c);
        d = load(printed);
        again = print(d);
        assert_string_equal(printed, again);
}

static void test_root(void **state)
{
        _cleanup_config_ Config *c = load("[port 1]\nroot = /srv/drop\n[port 2]\nroot =\n");

        assert_string_equal(c->listens[0]->root, "/srv/drop");
        assert_null(c->listens[1]->root);
}

static void test_refusals(void **state)
{
        static const struct {
                const char *text;
                const char *problem;
                const char *advice;
        } refused[] = {
                { "[agent]\nscope = user\n", "f:2: scope: 'user' is not known", "unit" },
                { "[agent]\nproperties = nice=5\n", "f:2: properties: 'nice=5' is no property",
                  "NAME=VALUE" },
                { "[agent]\nproperties = Nice\n", "f:2: properties: 'Nice' is no property",
                  "NAME=VALUE" },
                { "[agent]\nscope = agent\nproperties = Nice=5\n", "f:3: properties are those of",
                  "scope = unit" },
                { "[port 1]\nscope = agent\nproperties = Nice=5\n", "f:3: properties are those of",
                  "scope = unit" },
                { "[port 1]\nroot = srv\n", "f:2: root: 'srv' is no absolute path", "'/'" },
                { "[port 1]\nhandler = echo\nroot = /srv\n", "f:3: the handler echo takes no root",
                  "rpc" },
                { "[port 1]\nmemory-max = 1G\n", "f:2: the handler rpc takes no memory-max",
                  "exec" },
                { "[method a.b]\ncommand = /x\nmemory-max = 1\n", "f:3: memory-max: '1'", "1M" },
                { "[method a.b]\ncommand = /x\ncpu-weight = 0\n", "f:3: cpu-weight: '0'", "10000" },
                { "[method a.*]\nto = unix:/x\nscope = unit\n", "f:3: scope", "program" },
                { "[agent]\njob-output = 1\n", "f:2: job-output: '1'", "4K" },
                { "[agent]\nmax-jobs = 0\n", "f:2: max-jobs: '0'", "1 to 65536" },
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                expect_refusal(refused[i].text, refused[i].problem, refused[i].advice);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_scope_is_that_of_the_agent),
                cmocka_unit_test(test_properties_and_limits),
                cmocka_unit_test(test_root),
                cmocka_unit_test(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
