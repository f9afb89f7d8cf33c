/* SPDX-License-Identifier: MIT */

/* Where a token comes from, what may not be one, and a drop-in that comes the same way. */
#include "config/token.h"
#include "tests/unit/child.h"
#include "tests/unit/config-folder.h"

#define TEXT_32 "0123456789abcdef0123456789abcdef"

static char *write_file(const Folder *f, const char *name, const void *data, size_t n, mode_t mode)
{
        char *path = folder_path(f, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, n), n);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(close(fd), 0);
        return path;
}

static void expect_token(const Folder *f, const void *data, size_t n, size_t length)
{
        _cleanup_free_ char *path = write_file(f, "token", data, n, 0600), *problem = NULL;
        _cleanup_(token_freep) Token *t = NULL;

        if (token_read(path, TOKEN_CHECK_FILE, &t, &problem) < 0)
                fail_msg("%s", problem);
        assert_int_equal(t->n, length);
        assert_memory_equal(t->bytes, data, length);
}

static void expect_no_token(const char *path, unsigned flags, int error, const char *words)
{
        Token *untouched = (Token *)&untouched, *t = untouched;
        _cleanup_free_ char *problem = NULL;

        assert_int_equal(token_read(path, flags, &t, &problem), error);
        assert_ptr_equal(t, untouched);
        assert_non_null(problem);
        if (!strstr(problem, words))
                fail_msg("\"%s\" without \"%s\"", problem, words);
}

static void test_bytes(void **state)
{
        char long_one[TOKEN_MAX + 2];

        expect_token(*state, TEXT_32, 32, 32);
        expect_token(*state, TEXT_32 "\n", 33, 32);
        /* An editor writes one newline; more, and those behind other bytes, are the token's. */
        expect_token(*state, TEXT_32 "\n\n", 34, 34);
        expect_token(*state, TEXT_32 "\r\n", 34, 34);
        expect_token(*state, TEXT_32 "\t\n", 34, 34);
        expect_token(*state, TEXT_32 " ~\n", 35, 34);
        expect_token(*state, "\0001234567890123456789012345678901", 32, 32);
        expect_token(*state, "\0001234567890123456789012345678901\n", 33, 33);
        expect_token(*state, "\377234567890123456789012345678901\n", 32, 32);
        expect_token(*state, TEXT_32 "\0", 33, 33);
        memset(long_one, 'x', sizeof(long_one));
        expect_token(*state, long_one, TOKEN_MAX, TOKEN_MAX);
        long_one[TOKEN_MAX] = '\n';
        expect_token(*state, long_one, TOKEN_MAX + 1, TOKEN_MAX);
}

static void test_sizes(void **state)
{
        static const struct {
                size_t n;
                const char *words;
        } wrong[] = {
                { 0, "has 0 bytes, and a token has at least 32" },
                { 31, "has 31 bytes, and a token has at least 32" },
                { TOKEN_MAX + 1, "larger than 4096 bytes" },
                { TOKEN_MAX + 2, "larger than 4096 bytes" },
                { TOKEN_MAX * 4, "larger than 4096 bytes" },
        };
        char data[TOKEN_MAX * 4];

        memset(data, 'x', sizeof(data));
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *path = write_file(*state, "t", data, wrong[i].n, 0600);

                expect_no_token(path, 0, -EINVAL, wrong[i].words);
        }
        data[31] = '\n';
        free(write_file(*state, "t", data, 32, 0600));
        {
                _cleanup_free_ char *path = folder_path(*state, "t");

                expect_no_token(path, 0, -EINVAL, "has 31 bytes");
        }
}

static void test_what_is_no_file(void **state)
{
        _cleanup_free_ char *fifo = folder_path(*state, "fifo");
        _cleanup_free_ char *absent = folder_path(*state, "absent");
        const Folder *f = *state;

        assert_int_equal(mkfifo(fifo, 0600), 0);
        expect_no_token(fifo, TOKEN_CHECK_FILE, -EINVAL, "not a regular file");
        expect_no_token(f->path, TOKEN_CHECK_FILE, -EINVAL, "not a regular file");
        expect_no_token("/dev/null", 0, -EINVAL, "not a regular file");
        expect_no_token(absent, TOKEN_CHECK_FILE, -ENOENT, "No such file");
}

static void test_modes(void **state)
{
        static const mode_t right[] = { 0600, 0400, 0640, 0440, 0500, 0700 };
        static const mode_t wrong[] = { 0604, 0602, 0601, 0644, 0620, 0660, 0666, 0777 };

        for (size_t i = 0; i < ELEMENTSOF(right); i++) {
                _cleanup_free_ char *path = write_file(*state, "t", TEXT_32, 32, right[i]);
                _cleanup_(token_freep) Token *t = NULL;
                char *problem = NULL;

                assert_int_equal(token_read(path, TOKEN_CHECK_FILE, &t, &problem), 0);
                assert_int_equal(unlink(path), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *path = write_file(*state, "t", TEXT_32, 32, wrong[i]);
                _cleanup_free_ char *words = text_format("its mode is %04o", wrong[i]);
                _cleanup_(token_freep) Token *t = NULL;
                char *problem = NULL;

                expect_no_token(path, TOKEN_CHECK_FILE, -EPERM, words);
                /* Who made a credential's folder guards it. */
                assert_int_equal(token_read(path, 0, &t, &problem), 0);
        }
}

static void test_owners(void **state)
{
        _cleanup_free_ char *path = write_file(*state, "t", TEXT_32, 32, 0600);

        if (geteuid() != 0)
                cannot_run("only root gives files away");
        assert_int_equal(chown(path, CHILD_NOBODY, (gid_t)-1), 0);
        expect_no_token(path, TOKEN_CHECK_FILE, -EPERM, "belongs to user 65534");
}

static void test_equal(void **state)
{
        static const char *const others[] = { TEXT_32 "x", "1123456789abcdef0123456789abcdef",
                                              "0123456789abcdef0123456789abcdee" };
        _cleanup_free_ char *a = write_file(*state, "a", TEXT_32, 32, 0600);
        _cleanup_free_ char *b = write_file(*state, "b", TEXT_32 "\n", 33, 0600);
        _cleanup_(token_freep) Token *one = NULL, *same = NULL;
        char *problem = NULL;

        assert_int_equal(token_read(a, 0, &one, &problem), 0);
        assert_int_equal(token_read(b, 0, &same, &problem), 0);
        assert_true(token_equal(one, same));
        assert_true(token_equal(NULL, NULL));
        assert_false(token_equal(one, NULL));
        assert_false(token_equal(NULL, one));
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                _cleanup_free_ char *c =
                        write_file(*state, "c", others[i], strlen(others[i]), 0600);
                _cleanup_(token_freep) Token *other = NULL;

                assert_int_equal(token_read(c, 0, &other, &problem), 0);
                assert_false(token_equal(one, other));
        }
}

static void set_credentials(const Folder *f)
{
        _cleanup_free_ char *folder = text_format("%s/credentials", f->path);

        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
}

static int unset_credentials(void **state)
{
        (void)unsetenv("CREDENTIALS_DIRECTORY");
        return folder_teardown(state);
}

static void test_drop_in_goes_before_all(void **state)
{
        const Folder *f = *state;
        _cleanup_config_ Config *c = NULL, *d = NULL;

        folder_write(f, "main", "[agent]\nmax-calls = 1\nmax-values = 1\n");
        folder_write(f, "etc/zzz.conf", "[agent]\nmax-calls = 2\n[port 7]\n");
        set_credentials(f);
        /* There need be none. */
        c = folder_load_well(f);
        assert_int_equal(c->agent.max_calls, 2);
        folder_write(f, "credentials/guestwire.conf",
                     "[agent]\nmax-calls = 3\n[port 7]\ntrust = token\n");
        d = folder_load_well(f);
        assert_int_equal(d->agent.max_calls, 3);
        assert_int_equal(d->agent.max_values, 1);
        assert_int_equal(d->listens[0]->trust, TRUST_TOKEN);
}

static void test_errors_name_the_credential(void **state)
{
        const Folder *f = *state;
        _cleanup_free_ char *errors = NULL, *expected = NULL, *main_file = NULL;
        ConfigErrors none = { 0 };
        Config *c = NULL;

        folder_write(f, "main", "[agent]\nmax-calls = 1\n");
        folder_write(f, "credentials/guestwire.conf", "\n[port 7]\ntrust = everybody\n");
        set_credentials(f);
        errors = folder_refuse(f);
        expected = text_format("credentials/guestwire.conf:3: trust: 'everybody' is none");
        assert_non_null(strstr(errors, expected));

        /* A file that is asked for stands alone. */
        main_file = text_format("%s/main", f->path);
        assert_int_equal(config_load(main_file, &c, &none), 0);
        assert_int_equal(c->n_listens, 0);
        config_unref(c);

        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "relative", 1), 0);
        c = folder_load_well(f);
        assert_int_equal(c->n_listens, 0);
        config_unref(c);
}

static int load_token(const char *text, Config **ret, ConfigErrors *errors)
{
        *ret = load(text);
        return config_load_token(*ret, errors);
}

static void test_token_of_a_configuration(void **state)
{
        const Folder *f = *state;
        _cleanup_free_ char *path = write_file(f, "token", TEXT_32, 32, 0600);
        _cleanup_free_ char *with_file =
                text_format("[agent]\ntoken-file = %s\n[port 7]\ntrust = token\n", path);
        _cleanup_free_ char *errors_text = NULL;
        ConfigErrors errors = { 0 };
        Config *c;

        /* None, and nobody asks for one; none, and somebody does. */
        assert_int_equal(load_token("[port 7]\n", &c, &errors), 0);
        assert_null(c->token);
        assert_null(config_lacks_token(c));
        config_unref(c);
        assert_int_equal(load_token("[port 6]\n[port 7]\ntrust = privileged, token\n", &c, &errors),
                         0);
        assert_string_equal(config_lacks_token(c), "port 7");
        config_unref(c);

        assert_int_equal(load_token(with_file, &c, &errors), 0);
        assert_memory_equal(c->token->bytes, TEXT_32, 32);
        assert_null(config_lacks_token(c));
        config_unref(c);

        /* The credential where no file is named; it may be absent, but not wrong. */
        set_credentials(f);
        assert_int_equal(load_token("[port 7]\ntrust = token\n", &c, &errors), 0);
        assert_null(c->token);
        config_unref(c);
        folder_write(f, "credentials/guestwire.token", TEXT_32 TEXT_32);
        assert_int_equal(load_token("[port 7]\ntrust = token\n", &c, &errors), 0);
        assert_int_equal(c->token->n, 64);
        config_unref(c);
        assert_int_equal(load_token(with_file, &c, &errors), 0);
        assert_int_equal(c->token->n, 32);
        config_unref(c);
        folder_write(f, "credentials/guestwire.token", "short");
        assert_int_equal(load_token("[port 7]\n", &c, &errors), -EINVAL);
        assert_null(c->token);
        config_unref(c);
        errors_text = errors_join(&errors);
        assert_non_null(strstr(errors_text, "credentials/guestwire.token: the token: it has 5"));
        assert_null(strstr(errors_text, "short"));
}

/* Of the memory that p is in, as proc(5) has them in smaps; false: there are none to be had. */
static bool memory_flags(const void *p, char *ret, size_t size)
{
        FILE *f = fopen("/proc/self/smaps", "re");
        bool here = false, found = false;
        unsigned long begin, end;
        char line[512];

        while (f && !found && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
                        here = (uintptr_t)p >= begin && (uintptr_t)p < end;
                found = here && strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0;
        }
        if (found)
                (void)snprintf(ret, size, "%s", line);
        if (f)
                (void)fclose(f);
        return found;
}

/* "do not include area into core dump", "wipe on fork". */
static void test_neither_dumped_nor_inherited(void **state)
{
        _cleanup_(token_freep) Token *t = token_new(TEXT_32, 32);
        char flags[512];

        assert_non_null(t);
        if (!memory_flags(t, flags, sizeof(flags)))
                cannot_run("no VmFlags in /proc/self/smaps");
        if (!strstr(flags, " dd") || !strstr(flags, " wf"))
                fail_msg("%s", flags);
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, folder_setup, unset_credentials)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_FOLDER(test_bytes),
                WITH_FOLDER(test_sizes),
                WITH_FOLDER(test_what_is_no_file),
                WITH_FOLDER(test_modes),
                WITH_FOLDER(test_owners),
                WITH_FOLDER(test_equal),
                WITH_FOLDER(test_drop_in_goes_before_all),
                WITH_FOLDER(test_errors_name_the_credential),
                WITH_FOLDER(test_token_of_a_configuration),
                cmocka_unit_test(test_neither_dumped_nor_inherited),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
