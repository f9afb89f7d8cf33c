/* SPDX-License-Identifier: MIT */

/* Which files are read, in which order, and what a later one changes. */
#include "tests/unit/config-folder.h"

static void test_later_file_merges_by_key(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;

        folder_write(f, "main",
                     "[port 1000]\ntrust = nobody\npeers = any\ndescription = One\n"
                     "[port 7]\n[agent]\nmax-calls = 3\n");
        folder_write(f, "etc/a.conf",
                     "[agent]\nmax-values = 9\n[listen x]\naddress = unix:/x\n"
                     "[port 0x3e8]\npeers = 3\n");
        folder_write(f, "etc/b.conf", "[port 1000]\ntrust =\npeers = local\n");
        c = folder_load_well(f);
        assert_int_equal(c->agent.max_calls, 3);
        assert_int_equal(c->agent.max_values, 9);
        assert_int_equal(c->n_listens, 3);
        assert_string_equal(c->listens[0]->section, "port 1000");
        assert_string_equal(c->listens[1]->section, "port 7");
        assert_string_equal(c->listens[2]->section, "listen x");
        assert_string_equal(c->listens[0]->description, "One");
        assert_int_equal(c->listens[0]->trust, TRUST_PRIVILEGED);
        assert_true(cid_set_has(&c->listens[0]->peers, 1));
        assert_false(cid_set_has(&c->listens[0]->peers, 3));
}

/* Another handler in a later file: what the keys are, and are by default, is judged by it. */
static void test_later_file_changes_the_handler(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;
        _cleanup_free_ char *errors = NULL;

        folder_write(f, "main",
                     "[listen x]\naddress = unix:/x\ngroup = 7\n[port 7]\nhandler = echo\n"
                     "prefix = a\n");
        folder_write(f, "etc/a.conf",
                     "[listen x]\nhandler = exec\ncommand = /bin/a b\n[port 7]\nprefix =\n"
                     "handler = forward\nto = tcp:a:1\n");
        folder_write(f, "etc/b.conf", "[listen x]\ncommand = /bin/c d\n");
        c = folder_load_well(f);
        assert_int_equal(c->listens[0]->handler, HANDLER_EXEC);
        assert_int_equal(c->listens[0]->trust, TRUST_PRIVILEGED);
        assert_string_equal(c->listens[0]->program.command[0], "/bin/c");
        assert_int_equal(c->listens[0]->program.gid, 7);
        assert_int_equal(c->listens[0]->file.gid, (gid_t)-1);
        assert_int_equal(c->listens[1]->handler, HANDLER_FORWARD);
        assert_int_equal(c->listens[1]->trust, TRUST_PEERS);

        folder_write(f, "etc/c.conf", "[port 7]\nhandler = rpc\nto =\nprefix = b\n");
        errors = folder_refuse(f);
        assert_string_equal(errors, "etc/c.conf:4: the handler rpc takes no prefix (what stands "
                                    "before each answer): remove it, or choose the handler that "
                                    "does: echo\n");
}

static void test_methods_of_many_files(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;
        _cleanup_free_ char *errors = NULL;

        folder_write(f, "main", "[method b.a]\ncommand = /bin/a\nprivileged = no\n");
        folder_write(f, "etc/a.conf",
                     "[method a.b]\ncommand = /bin/b\n"
                     "[method b.a]\nprivileged =\ncommand = /bin/c\nparams = x:string\n");
        c = folder_load_well(f);
        assert_int_equal(c->n_methods, 2);
        assert_string_equal(c->methods[0]->name, "a.b");
        assert_string_equal(c->methods[1]->name, "b.a");
        assert_string_equal(c->methods[1]->program.command[0], "/bin/c");
        assert_true(c->methods[1]->privileged);
        assert_int_equal(c->methods[1]->n_params, 1);

        /* What is wrong in a file is told, though a later one says it better. */
        folder_write(f, "etc/0.conf", "[method b.a]\ncommand = c\n");
        errors = folder_refuse(f);
        assert_non_null(strstr(errors, "etc/0.conf:2: command: 'c' is no absolute path"));
}

static void test_one_list_sorted_by_name(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;

        folder_write(f, "main", "[agent]\nmax-calls = 1\nmax-values = 1\nmax-connections = 1\n");
        folder_write(f, "etc/10-a.conf", "[agent]\nmax-calls = 2\nmax-values = 2\n");
        folder_write(f, "run/20-b.conf", "[agent]\nmax-calls = 3\n");
        folder_write(f, "lib/30-c.conf", "[agent]\nmax-calls = 4\n");
        /* Not drop-ins. */
        folder_write(f, "etc/99.conf.bak", "[agent]\nmax-calls = 5\n");
        folder_write(f, "etc/.99.conf", "[agent]\nmax-calls = 6\n");
        folder_write(f, "etc/99.conf~", "nonsense");
        folder_write(f, "etc/.conf", "nonsense");
        c = folder_load_well(f);
        assert_int_equal(c->agent.max_calls, 4);
        assert_int_equal(c->agent.max_values, 2);
        assert_int_equal(c->agent.max_connections, 1);
}

static void test_stronger_folder_masks_a_name(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;

        folder_write(f, "lib/a.conf", "[agent]\nmax-calls = 2\nmax-values = 2\nnonsense = 1\n");
        folder_write(f, "run/a.conf", "[agent]\nmax-calls = 3\nmax-values = 3\n");
        folder_write(f, "etc/a.conf", "[agent]\nmax-calls = 4\n");
        folder_write(f, "lib/b.conf", "[agent]\nmax-message = 2K\n");
        folder_write(f, "run/b.conf", "[agent]\nmax-message = 3K\n");
        c = folder_load_well(f);
        assert_int_equal(c->agent.max_calls, 4);
        assert_int_equal(c->agent.max_values, 16384);
        assert_int_equal(c->agent.max_message, 3 * 1024);
}

static void test_link_to_dev_null_masks(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = NULL;

        folder_write(f, "lib/a.conf", "[agent]\nmax-calls = 2\n");
        folder_write(f, "run/a.conf", "[agent]\nmax-calls = 3\n");
        folder_link(f, "etc/a.conf", "/dev/null");
        folder_write(f, "etc/b.conf", "[port 5]\n");
        folder_link(f, "run/b.conf", "/dev/null");
        c = folder_load_well(f);
        assert_int_equal(c->agent.max_calls, 64);
        assert_int_equal(c->n_listens, 1);
}

static void test_absent_files_and_folders(void **state)
{
        Folder *f = *state;
        _cleanup_config_ Config *c = folder_load_well(f), *d = NULL;
        const char *const none[] = { NULL };
        ConfigErrors errors = { 0 };

        assert_int_equal(c->n_listens, 0);
        assert_int_equal(config_load_from(NULL, none, &d, &errors), 0);
        assert_int_equal(d->n_listens, 0);
}

static void test_explicit_file(void **state)
{
        Folder *f = *state;
        _cleanup_free_ char *path = text_format("%s/x", f->path), *text = NULL;
        _cleanup_free_ char *begin = text_format("%s:0: ", path);
        _cleanup_config_ Config *c = NULL;
        ConfigErrors errors = { 0 };

        assert_int_equal(config_load(path, &c, &errors), -EINVAL);
        assert_null(c);
        text = errors_join(&errors);
        assert_memory_equal(text, begin, strlen(begin));
        assert_non_null(strstr(text, "no such file"));

        folder_write(f, "x", "[port 5]\n");
        assert_int_equal(config_load(path, &c, &errors), 0);
        assert_int_equal(c->n_listens, 1);
}

static void test_files_that_are_none(void **state)
{
        Folder *f = *state;
        _cleanup_free_ char *errors = NULL, *path = NULL, *large = NULL;

        path = folder_path(f, "etc/a.conf");
        assert_int_equal(mkdir(path, 0700), 0);
        folder_link(f, "etc/b.conf", "nowhere");
        free(path);
        path = folder_path(f, "etc/c.conf");
        assert_int_equal(mkfifo(path, 0600), 0);
        folder_link(f, "etc/d.conf", "/dev/zero");
        large = malloc(CONFIG_FILE_MAX + 2);
        assert_non_null(large);
        memset(large, '\n', CONFIG_FILE_MAX + 1);
        large[CONFIG_FILE_MAX + 1] = '\0';
        folder_write(f, "etc/e.conf", large);
        /* As large as a file may be. */
        large[CONFIG_FILE_MAX] = '\0';
        folder_write(f, "etc/f.conf", large);
        folder_link(f, "etc/g.conf", "g.conf");
        folder_write(f, "run", "");

        errors = folder_refuse(f);
        if (!strstr(errors, "run:0: the folder cannot be read") ||
            !strstr(errors, "\netc/a.conf:0: it is not a regular file") ||
            !strstr(errors, "\netc/b.conf:0: there is no such file") ||
            !strstr(errors, "\netc/c.conf:0: it is not a regular file") ||
            !strstr(errors, "\netc/d.conf:0: it is not a regular file") ||
            !strstr(errors, "\netc/e.conf:0: it is larger than 1048576 bytes") ||
            strstr(errors, "f.conf") || !strstr(errors, "\netc/g.conf:0: it cannot be read ("))
                fail_msg("%s", errors);
}

static void test_unreadable_file(void **state)
{
        Folder *f = *state;
        _cleanup_free_ char *path = folder_path(f, "etc/a.conf"), *errors = NULL;
        _cleanup_free_ char *folder = text_format("%s/etc", f->path);
        bool root = geteuid() == 0;

        folder_write(f, "etc/a.conf", "[port 5]\n");
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(chmod(folder, 0755), 0);
        assert_int_equal(chmod(f->path, 0755), 0);
        /* Root reads all: be somebody else meanwhile. */
        if (root)
                assert_int_equal(seteuid(65534), 0);
        errors = folder_refuse(f);
        if (root)
                assert_int_equal(seteuid(0), 0);
        assert_non_null(strstr(errors, "etc/a.conf:0: it cannot be read (Permission denied)"));
}

static void test_errors_of_all_files(void **state)
{
        Folder *f = *state;
        _cleanup_free_ char *errors = NULL;

        folder_write(f, "main", "[port 1000]\ntrust = peers\nhandler = x\n");
        folder_write(f, "lib/z.conf", "[port 1000]\n\nmode = 1\n");
        folder_write(f, "etc/b.conf",
                     "[port 1000]\npeers = any\n[listen x]\naddress = vsock:1000\n"
                     "[listen y]\n");
        folder_write(f, "run/a.conf", "nonsense\n");
        errors = folder_refuse(f);
        assert_string_equal(
                errors,
                "main:2: trust = peers would let more than the host call privileged methods: use "
                "peers = host or trust = privileged or token, or add trust-unsafe = yes if you "
                "mean it\n"
                "main:3: handler: 'x' is no handler: there is rpc, echo, forward, exec\n"
                "run/a.conf:1: there is no '=': write 'key = value', begin a comment with '#', or "
                "indent what continues a value\n"
                "etc/b.conf:4: [listen x] and [port 1000] (lib/z.conf:1) have the same address: "
                "change or remove one\n"
                "etc/b.conf:5: [listen y] has no address: add address = unix:/PATH, "
                "tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT\n"
                "lib/z.conf:3: [port N] takes no mode (permissions of the socket's file, octal): "
                "put it under [listen NAME]\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_later_file_merges_by_key),     TEST(test_later_file_changes_the_handler),
                TEST(test_methods_of_many_files),        TEST(test_one_list_sorted_by_name),
                TEST(test_stronger_folder_masks_a_name), TEST(test_link_to_dev_null_masks),
                TEST(test_absent_files_and_folders),     TEST(test_explicit_file),
                TEST(test_files_that_are_none),          TEST(test_unreadable_file),
                TEST(test_errors_of_all_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
