/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <ftw.h>
#include <linux/vm_sockets.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config-text.h"
#include "config/load.h"
#include "config/table.h"

typedef struct Folder {
        char path[64];
} Folder;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
        return remove(path);
}

static int folder_setup(void **state)
{
        Folder *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        strcpy(f->path, "/tmp/guestwire-test-config-XXXXXX");
        assert_non_null(mkdtemp(f->path));
        *state = f;
        return 0;
}

static int folder_teardown(void **state)
{
        Folder *f = *state;

        (void)nftw(f->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static char *folder_path(const Folder *f, const char *name)
{
        char *path = text_format("%s/%s", f->path, name);
        char *slash;

        assert_non_null(path);
        slash = strrchr(path, '/');
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
        return path;
}

static void folder_write(const Folder *f, const char *name, const char *text)
{
        _cleanup_free_ char *path = folder_path(f, name);
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void folder_link(const Folder *f, const char *name, const char *target)
{
        _cleanup_free_ char *path = folder_path(f, name);

        assert_int_equal(symlink(target, path), 0);
}

/* As the installed configuration is read: "main", then drop-ins from "lib", "run" and "etc". */
static int folder_load(const Folder *f, Config **ret, ConfigErrors *errors)
{
        _cleanup_free_ char *main_file = text_format("%s/main", f->path);
        _cleanup_free_ char *lib = text_format("%s/lib", f->path);
        _cleanup_free_ char *run = text_format("%s/run", f->path);
        _cleanup_free_ char *etc = text_format("%s/etc", f->path);
        const char *folders[] = { lib, run, etc, NULL };

        return config_load_from(main_file, folders, ret, errors);
}

static Config *folder_load_well(const Folder *f)
{
        ConfigErrors errors = { 0 };
        Config *c = NULL;
        int r;

        r = folder_load(f, &c, &errors);
        if (r < 0)
                fail_msg("%s", errors.list ? errors.list[0] : strerror(-r));
        return c;
}

/* The errors, with the folder's path taken away. */
static char *folder_refuse(const Folder *f)
{
        _cleanup_free_ char *text = NULL;
        ConfigErrors errors = { 0 };
        Config *c = NULL;
        size_t n = strlen(f->path) + 1;

        assert_int_equal(folder_load(f, &c, &errors), -EINVAL);
        assert_null(c);
        text = errors_join(&errors);
        for (char *p = text; (p = strstr(p, f->path));)
                memmove(p, p + n, strlen(p + n) + 1);
        return TAKE_PTR(text);
}

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
                "peers = host or trust = privileged, or add trust-unsafe = yes if you mean it\n"
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

static char *source_file(const char *name)
{
        const char *folder = getenv("srcdir");

        return text_format("%s/%s", folder ? folder : ".", name);
}

/* "#key = value" and "#[section]" are keys, which become active; "# text" stays text. */
static char *without_comments(const char *text, size_t n)
{
        char *active = calloc(1, n + 1);
        size_t at = 0;

        assert_non_null(active);
        for (size_t i = 0; i < n; i++)
                if (text[i] != '#' || (i > 0 && text[i - 1] != '\n') || i + 1 == n ||
                    text[i + 1] == ' ' || text[i + 1] == '\n')
                        active[at++] = text[i];
        return active;
}

/* The shipped file with one of the examples as its drop-in. */
static Config *load_example(const Folder *f, const char *example)
{
        _cleanup_free_ char *shipped = source_file("conf/guestwire.conf"), *name = NULL;
        _cleanup_free_ char *file = NULL, *path = NULL, *folder = NULL, *link = NULL;
        const char *folders[] = { NULL, NULL };
        ConfigErrors errors = { 0 };
        Config *c = NULL;

        name = text_format("conf/examples/%s", example);
        file = source_file(name);
        path = realpath(file, NULL);
        assert_non_null(path);
        link = text_format("etc-%s/%s", example, example);
        folder_link(f, link, path);
        folders[0] = folder = text_format("%s/etc-%s", f->path, example);
        if (config_load_from(shipped, folders, &c, &errors) < 0)
                fail_msg("%s", errors.list ? errors.list[0] : example);
        /* Whatever the example adds, the agent's own port is there. */
        assert_string_equal(c->listens[0]->section, "port 1000");
        assert_int_equal(c->listens[0]->handler, HANDLER_RPC);
        return c;
}

static const ListenSettings *added_listen(const Config *c)
{
        assert_int_equal(c->n_listens, 2);
        assert_int_equal(c->n_methods, 0);
        assert_int_equal(c->listens[0]->trust, TRUST_PRIVILEGED);
        return c->listens[1];
}

static void test_shipped_files(void **state)
{
        _cleanup_free_ char *shipped = source_file("conf/guestwire.conf");
        _cleanup_free_ char *expected = text_format("%s%s", defaults_of_agent, defaults_of_port);
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c = NULL;
        ConfigErrors errors = { 0 };

        assert_int_equal(config_load(shipped, &c, &errors), 0);
        printed = print(c);
        assert_string_equal(printed, expected);
}

static void test_examples_of_hypervisors(void **state)
{
        static const char *const examples[] = { "hyperv.conf", "firecracker.conf" };

        for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
                _cleanup_config_ Config *c = load_example(*state, examples[i]);

                assert_int_equal(c->n_listens, 1);
                assert_int_equal(c->listens[0]->trust, TRUST_PEERS);
                assert_false(c->listens[0]->trust_unsafe);
                assert_false(cid_set_is_wider_than_host(&c->listens[0]->peers));
                assert_true(cid_set_has(&c->listens[0]->peers, VMADDR_CID_HOST));
        }
}

static void test_example_ssh(void **state)
{
        _cleanup_config_ Config *c = load_example(*state, "ssh.conf");
        const ListenSettings *l = added_listen(c);

        assert_string_equal(l->section, "port 22");
        assert_int_equal(l->handler, HANDLER_FORWARD);
        assert_int_equal(l->to.kind, ADDRESS_TCP);
        assert_string_equal(l->to.host, "127.0.0.1");
        assert_int_equal(l->to.port, 22);
        assert_int_equal(l->trust, TRUST_PEERS);
        assert_false(cid_set_is_wider_than_host(&l->peers));
}

static void test_example_docker(void **state)
{
        _cleanup_config_ Config *c = load_example(*state, "docker.conf");
        const ListenSettings *l = added_listen(c);

        assert_int_equal(l->handler, HANDLER_FORWARD);
        assert_int_equal(l->to.kind, ADDRESS_UNIX);
        assert_string_equal(l->to.path, "/run/docker.sock");
        assert_true(l->address.port < 1024);
        assert_int_equal(l->trust, TRUST_PRIVILEGED);
        assert_false(cid_set_is_wider_than_host(&l->peers));
}

static void test_example_host_proxy(void **state)
{
        _cleanup_config_ Config *c = load_example(*state, "host-proxy.conf");
        const ListenSettings *l = added_listen(c);

        assert_string_equal(l->section, "listen http-proxy");
        assert_int_equal(l->handler, HANDLER_FORWARD);
        assert_true(address_is_loopback(&l->address));
        assert_int_equal(l->address.port, 3128);
        assert_int_equal(l->to.kind, ADDRESS_VSOCK);
        assert_int_equal(l->to.cid, VMADDR_CID_HOST);
        assert_int_equal(l->to.port, 3128);
}

static void test_example_rsync(void **state)
{
        _cleanup_config_ Config *c = load_example(*state, "rsync.conf");
        const ListenSettings *l = added_listen(c);

        assert_string_equal(l->section, "port 873");
        assert_int_equal(l->handler, HANDLER_EXEC);
        assert_string_equal(l->program.command[0], "/usr/bin/rsync");
        assert_string_equal(l->program.command[2], "--daemon");
        assert_int_equal(text_list_length(l->program.command), 5);
        assert_false(l->program.has_user);
        assert_false(cid_set_is_wider_than_host(&l->peers));
}

static void test_example_method(void **state)
{
        _cleanup_config_ Config *c = load_example(*state, "method.conf"), *d = NULL;
        _cleanup_free_ char *file = source_file("conf/examples/method.conf"), *text = NULL;
        _cleanup_free_ char *active = NULL;
        size_t n = 0;

        assert_int_equal(c->n_listens, 1);
        assert_int_equal(c->n_methods, 1);
        assert_string_equal(c->methods[0]->name, "disk.free");
        assert_false(c->methods[0]->privileged);
        assert_int_equal(c->methods[0]->output, METHOD_OUTPUT_TEXT);
        assert_true(c->methods[0]->program.has_user);
        assert_int_not_equal(c->methods[0]->program.uid, 0);

        /* And with what is commented out in it. */
        assert_int_equal(config_read_file(file, &text, &n), 0);
        active = without_comments(text, n);
        d = load(active);
        assert_int_equal(d->n_methods, 3);
        assert_string_equal(d->methods[0]->name, "backup.start");
        assert_int_equal(d->methods[0]->n_params, 3);
        assert_string_equal(d->methods[2]->name, "inventory.*");
        assert_string_equal(d->methods[2]->to.path, "/run/inventory.sock");
}

/* The commented keys of the shipped file are every key there is, with their presets. */
static void test_shipped_comments_are_the_defaults(void **state)
{
        _cleanup_free_ char *shipped = source_file("conf/guestwire.conf");
        _cleanup_free_ char *text = NULL, *printed = NULL, *expected = NULL, *active = NULL;
        _cleanup_config_ Config *c = NULL;
        size_t n = 0;

        assert_int_equal(config_read_file(shipped, &text, &n), 0);
        active = without_comments(text, n);
        c = load(active);
        printed = print(c);
        expected = text_format("%s%s%s", defaults_of_agent, defaults_of_port, defaults_of_listen);
        assert_string_equal(printed, expected);
        for (const ConfigOption *o = config_options; o->key; o++) {
                _cleanup_free_ char *line = text_format("\n%s =", o->key);

                /* Of vsock alone, or of one section only; other handlers have examples. */
                if (o->sections != CONFIG_SECTION_AGENT && !(o->handlers & (1U << HANDLER_RPC)))
                        continue;
                if (o->sections == CONFIG_SECTION_METHOD)
                        continue;
                assert_non_null(strstr(active, line));
        }
}

static void test_manual_has_every_key(void **state)
{
        _cleanup_free_ char *manual = source_file("man/guestwire.conf.5"), *text = NULL;
        _cleanup_free_ char *whole = NULL;
        size_t n = 0;

        assert_int_equal(config_read_file(manual, &text, &n), 0);
        whole = strndup(text, n);
        assert_non_null(whole);
        for (const ConfigOption *o = config_options; o->key; o++) {
                _cleanup_free_ char *item = NULL;
                const char *p;

                item = text_format("\n.It Cm %s =", o->key);
                p = strstr(whole, item);
                if (!p)
                        fail_msg("man/guestwire.conf.5 has no \"%s\"", item + 1);
                /* The default of one of the sections that have the key. */
                if (*o->preset) {
                        _cleanup_free_ char *with = text_format("%s Ar %s\n", item, o->preset);

                        if (!strstr(whole, with))
                                fail_msg("man/guestwire.conf.5 has no \"%s\"", with + 1);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_later_file_merges_by_key, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_later_file_changes_the_handler, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_methods_of_many_files, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_one_list_sorted_by_name, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_stronger_folder_masks_a_name, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_link_to_dev_null_masks, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_absent_files_and_folders, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_explicit_file, folder_setup, folder_teardown),
                cmocka_unit_test_setup_teardown(test_files_that_are_none, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_unreadable_file, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_errors_of_all_files, folder_setup,
                                                folder_teardown),
                cmocka_unit_test(test_shipped_files),
                cmocka_unit_test_setup_teardown(test_examples_of_hypervisors, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_example_ssh, folder_setup, folder_teardown),
                cmocka_unit_test_setup_teardown(test_example_docker, folder_setup, folder_teardown),
                cmocka_unit_test_setup_teardown(test_example_host_proxy, folder_setup,
                                                folder_teardown),
                cmocka_unit_test_setup_teardown(test_example_rsync, folder_setup, folder_teardown),
                cmocka_unit_test_setup_teardown(test_example_method, folder_setup, folder_teardown),
                cmocka_unit_test(test_shipped_comments_are_the_defaults),
                cmocka_unit_test(test_manual_has_every_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
