/* SPDX-License-Identifier: MIT */

/* Words, and the keys of programs. */
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "config-text.h"
#include "config/quote.h"
#include "config/words.h"

/* The words of text, each in brackets. */
static char *split(const char *text)
{
        _cleanup_text_list_ char **list = NULL;
        _cleanup_free_ char *problem = NULL;
        char *joined = NULL;
        size_t n = 0;
        FILE *f;

        if (words_split(text, &list, &problem) < 0)
                fail_msg("%s: %s", text, problem);
        assert_null(problem);
        f = open_memstream(&joined, &n);
        assert_non_null(f);
        for (char **w = list; *w; w++)
                fprintf(f, "[%s]", *w);
        assert_int_equal(fclose(f), 0);
        return joined;
}

static void test_words(void **state)
{
        static const char *const good[][2] = {
                { "", "" },
                { " \t ", "" },
                { "/bin/true", "[/bin/true]" },
                { "a  b\tc ", "[a][b][c]" },
                { "\"a b\" 'c d'", "[a b][c d]" },
                { "'a \"b\" c' \"d 'e' f\"", "[a \"b\" c][d 'e' f]" },
                { "\"\" a ''", "[][a][]" },
                { "a\"b c\"d'e f'", "[ab cde f]" },
                { "a\\x20b \\141\\142 \"\\x63 \\144\" '\\x65'", "[a b][ab][c d][e]" },
                { "\\\" \\' \\\\ \\s a\\sb", "[\"]['][\\][ ][a b]" },
                { "\"a\\\"b\" 'c\\'d'", "[a\"b][c'd]" },
                { "\\a\\b\\f\\n\\r\\t\\v", "[\a\b\f\n\r\t\v]" },
                { "\\u00e9\\U0001f600 \\xc3\\xa9 \xc3\xa9", "[é😀][é][é]" },
                { "find -exec rm {} \\;", "[find][-exec][rm][{}][;]" },
                /* What a shell or systemd itself would take for something else. */
                { "$HOME ${HOME} %h * ~ | > < & ( ) ` ! #", "[$HOME][${HOME}][%h][*][~][|][>][<][&]"
                                                            "[(][)][`][!][#]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_free_ char *words = split(good[i][0]);

                assert_string_equal(words, good[i][1]);
        }
}

static void test_words_refused(void **state)
{
        static const char *const bad[][2] = {
                { "a \"b", "is not closed" },       { "a 'b", "is not closed" },
                { "it's", "is not closed" },        { "a\\", "ends in a backslash" },
                { "a \\ b", "is no escape" },       { "\\q", "'\\q' is no escape" },
                { "\\x", "is no escape" },          { "\\xg0", "is no escape" },
                { "\\x00", "is no escape" },        { "\\000", "is no escape" },
                { "\\400", "is no escape" },        { "\\12", "is no escape" },
                { "\\189", "is no escape" },        { "\\u12", "is no escape" },
                { "\\u0000", "is no escape" },      { "\\U00110000", "is no escape" },
                { "\\ud800", "invalid UTF-8" },     { "\\xff", "invalid UTF-8" },
                { "\\xc3 \\xa9", "invalid UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char **untouched = (char **)&untouched, **list = untouched;
                _cleanup_free_ char *problem = NULL;

                assert_int_equal(words_split(bad[i][0], &list, &problem), -EINVAL);
                assert_ptr_equal(list, untouched);
                if (!problem || !strstr(problem, bad[i][1]))
                        fail_msg("%s: %s", bad[i][0], problem ? problem : "no problem");
        }
}

/* The configuration of an exec port with this line, as printed and read back the same. */
static Config *exec_port(const char *line, char **ret_printed)
{
        _cleanup_free_ char *text = text_format("[port 7]\nhandler = exec\n%s%s\n",
                                                strncmp(line, "command", strlen("command")) == 0
                                                        ? ""
                                                        : "command = /bin/true\n",
                                                line);
        _cleanup_free_ char *printed = NULL, *again = NULL;
        _cleanup_config_ Config *d = NULL;
        Config *c = load(text);

        printed = print(c);
        d = load(printed);
        again = print(d);
        assert_string_equal(printed, again);
        for (char **a = c->listens[0]->program.command, **b = d->listens[0]->program.command;
             *a || *b; a++, b++)
                assert_string_equal(*a, *b);
        if (ret_printed)
                *ret_printed = TAKE_PTR(printed);
        return c;
}

/* The configuration of a text that quote_print_words() writes. */
static Config *config_of_words(char *const *words)
{
        _cleanup_free_ char *joined = words_join(words), *text = NULL;
        size_t n = 0;
        FILE *f;

        assert_non_null(joined);
        f = open_memstream(&text, &n);
        assert_non_null(f);
        fputs("[port 7]\nhandler = exec\n", f);
        quote_print_words(f, "command", joined);
        assert_int_equal(fclose(f), 0);
        return load(text);
}

static void expect_command(const char *value, const char *printed_value)
{
        _cleanup_free_ char *line = text_format("command = %s", value);
        _cleanup_free_ char *expected = text_format("\ncommand = %s\n", printed_value);
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ _unused_ Config *c = exec_port(line, &printed);

        if (!strstr(printed, expected))
                fail_msg("expected %s in:\n%s", expected, printed);
}

static void test_command_is_printed_as_read(void **state)
{
        expect_command("/bin/cat", "/bin/cat");
        expect_command("\"/bin/cat\"", "/bin/cat");
        expect_command("\"/a b/c\" d", "\"/a b/c\" d");
        expect_command("\"/a b/c\" \"d\"", "\"/a b/c\" d");
        expect_command("/bin/sh -c 'echo \"$1\" | cat' sh",
                       "/bin/sh -c \"echo \\\"$1\\\" | cat\" sh");
        expect_command("/bin/sh -c \"it's\"", "/bin/sh -c \"it's\"");
        expect_command("/bin/x '' a\\x3b \\; 'a \\; b'", "/bin/x \"\" a; \\; \"a \\; b\"");
        expect_command("/bin/x \\n\\t\\x01\\x7f \\\\", "/bin/x \\n\\t\\x01\\x7f \\\\");
        expect_command("/bin/x a=b # c [d] : é", "/bin/x a=b # c [d] : é");
        /* A comment is one wherever it is. */
        expect_command("/bin/x a ; comment", "/bin/x a");
}

static void test_command_over_many_lines(void **state)
{
        _cleanup_config_ Config *c =
                exec_port("command = /bin/x a \"b\n    c\"\n    d\\\n    e \\\n    f", NULL);
        char **words = c->listens[0]->program.command;

        assert_string_equal(words[1], "a");
        assert_string_equal(words[2], "b c");
        assert_string_equal(words[3], "de");
        assert_string_equal(words[4], "f");
        assert_null(words[5]);
        expect_refusal("[port 7]\nhandler = exec\ncommand = /bin/x \\\n",
                       "f:3: command: ", "ends in a backslash");
}

/* Words of any bytes and lengths: printed, whatever the lines then look like, they are read. */
static void test_any_words_read_back(void **state)
{
        static const char *const pieces[] = {
                "a",       "=",    "[",  "#",    ";",    " ", "  ",       "\\", "\"",
                "'",       "\t",   "\n", "\x01", "\x7f", ":", "\xc3\xa9", "$x", "\xf0\x9f\x98\x80",
                "letters", "\\x41"
        };
        uint32_t seed = 1;

        for (unsigned round = 0; round < 400; round++) {
                _cleanup_text_list_ char **list = NULL;
                _cleanup_config_ Config *c = NULL;
                char **words;

                assert_int_equal(text_list_take(&list, strdup("/bin/x")), 0);
                for (unsigned i = 0; i < round % 23; i++) {
                        char word[4096] = "";

                        for (unsigned n = seed >> 16 & (round % 5 ? 7 : 127); n > 0; n--) {
                                seed = seed * 1664525 + 1013904223;
                                strcat(word, pieces[(seed >> 16) % ELEMENTSOF(pieces)]);
                        }
                        seed = seed * 1664525 + 1013904223;
                        assert_int_equal(text_list_take(&list, strdup(word)), 0);
                }
                c = config_of_words(list);
                words = c->listens[0]->program.command;
                for (size_t i = 0; list[i] || words[i]; i++)
                        assert_string_equal(list[i], words[i]);
        }
}

static void test_bad_commands(void **state)
{
        static const char *const bad[][2] = {
                { "true", "'true' is no absolute path" },
                { "bin/true x", "'bin/true' is no absolute path" },
                { "\"\"", "no absolute path" },
                { "-/bin/true", "systemd's ExecStart=" },
                { "@/bin/true", "systemd's ExecStart=" },
                { "+/bin/true", "systemd's ExecStart=" },
                { "!!/bin/true", "systemd's ExecStart=" },
                { ":/bin/true", "systemd's ExecStart=" },
                { "- /bin/true", "systemd's ExecStart=" },
                { "/bin/", "names a folder" },
                { "/bin/sh -c 'a ; b'", "write \\;" },
                { "/bin/sh -c \"a", "is not closed" },
                { "/bin/sh \\", "ends in a backslash" },
                { "/bin/sh \\xff", "invalid UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *port =
                        text_format("[port 7]\nhandler = exec\ncommand = %s\n", bad[i][0]);
                _cleanup_free_ char *method =
                        text_format("[method a.b]\ncommand = %s\n", bad[i][0]);

                expect_refusal(port, "f:3: command: ", bad[i][1]);
                expect_refusal(method, "f:2: command: ", bad[i][1]);
        }
}

static void test_too_long_command(void **state)
{
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        assert_non_null(f);
        fputs("[port 7]\nhandler = exec\ncommand = /x\n", f);
        for (unsigned i = 0; i < 8192; i++)
                fputs(i % 64 ? "a " : "\n a ", f);
        assert_int_equal(fclose(f), 0);
        expect_refusal(text, "f:3: command: ", "use at most 16384 bytes");
}

static void test_environment(void **state)
{
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c = exec_port(
                "environment = \"A=b c\" _D9=e=f 'G=\"h\"' I= J=$K%k J=again\n    L\\x3dm",
                &printed);
        static const char *const expected[] = { "A=b c",  "_D9=e=f", "G=\"h\"", "I=",
                                                "J=$K%k", "J=again", "L=m" };
        char **e = c->listens[0]->program.environment;

        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(e[i], expected[i]);
        assert_null(e[ELEMENTSOF(expected)]);
        assert_non_null(strstr(printed, "\nenvironment = \"A=b c\" _D9=e=f G=\\\"h\\\" I= J=$K%k "
                                        "J=again L=m\n"));
}

static void test_bad_environment(void **state)
{
        static const char *const bad[][2] = {
                { "A", "is no variable" },        { "A=b c", "'c' is no variable" },
                { "=b", "is no name" },           { "9A=b", "is no name" },
                { "A-B=c", "is no name" },        { "\"A B=c\"", "is no name" },
                { "\xc3\xa9=c", "is no name" },   { "GUESTWIRE_PORT=1", "GUESTWIRE_" },
                { "GUESTWIRE_=1", "GUESTWIRE_" }, { "A=b NOTIFY_SOCKET=/x", "speak to systemd" },
                { "A=\"b", "is not closed" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text =
                        text_format("[port 7]\nhandler = exec\ncommand = /x\nenvironment = %s\n",
                                    bad[i][0]);

                expect_refusal(text, "f:4: environment: ", bad[i][1]);
        }
        config_unref(exec_port("environment = NOTIFY_SOCKETS=1 GUESTWIRE=2", NULL));
        /* What is secret in a value is not repeated. */
        expect_refusal("[port 7]\nhandler = exec\ncommand = /x\nenvironment = 9PASS=secret\n",
                       "f:4: environment: '9PASS' ", "is no name");
}

static void test_program_defaults(void **state)
{
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c = exec_port("max-connections = 9", &printed);
        const ProgramSettings *p = &c->listens[0]->program;

        assert_int_equal(c->listens[0]->trust, TRUST_PRIVILEGED);
        assert_false(p->has_user);
        assert_null(p->user);
        assert_null(p->home);
        assert_null(p->environment);
        assert_string_equal(p->directory, "/");
        assert_int_equal(p->timeout, TEXT_INFINITY);
        assert_int_equal(p->kill_timeout, 5000000);
        /* One program a connection. */
        assert_int_equal(p->max_instances, 9);
        assert_non_null(strstr(printed, "\nhandler = exec\npeers = host\ntrust = privileged\n"
                                        "trust-unsafe = no\nmax-connections = 9\n"
                                        "idle-timeout = 0\ncommand = /bin/true\nuser =\ngroup =\n"
                                        "directory = /\nenvironment =\ntimeout = infinity\n"
                                        "kill-timeout = 5s\nmax-instances = 9\n"
                                        "memory-max = infinity\ntasks-max = infinity\n"
                                        "cpu-weight = 100\nscope = auto\nproperties =\n"));
        config_unref(c);
        c = exec_port("max-connections = 9\nmax-instances = 0", NULL);
        assert_int_equal(c->listens[0]->program.max_instances, 9);
        config_unref(c);
        c = exec_port("max-connections = 9\nmax-instances = 2", NULL);
        assert_int_equal(c->listens[0]->program.max_instances, 2);
}

/* The name of a user that is in groups of others, or of root; and by it the libc's own answer. */
static char *user_in_groups(void)
{
        struct group *gr;
        char *name = NULL;

        setgrent();
        while (!name && (gr = getgrent()))
                if (gr->gr_mem[0] && getpwnam(gr->gr_mem[0]))
                        name = strdup(gr->gr_mem[0]);
        endgrent();
        return name ? name : strdup("root");
}

static int compare_gids(const void *a, const void *b)
{
        const gid_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static void expect_groups(const ProgramSettings *p, const char *name, gid_t gid)
{
        gid_t list[1024];
        int n = ELEMENTSOF(list);

        assert_true(getgrouplist(name, gid, list, &n) >= 0);
        assert_int_equal(p->gid, gid);
        assert_int_equal(p->n_groups, n);
        qsort(list, (size_t)n, sizeof(gid_t), compare_gids);
        qsort(p->groups, p->n_groups, sizeof(gid_t), compare_gids);
        assert_memory_equal(p->groups, list, (size_t)n * sizeof(gid_t));
}

static void test_user_and_group(void **state)
{
        _cleanup_free_ char *name = user_in_groups(), *line = text_format("user = %s", name);
        _cleanup_free_ char *number = NULL, *both = NULL, *printed = NULL, *expected = NULL;
        const struct passwd *pw = getpwnam(name);
        _cleanup_config_ Config *c = exec_port(line, &printed), *d = NULL, *e = NULL;
        const ProgramSettings *p = &c->listens[0]->program;

        assert_non_null(pw);
        assert_true(p->has_user);
        assert_string_equal(p->user, name);
        assert_string_equal(p->home, pw->pw_dir);
        assert_int_equal(p->uid, pw->pw_uid);
        expect_groups(p, name, pw->pw_gid);
        expected = text_format("\nuser = %s\ngroup = %u\n", name, pw->pw_gid);
        assert_non_null(strstr(printed, expected));

        /* Who has a name is known by it. */
        number = text_format("user = %u", pw->pw_uid);
        d = exec_port(number, NULL);
        assert_string_equal(d->listens[0]->program.user, name);
        expect_groups(&d->listens[0]->program, name, pw->pw_gid);

        both = text_format("group = 12345\nuser = %s", name);
        e = exec_port(both, NULL);
        expect_groups(&e->listens[0]->program, name, 12345);
}

static void test_group_alone(void **state)
{
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c = exec_port("group = 12345", &printed);
        const ProgramSettings *p = &c->listens[0]->program;
        const struct passwd *pw = getpwuid(geteuid());

        assert_true(p->has_user);
        assert_null(p->user);
        assert_int_equal(p->uid, geteuid());
        assert_int_equal(p->gid, 12345);
        if (pw)
                expect_groups(p, pw->pw_name, 12345);
        assert_non_null(strstr(printed, "\nuser =\ngroup = 12345\n"));
}

static void test_user_without_a_name(void **state)
{
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c = exec_port("user = 4294967294\ngroup = 12345", &printed);
        const ProgramSettings *p = &c->listens[0]->program;

        assert_int_equal(p->uid, 4294967294U);
        assert_int_equal(p->gid, 12345);
        assert_string_equal(p->user, "4294967294");
        assert_string_equal(p->home, "/");
        assert_int_equal(p->n_groups, 1);
        assert_int_equal(p->groups[0], 12345);
        assert_non_null(strstr(printed, "\nuser = 4294967294\ngroup = 12345\n"));
        expect_refusal("[port 7]\nhandler = exec\ncommand = /x\nuser = 4294967294\n",
                       "f:4: user: ", "add group");
}

static void test_bad_users(void **state)
{
        static const char *const bad[][2] = {
                { "user = no-such-user-here", "is no user in /etc/passwd" },
                { "user = 4294967295", "is no user's number" },
                { "user = 0x", "is no user's number" },
                { "user = root:root", "is no user in /etc/passwd" },
                { "group = no-such-group-here", "is no group in /etc/group" },
                { "group = 4294967295", "is no group's number" },
                { "directory = x", "no absolute path" },
                { "timeout = 0", "out of range" },
                { "timeout = soon", "is not a time" },
                { "kill-timeout = x", "is not a time" },
                { "max-instances = -1", "is not a number" },
                { "max-instances = 1048577", "from 0 to 1048576" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *port =
                        text_format("[port 7]\nhandler = exec\ncommand = /x\n%s\n", bad[i][0]);
                _cleanup_free_ char *method =
                        text_format("[method a.b]\n%s\ncommand = /x\n", bad[i][0]);

                expect_refusal(port, "f:4: ", bad[i][1]);
                expect_refusal(method, "f:2: ", bad[i][1]);
        }
}

/* With exec the key `group` is the program's, and the file's has another name. */
static void test_group_of_program_and_of_file(void **state)
{
        _cleanup_config_ Config *c =
                load("[listen a]\naddress = unix:/a\ngroup = 7\nhandler = exec\ncommand = /x\n");
        _cleanup_config_ Config *d = load("[listen a]\naddress = unix:/a\nsocket-group = 8\n"
                                          "group = 7\nhandler = exec\ncommand = /x\n");
        _cleanup_config_ Config *e =
                load("[listen a]\naddress = unix:/a\ngroup = 7\nhandler = echo\n");
        _cleanup_config_ Config *f =
                load("[listen a]\naddress = tcp:127.0.0.1:7\ngroup = 7\nhandler = exec\n"
                     "command = /x\n");

        assert_int_equal(c->listens[0]->program.gid, 7);
        assert_int_equal(c->listens[0]->file.gid, (gid_t)-1);
        assert_int_equal(d->listens[0]->program.gid, 7);
        assert_int_equal(d->listens[0]->file.gid, 8);
        assert_int_equal(e->listens[0]->program.gid, (gid_t)-1);
        assert_false(e->listens[0]->program.has_user);
        assert_int_equal(e->listens[0]->file.gid, 7);
        assert_int_equal(f->listens[0]->program.gid, 7);

        expect_refusal("[listen a]\naddress = unix:/a\nsocket-group = 7\n",
                       "f:3: ", "the handler that does: exec");
        expect_refusal("[listen a]\naddress = tcp:127.0.0.1:7\nhandler = exec\ncommand = /x\n"
                       "socket-group = 7\n",
                       "f:5: ", "for a unix: address only");
        expect_refusal("[port 7]\ngroup = 7\n", "f:2: ", "the handler that does: exec");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_words_refused),
                cmocka_unit_test(test_command_is_printed_as_read),
                cmocka_unit_test(test_command_over_many_lines),
                cmocka_unit_test(test_any_words_read_back),
                cmocka_unit_test(test_bad_commands),
                cmocka_unit_test(test_too_long_command),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_bad_environment),
                cmocka_unit_test(test_program_defaults),
                cmocka_unit_test(test_user_and_group),
                cmocka_unit_test(test_group_alone),
                cmocka_unit_test(test_user_without_a_name),
                cmocka_unit_test(test_bad_users),
                cmocka_unit_test(test_group_of_program_and_of_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
