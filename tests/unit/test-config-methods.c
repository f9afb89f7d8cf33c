/* SPDX-License-Identifier: MIT */

/* `[method NAME]` and `[method PREFIX.*]`. */
#include "config-text.h"

static void test_program(void **state)
{
        _cleanup_config_ Config *c = load("[method backup.start]\n"
                                          "summary = Start a backup\n"
                                          "command = /usr/libexec/backup --json\n"
                                          "params = target:string, level:integer?, tags:array?\n"
                                          "privileged = yes\n"
                                          "timeout = 30s\n"
                                          "user = root\n"
                                          "max-instances = 1\n"
                                          "output = json\n");
        _cleanup_free_ char *printed = print(c), *again = NULL;
        _cleanup_config_ Config *d = load(printed);
        const MethodSettings *m = c->methods[0];

        assert_int_equal(c->n_methods, 1);
        assert_int_equal(c->n_listens, 0);
        assert_string_equal(m->name, "backup.start");
        assert_string_equal(m->summary, "Start a backup");
        assert_string_equal(m->program.command[1], "--json");
        assert_int_equal(m->n_params, 3);
        assert_string_equal(m->params[0].name, "target");
        assert_int_equal(m->params[0].type, METHOD_PARAM_STRING);
        assert_false(m->params[0].optional);
        assert_string_equal(m->params[1].name, "level");
        assert_int_equal(m->params[1].type, METHOD_PARAM_INTEGER);
        assert_true(m->params[1].optional);
        assert_int_equal(m->params[2].type, METHOD_PARAM_ARRAY);
        assert_true(m->privileged);
        assert_int_equal(m->timeout, 30000000);
        assert_int_equal(m->program.kill_timeout, 5000000);
        assert_true(m->program.has_user);
        assert_int_equal(m->program.uid, 0);
        assert_int_equal(m->program.max_instances, 1);
        assert_int_equal(m->output, METHOD_OUTPUT_JSON);
        assert_int_equal(m->to.kind, ADDRESS_NONE);

        assert_string_equal(strstr(printed, "\n[method"),
                            "\n[method backup.start]\n"
                            "summary = Start a backup\n"
                            "command = /usr/libexec/backup --json\n"
                            "params = target:string, level:integer?, tags:array?\n"
                            "privileged = yes\n"
                            "timeout = 30s\n"
                            "kill-timeout = 5s\n"
                            "user = root\n"
                            "group = 0\n"
                            "directory = /\n"
                            "environment =\n"
                            "max-instances = 1\n"
                            "memory-max = infinity\n"
                            "tasks-max = infinity\n"
                            "cpu-weight = 100\n"
                            "scope = auto\n"
                            "properties =\n"
                            "output = json\n");
        again = print(d);
        assert_string_equal(printed, again);
}

static void test_defaults_of_a_program(void **state)
{
        _cleanup_config_ Config *c = load("[method a.b]\ncommand = /x\n");
        _cleanup_free_ char *printed = print(c), *again = NULL;
        _cleanup_config_ Config *d = load(printed);
        const MethodSettings *m = c->methods[0];

        assert_string_equal(m->summary, "");
        assert_int_equal(m->n_params, 0);
        assert_true(m->privileged);
        assert_int_equal(m->timeout, 30000000);
        assert_int_equal(m->program.max_instances, UINT64_MAX);
        assert_false(m->program.has_user);
        assert_string_equal(m->program.directory, "/");
        assert_int_equal(m->output, METHOD_OUTPUT_JSON);
        assert_string_equal(strstr(printed, "\n[method"),
                            "\n[method a.b]\nsummary =\ncommand = /x\nparams =\nprivileged = yes\n"
                            "timeout = 30s\nkill-timeout = 5s\nuser =\ngroup =\ndirectory = /\n"
                            "environment =\nmax-instances = 0\n"
                            "memory-max = infinity\ntasks-max = infinity\ncpu-weight = 100\n"
                            "scope = auto\nproperties =\noutput = json\n");
        again = print(d);
        assert_string_equal(printed, again);
}

static void test_server(void **state)
{
        _cleanup_config_ Config *c = load("[method inventory.*]\nto = unix:/run/inventory.sock\n");
        _cleanup_free_ char *printed = print(c), *again = NULL;
        _cleanup_config_ Config *d = load(printed);
        const MethodSettings *m = c->methods[0];

        assert_string_equal(m->name, "inventory.*");
        assert_null(m->program.command);
        assert_int_equal(m->to.kind, ADDRESS_UNIX);
        assert_string_equal(m->to.path, "/run/inventory.sock");
        assert_true(m->privileged);
        assert_string_equal(strstr(printed, "\n[method"),
                            "\n[method inventory.*]\nsummary =\nto = unix:/run/inventory.sock\n"
                            "privileged = yes\ntimeout = 30s\n");
        again = print(d);
        assert_string_equal(printed, again);
}

static void test_sorted_by_name(void **state)
{
        static const char *const expected[] = { "a.*", "a.b", "a.b.*", "a.b.c", "b.a" };
        _cleanup_config_ Config *c =
                load("[method b.a]\ncommand = /x\n[method a.b]\ncommand = /x\n[port 7]\n"
                     "[method a.b.c]\ncommand = /x\n[method a.b.*]\nto = unix:/x\n"
                     "[method a.*]\nto = unix:/y\n");

        assert_int_equal(c->n_listens, 1);
        assert_int_equal(c->n_methods, ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(c->methods[i]->name, expected[i]);
}

static void test_names(void **state)
{
        static const char *const good[] = { "a.b", "a-b_c9.d", "0.1", "-._", "a.b.c.d.e.f" };
        static const char *const bad[] = { "a",    ".a",    "a.",    "a..b",      "A.b",
                                           "a.B",  "a b",   "a/b",   "*",         "a*",
                                           "a.*b", "a.b*",  "*.a",   ".*",        "a.?",
                                           "a.[b", "a.*.b", "a.*.*", "\xc3\xa9.a" };
        static const char *const builtin[] = {
                "agent.info", "agent.x",   "system.info", "rpc.x",
                "exec.run",   "file.read", "agent.*",     "rpc.a.*"
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_free_ char *one = text_format("[method %s]\ncommand = /x\n", good[i]);
                _cleanup_free_ char *all = text_format("[method %s.*]\nto = unix:/x\n", good[i]);

                config_unref(load(one));
                config_unref(load(all));
        }
        config_unref(load("[method a.*]\nto = unix:/x\n"));
        config_unref(load("[method agents.x]\ncommand = /x\n[method my.agent.x]\ncommand = /x\n"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text = text_format("#\n[method %s]\n", bad[i]);

                expect_refusal(text, "f:2: [method NAME]: '", "is no method's name");
        }
        for (size_t i = 0; i < ELEMENTSOF(builtin); i++) {
                _cleanup_free_ char *text = text_format("#\n[method %s]\n", builtin[i]);

                expect_refusal(text, "f:2: [method NAME]: '", "clashes with guestwire's built-in");
        }
        expect_refusal("[method]\n", "f:1: ", "[method] needs a name");
        expect_refusal("[metod a.b]\n", "f:1: ", "did you mean [method NAME]?");
        expect_refusal("[method aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbb]\n",
                       "f:1: ", "use at most 49");
}

static void test_command_or_to(void **state)
{
        expect_refusal("[method a.b]\nsummary = x\n", "f:1: [method a.b] has no program",
                       "add command");
        expect_refusal("[method a.*]\nsummary = x\n", "f:1: [method a.*] has no server", "add to");
        expect_refusal("[method a.b]\ncommand =\n", "f:1: [method a.b] has no program",
                       "add command");
        expect_refusal("[method a.b]\nto = unix:/x\n", "f:2: to (",
                       "is for [method PREFIX.*] only");
        expect_refusal("[method a.b]\ncommand = /x\nto = unix:/x\n", "f:3: to (",
                       "is for [method PREFIX.*] only");
        expect_refusal("[method a.*]\ncommand = /x\n", "f:2: command (",
                       "[method a.*] is for a server");
        expect_refusal("[method a.*]\nto = tcp:127.0.0.1:1\n", "f:2: to: ", "is no local server");
        expect_refusal("[method a.*]\nto = unix:x\n", "f:2: to: ", "not absolute");
}

static void test_keys_of_the_other_kind(void **state)
{
        static const char *const keys[] = { "params = a:string", "kill-timeout = 1s",
                                            "user = root",       "group = root",
                                            "directory = /",     "environment = A=b",
                                            "max-instances = 1", "output = text" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_free_ char *text =
                        text_format("[method a.*]\n%s\nto = unix:/x\n", keys[i]);

                expect_refusal(text, "f:2: ", "[method a.*] is for a server: remove it");
        }
}

static void test_params(void **state)
{
        static const char *const bad[][2] = {
                { "a", "'a' has no type" },
                { "a:", "'' is no type" },
                { "a:text", "'text' is no type" },
                { "a:String", "'String' is no type" },
                { "a:string??", "'string?' is no type" },
                { ":string", "'' is no parameter's name" },
                { "9a:string", "'9a' is no parameter's name" },
                { "a b:string", "'a b' is no parameter's name" },
                { "a?:string", "'a?' is no parameter's name" },
                { "a:string,", "has an empty entry" },
                { "a:string,,b:string", "has an empty entry" },
                { "a:string, a:integer", "'a' is there twice" },
        };
        _cleanup_config_ Config *c =
                load("[method a.b]\ncommand = /x\nparams = a:string,b : integer ?,c:number,\n"
                     "    d:boolean?, e_-9:array , F:object\n");
        _cleanup_free_ char *printed = print(c), *many = NULL;
        size_t n = 0;
        FILE *f;

        assert_non_null(strstr(printed, "\nparams = a:string, b:integer?, c:number, d:boolean?, "
                                        "e_-9:array, F:object\n"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text =
                        text_format("[method a.b]\ncommand = /x\nparams = %s\n", bad[i][0]);

                expect_refusal(text, "f:3: params: ", bad[i][1]);
        }
        f = open_memstream(&many, &n);
        assert_non_null(f);
        fputs("[method a.b]\ncommand = /x\nparams = p:array", f);
        for (unsigned i = 0; i < 64; i++)
                fprintf(f, ",\n p%u:array", i);
        assert_int_equal(fclose(f), 0);
        expect_refusal(many, "f:3: params: ", "at most 64");
}

static void test_bad_values(void **state)
{
        static const char *const bad[][2] = {
                { "privileged = maybe", "neither yes nor no" },
                { "timeout = 0", "out of range" },
                { "output = xml", "neither json nor text" },
                { "max-instances = x", "is not a number" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text =
                        text_format("[method a.b]\ncommand = /x\n%s\n", bad[i][0]);

                expect_refusal(text, "f:3: ", bad[i][1]);
        }
        config_unref(load("[method a.b]\ncommand = /x\ntimeout = infinity\noutput = text\n"
                          "privileged = no\n"));
}

static void test_unknown_keys(void **state)
{
        expect_refusal("[method a.b]\ncommand = /x\nparam = a:string\n",
                       "f:3: unknown key 'param' in [method NAME]: ", "did you mean params (");
        expect_refusal("[method a.b]\ncommand = /x\npeers = any\n",
                       "f:3: [method NAME] takes no peers (", "[port N] and [listen NAME]");
        expect_refusal("[method a.b]\ncommand = /x\naddress = unix:/x\n",
                       "f:3: [method NAME] takes no address (", "put it under [listen NAME]");
        expect_refusal("[method a.b]\ncommand = /x\nmax-connections = 1\n",
                       "f:3: [method NAME] takes no max-connections (",
                       "[agent], [port N] and [listen NAME]");
        expect_refusal("[port 7]\nparams = a:string\n", "f:2: [port N] takes no params (",
                       "put it under [method NAME]");
        expect_refusal("[agent]\ntimeout = 1s\n", "f:2: [agent] takes no timeout (",
                       "put it under [port N], [listen NAME] and [method NAME]");
        /* What is near to nothing is near to nothing of another kind either. */
        expect_refusal("[agent]\nqqqq = 1\n", "f:2: unknown key 'qqqq' in [agent]: ",
                       "remove it, or see guestwire.conf(5)");
        expect_refusal("[method a.b]\ncommand = /x\nqqqq = 1\n",
                       "f:3: unknown key 'qqqq' in [method NAME]: ", "remove it, or see");
}

static void test_repeats(void **state)
{
        expect_refusal("[method a.b]\ncommand = /x\n[port 7]\n[method a.b]\n",
                       "f:4: [method a.b] is in this file already", "at line 1");
        expect_refusal("[method a.b]\ncommand = /x\ncommand = /y\n",
                       "f:3: command is in this section already", "at line 2");
        expect_refusal("[method  a.b ]\ncommand = /x\n[method a.b]\n", "f:3: ", "at line 1");
}

/* What stands under a bad header is still looked at. */
static void test_keys_of_a_bad_name(void **state)
{
        _cleanup_free_ char *errors = refuse("[method A]\ncomand = /x\noutput = y\n"
                                             "command = \"/x y\" z\"\n");

        assert_memory_equal(errors, "f:1: ", 5);
        assert_non_null(strstr(errors, "\nf:2: unknown key 'comand'"));
        assert_non_null(strstr(errors, "\nf:3: output: "));
        assert_non_null(strstr(errors, "\nf:4: command: there is a quote that is not closed"));
}

static void test_many_methods(void **state)
{
        _cleanup_free_ char *text = NULL, *more = NULL;
        _cleanup_config_ Config *c = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        assert_non_null(f);
        for (unsigned i = 0; i < 1024; i++)
                fprintf(f, "[method m.%u]\ncommand = /x\n", i);
        assert_int_equal(fclose(f), 0);
        c = load(text);
        assert_int_equal(c->n_methods, 1024);
        more = text_format("%s[method n.x]\ncommand = /x\n", text);
        expect_refusal(more, "f:2049: ", "more than 1024 methods");
        free(more);
        more = text_format("%s[port 7]\n", text);
        config_unref(load(more));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_program),
                cmocka_unit_test(test_defaults_of_a_program),
                cmocka_unit_test(test_server),
                cmocka_unit_test(test_sorted_by_name),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_command_or_to),
                cmocka_unit_test(test_keys_of_the_other_kind),
                cmocka_unit_test(test_params),
                cmocka_unit_test(test_bad_values),
                cmocka_unit_test(test_unknown_keys),
                cmocka_unit_test(test_repeats),
                cmocka_unit_test(test_keys_of_a_bad_name),
                cmocka_unit_test(test_many_methods),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
