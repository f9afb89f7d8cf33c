/* SPDX-License-Identifier: MIT */

/* The files that are shipped: the main one, the examples, and the manual. */
#include <linux/vm_sockets.h>

#include "config/table.h"
#include "tests/unit/config-folder.h"

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
                cmocka_unit_test(test_shipped_files),
                TEST(test_examples_of_hypervisors),
                TEST(test_example_ssh),
                TEST(test_example_docker),
                TEST(test_example_host_proxy),
                TEST(test_example_rsync),
                TEST(test_example_method),
                cmocka_unit_test(test_shipped_comments_are_the_defaults),
                cmocka_unit_test(test_manual_has_every_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
