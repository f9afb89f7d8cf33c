/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proc/account.h"

static void assert_root(const Account *a)
{
        bool has_gid = false;

        assert_string_equal(a->name, "root");
        assert_int_equal(a->uid, 0);
        assert_int_equal(a->gid, 0);
        assert_int_equal(a->home[0], '/');
        assert_int_equal(a->shell[0], '/');
        for (size_t i = 0; i < a->n_groups; i++)
                has_gid = has_gid || a->groups[i] == a->gid;
        assert_true(has_gid);
}

static void test_by_name_and_by_number(void **state)
{
        _cleanup_account_ Account name = ACCOUNT_NULL, number = ACCOUNT_NULL;

        assert_int_equal(account_find("root", &name), 0);
        assert_root(&name);
        assert_int_equal(account_find("0", &number), 0);
        assert_root(&number);
}

static void test_nobody_of_that_name(void **state)
{
        static const char *const names[] = { "", "no-such-user", "-1", "4294967296", "3999999999" };
        Account a = ACCOUNT_NULL;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                assert_int_equal(account_find(names[i], &a), -ENOENT);
        assert_null(a.name);
}

static int wait_for(AccountLookup *l, Account *ret)
{
        struct pollfd p = { .fd = account_lookup_get_fd(l), .events = POLLIN };

        assert_int_equal(poll(&p, 1, 30000), 1);
        return account_lookup_finish(l, ret);
}

static void test_in_a_thread(void **state)
{
        _cleanup_account_ Account a = ACCOUNT_NULL;
        _cleanup_(account_lookup_freep) AccountLookup *l = NULL, *none = NULL;

        assert_int_equal(account_lookup_start("root", &l), 0);
        assert_int_equal(wait_for(l, &a), 0);
        assert_root(&a);
        assert_int_equal(account_lookup_finish(l, &a), -EAGAIN);
        assert_int_equal(account_lookup_start("no-such-user", &none), 0);
        assert_int_equal(wait_for(none, &a), -ENOENT);
}

static void test_left_alone(void **state)
{
        for (unsigned i = 0; i < 50; i++) {
                AccountLookup *l;

                assert_int_equal(account_lookup_start("root", &l), 0);
                assert_null(account_lookup_free(l));
        }
        assert_null(account_lookup_free(NULL));
}

/* A name service that hangs, as long as the test has it. */
static pthread_mutex_t hanging = PTHREAD_MUTEX_INITIALIZER;

int getpwnam_r(const char *name, struct passwd *entry, char *room, size_t size, struct passwd **ret)
{
        (void)pthread_mutex_lock(&hanging);
        (void)pthread_mutex_unlock(&hanging);
        *ret = NULL;
        return strcmp(name, "root") == 0 ? getpwuid_r(0, entry, room, size, ret) : 0;
}

/* Those whose callers have left count: their threads are there still. */
static void test_there_are_only_so_many(void **state)
{
        _cleanup_account_ Account a = ACCOUNT_NULL;
        AccountLookup *all[ACCOUNT_LOOKUPS_MAX], *more = NULL;

        assert_int_equal(pthread_mutex_lock(&hanging), 0);
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                assert_int_equal(account_lookup_start("no-such-user", &all[i]), 0);
        for (size_t i = 0; i < ELEMENTSOF(all) / 2; i++)
                all[i] = account_lookup_free(all[i]);
        assert_int_equal(account_lookup_start("root", &more), -EBUSY);
        assert_null(more);
        assert_int_equal(pthread_mutex_unlock(&hanging), 0);
        for (size_t i = ELEMENTSOF(all) / 2; i < ELEMENTSOF(all); i++) {
                assert_int_equal(wait_for(all[i], &a), -ENOENT);
                all[i] = account_lookup_free(all[i]);
        }
        assert_int_equal(account_lookup_start("root", &more), 0);
        assert_int_equal(wait_for(more, &a), 0);
        assert_root(&a);
        more = account_lookup_free(more);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                /* Before others have left threads to themselves. */
                cmocka_unit_test(test_there_are_only_so_many),
                cmocka_unit_test(test_by_name_and_by_number),
                cmocka_unit_test(test_nobody_of_that_name),
                cmocka_unit_test(test_in_a_thread),
                cmocka_unit_test(test_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
