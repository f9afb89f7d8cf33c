/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/text.h"
#include "config/user.h"
#include "proc/environment.h"

/* The value of a variable, which must be there once; NULL where it is not there at all. */
static const char *find(char *const *environment, const char *name)
{
        const char *found = NULL;
        size_t n = strlen(name);

        for (char *const *v = environment; *v; v++)
                if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') {
                        assert_null(found);
                        found = *v + n + 1;
                }
        return found;
}

static void expect(char *const *environment, const char *name, const char *value)
{
        const char *found = find(environment, name);

        assert_non_null(found);
        assert_string_equal(found, value);
}

static int setup(void **state)
{
        assert_int_equal(setenv("NOTIFY_SOCKET", "/run/notify", 1), 0);
        assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
        assert_int_equal(setenv("SECRET", "1", 1), 0);
        assert_int_equal(setenv("LD_PRELOAD_X", "1", 1), 0);
        assert_int_equal(setenv("LANG", "de_DE.UTF-8", 1), 0);
        return 0;
}

static void test_user(void **state)
{
        const ProgramSettings settings = {
                .has_user = true,
                .user = (char *)"alice",
                .home = (char *)"/home/alice",
        };
        _cleanup_text_list_ char **e = environment_new(&settings, NULL);

        assert_non_null(e);
        expect(e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        expect(e, "HOME", "/home/alice");
        expect(e, "USER", "alice");
        expect(e, "LOGNAME", "alice");
        expect(e, "LANG", "de_DE.UTF-8");
        assert_int_equal(text_list_length(e), 5);
}

static void test_own_user(void **state)
{
        const ProgramSettings settings = { .has_user = false };
        _cleanup_user_ User own = USER_NULL;
        _cleanup_text_list_ char **e = NULL;

        assert_int_equal(unsetenv("LANG"), 0);
        e = environment_new(&settings, NULL);
        assert_non_null(e);
        expect(e, "LANG", "C.UTF-8");
        if (user_find(NULL, geteuid(), &own) < 0) {
                expect(e, "HOME", "/");
                return;
        }
        expect(e, "HOME", own.home);
        expect(e, "USER", own.name);
        expect(e, "LOGNAME", own.name);
        assert_int_equal(text_list_length(e), 5);
}

static void test_later_ones_win(void **state)
{
        static char *variables[] = { (char *)"HOME=/srv", (char *)"A=1=2", (char *)"A=3",
                                     (char *)"PATHS=x", NULL };
        static const char *const extra[] = { "GUESTWIRE_PORT=", "PATH=/bin", NULL };
        const ProgramSettings settings = {
                .has_user = true,
                .user = (char *)"alice",
                .home = (char *)"/home/alice",
                .environment = variables,
        };
        _cleanup_text_list_ char **e = environment_new(&settings, extra);

        assert_non_null(e);
        expect(e, "HOME", "/srv");
        expect(e, "A", "3");
        expect(e, "PATH", "/bin");
        expect(e, "PATHS", "x");
        expect(e, "GUESTWIRE_PORT", "");
        assert_int_equal(text_list_length(e), 8);
}

static void test_peer(void **state)
{
        const Peer host = { .kind = PEER_VSOCK, .cid = 2, .port = 1023, .local_port = 9 };
        const Peer local = { .kind = PEER_UNIX, .uid = 5, .pid = 7 };
        _cleanup_text_list_ char **e = NULL, **f = NULL;

        assert_int_equal(environment_add_peer(&e, &host), 0);
        expect(e, "GUESTWIRE_PEER_CID", "2");
        expect(e, "GUESTWIRE_PEER_PORT", "1023");
        expect(e, "GUESTWIRE_PORT", "9");
        assert_int_equal(text_list_length(e), 3);
        assert_int_equal(environment_add_peer(&f, &local), 0);
        expect(f, "GUESTWIRE_PEER_CID", "");
        expect(f, "GUESTWIRE_PEER_PORT", "");
        expect(f, "GUESTWIRE_PORT", "");
        assert_int_equal(text_list_length(f), 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_user, setup),
                cmocka_unit_test_setup(test_own_user, setup),
                cmocka_unit_test_setup(test_later_ones_win, setup),
                cmocka_unit_test(test_peer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
