/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/cids.h"

static void parse(const char *text, CidSet *ret)
{
        _cleanup_free_ char *problem = NULL;

        if (cid_set_parse(text, ret, &problem) < 0)
                fail_msg("'%s' was refused: %s", text, problem ? problem : "");
}

static void test_parse_and_print(void **state)
{
        static const char *const forms[][2] = {
                { "", "" },
                { "  ", "" },
                { "host", "host" },
                { "parent", "host" },
                { "2", "host" },
                { "local", "local" },
                { "1", "local" },
                { "0x1", "local" },
                { "lo,loopback", "local, local" },
                { "1-1", "1-1" },
                { "any", "any" },
                { "0-4294967294", "any" },
                { "2, 5-99", "host, 5-99" },
                { " 2 ,5 - 99\t", "host, 5-99" },
                { "7-7", "7" },
                { "host, local, 4294967294", "host, local, 4294967294" },
                { "0", "hypervisor" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                _cleanup_cid_set_ CidSet s = CID_SET_NULL, again = CID_SET_NULL;
                _cleanup_free_ char *text = NULL;

                parse(forms[i][0], &s);
                text = cid_set_to_text(&s);
                assert_string_equal(text, forms[i][1]);
                parse(text, &again);
                assert_int_equal(again.n, s.n);
                assert_int_equal(again.names_local, s.names_local);
                if (s.n > 0)
                        assert_memory_equal(again.ranges, s.ranges, s.n * sizeof(*s.ranges));
        }
}

static void test_refused(void **state)
{
        static const char *const forms[][2] = {
                { ",", "entry between commas is empty" },
                { "2,", "entry between commas is empty" },
                { "2,,3", "entry between commas is empty" },
                { "guest", "write host, local, any" },
                { "Host", "write host, local, any" },
                { "2 3", "write host, local, any" },
                { "4294967295", "write any" },
                { "4294967296", "too large" },
                { "5-4294967295", "nobody's CID" },
                { "99-5", "swap its ends" },
                { "5-", "write it as 5-99" },
                { "-5", "write it as 5-99" },
                { "5-9-12", "write it as 5-99" },
                { "host-99", "write it as 5-99" },
                { "5-4294967296", "write it as 5-99" },
                { "host, 7x", "'7x' is no CID" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                _cleanup_free_ char *problem = NULL;
                CidSet s = { .n = 77 };

                assert_int_equal(cid_set_parse(forms[i][0], &s, &problem), -EINVAL);
                assert_int_equal(s.n, 77);
                assert_null(s.ranges);
                if (!strstr(problem, forms[i][1]))
                        fail_msg("'%s': no '%s' in '%s'", forms[i][0], forms[i][1], problem);
        }
}

static void test_has(void **state)
{
        static const struct {
                const char *text;
                uint32_t cid;
                bool has;
        } cases[] = {
                { "", 2, false },
                { "host", 2, true },
                { "host", 1, false },
                { "host", 3, false },
                { "local", 1, true },
                { "local", 2, false },
                { "2, 5-99", 2, true },
                { "2, 5-99", 4, false },
                { "2, 5-99", 5, true },
                { "2, 5-99", 99, true },
                { "2, 5-99", 100, false },
                { "any", 0, true },
                { "any", 1, true },
                { "any", 4294967294U, true },
                { "any", 4294967295U, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_cid_set_ CidSet s = CID_SET_NULL;

                parse(cases[i].text, &s);
                assert_int_equal(cid_set_has(&s, cases[i].cid), cases[i].has);
        }
}

/* Whether `local` is named matters to privilege: a range that covers CID 1 does not name it. */
static void test_names_local(void **state)
{
        static const struct {
                const char *text;
                bool named;
        } cases[] = {
                { "local", true }, { "lo", true },     { "1", true },
                { "any", false },  { "0-5", false },   { "1-1", false },
                { "host", false }, { "any, 1", true }, { "2, loopback", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_cid_set_ CidSet s = CID_SET_NULL;

                parse(cases[i].text, &s);
                assert_int_equal(s.names_local, cases[i].named);
        }
}

static void test_is_wider_than_host(void **state)
{
        static const struct {
                const char *text;
                bool wider;
        } cases[] = {
                { "", false },   { "host", false },   { "2, 2-2", false }, { "0", false },
                { "0-1", true }, { "local", true },   { "1-2", true },     { "2-3", true },
                { "any", true }, { "host, 7", true }, { "3", true },       { "4294967294", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_cid_set_ CidSet s = CID_SET_NULL;

                parse(cases[i].text, &s);
                assert_int_equal(cid_set_is_wider_than_host(&s), cases[i].wider);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_and_print),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_has),
                cmocka_unit_test(test_names_local),
                cmocka_unit_test(test_is_wider_than_host),
        };

        return cmocka_run_group_tests_name("cids", tests, NULL, NULL);
}
