/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

/* What every parser leaves in *ret when it fails. */
#define UNTOUCHED UINT64_C(0x5555)

typedef struct NumberCase NumberCase;

struct NumberCase {
        const char *text;
        int result;
        uint64_t value;
};

static void check_u64_cases(const NumberCase *cases, size_t n,
                            int (*parse)(const char *text, uint64_t *ret))
{
        for (size_t i = 0; i < n; i++) {
                uint64_t v = UNTOUCHED;
                int r = parse(cases[i].text, &v);

                if (r != cases[i].result || v != (r < 0 ? UNTOUCHED : cases[i].value))
                        fail_msg("\"%s\": got %d, %" PRIu64, cases[i].text, r, v);
        }
}

static void test_u64(void **state)
{
        static const NumberCase cases[] = {
                { "0", 0, 0 },
                { "1000", 0, 1000 },
                { "007", 0, 7 },
                { "0x3e8", 0, 1000 },
                { "0X3E8", 0, 1000 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "0xffffffffffffffff", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "0x10000000000000000", -ERANGE, 0 },
                { "99999999999999999999999999x", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { "0x", -EINVAL, 0 },
                { "x1", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "1a", -EINVAL, 0 },
                { "0xg", -EINVAL, 0 },
                { "0x-1", -EINVAL, 0 },
                { "1.0", -EINVAL, 0 },
        };

        check_u64_cases(cases, ELEMENTSOF(cases), text_to_u64);
}

static void test_u32(void **state)
{
        uint32_t v = 7;

        assert_int_equal(text_to_u32("4294967295", &v), 0);
        assert_int_equal(v, UINT32_MAX);
        assert_int_equal(text_to_u32("0xFFFFFFFF", &v), 0);
        assert_int_equal(v, UINT32_MAX);
        v = 7;
        assert_int_equal(text_to_u32("4294967296", &v), -ERANGE);
        assert_int_equal(text_to_u32("18446744073709551616", &v), -ERANGE);
        assert_int_equal(text_to_u32("-1", &v), -EINVAL);
        assert_int_equal(v, 7);
}

static void test_boolean(void **state)
{
        static const char *const yes[] = { "yes", "YES", "true", "True", "on", "1" };
        static const char *const no[] = { "no", "No", "false", "FALSE", "off", "0" };
        static const char *const bad[] = { "", "y", "yes ", "2", "01", "enabled" };
        bool b;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                b = false;
                assert_int_equal(text_to_boolean(yes[i], &b), 0);
                assert_true(b);
                assert_int_equal(text_to_boolean(no[i], &b), 0);
                assert_false(b);
        }
        b = true;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(text_to_boolean(bad[i], &b), -EINVAL);
        assert_true(b);
}

static void test_mode(void **state)
{
        unsigned m = 0;

        assert_int_equal(text_to_mode("0600", &m), 0);
        assert_int_equal(m, 0600);
        assert_int_equal(text_to_mode("7777", &m), 0);
        assert_int_equal(m, 07777);
        assert_int_equal(text_to_mode("0", &m), 0);
        assert_int_equal(m, 0);
        m = 5;
        assert_int_equal(text_to_mode("10000", &m), -ERANGE);
        assert_int_equal(text_to_mode("0800", &m), -EINVAL);
        assert_int_equal(text_to_mode("0x1ff", &m), -EINVAL);
        assert_int_equal(text_to_mode("u=rw", &m), -EINVAL);
        assert_int_equal(text_to_mode("", &m), -EINVAL);
        assert_int_equal(m, 5);
}

static void test_size(void **state)
{
        static const NumberCase cases[] = {
                { "0", 0, 0 },
                { "200", 0, 200 },
                { "64K", 0, 65536 },
                { "1M", 0, 1048576 },
                { "2G", 0, UINT64_C(2147483648) },
                { "17179869183G", 0, UINT64_C(17179869183) << 30 },
                { "17179869184G", -ERANGE, 0 },
                { "18446744073709551616", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1 K", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "1.5M", -EINVAL, 0 },
        };

        check_u64_cases(cases, ELEMENTSOF(cases), text_to_size);
}

/* A generator with a fixed seed (xorshift64): the same numbers in every run. */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t next_random(void)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

/* Numbers of every magnitude, with and without round ones. */
static uint64_t next_magnitude(void)
{
        static const uint64_t units[] = { 1,          1000,        1000000, 60000000,
                                          3600000000, 86400000000, 1024,    1048576 };
        uint64_t v = next_random() >> (next_random() % 64);

        return next_random() % 2 ? v : v * units[next_random() % ELEMENTSOF(units)];
}

static void test_size_reads_back(void **state)
{
        char text[32];
        uint64_t v;

        text_from_size(text, 0);
        assert_string_equal(text, "0");
        text_from_size(text, 1048576);
        assert_string_equal(text, "1M");
        text_from_size(text, 65536);
        assert_string_equal(text, "64K");
        text_from_size(text, 1025);
        assert_string_equal(text, "1025");
        text_from_size(text, UINT64_C(1) << 40);
        assert_string_equal(text, "1024G");
        for (unsigned i = 0; i < 20000; i++) {
                uint64_t size = next_magnitude();

                text_from_size(text, size);
                assert_int_equal(text_to_size(text, &v), 0);
                assert_true(v == size);
        }
}

static void test_usec(void **state)
{
        static const NumberCase cases[] = {
                { "0", 0, 0 },
                { "1", 0, 1000000 },
                { "1.5", 0, 1500000 },
                { "500ms", 0, 500000 },
                { "10s", 0, 10000000 },
                { "2min", 0, 120000000 },
                { "2m", 0, 120000000 },
                { "1h 30min", 0, UINT64_C(5400000000) },
                { "1h30min", 0, UINT64_C(5400000000) },
                { "1.5s", 0, 1500000 },
                { "0.000001s", 0, 1 },
                { "0.0000019s", 0, 1 },
                { "2 h", 0, UINT64_C(7200000000) },
                { "2hours", 0, UINT64_C(7200000000) },
                { "48hr", 0, UINT64_C(172800000000) },
                { "55s500ms", 0, 55500000 },
                { "300ms20s 5day", 0, UINT64_C(432020300000) },
                { "1y 12month", 0, UINT64_C(63115200000000) },
                { "1M", 0, UINT64_C(2629800000000) },
                { "1w", 0, UINT64_C(604800000000) },
                { "1d", 0, UINT64_C(86400000000) },
                { "3us", 0, 3 },
                { "3usec", 0, 3 },
                { "3\xc2\xb5s", 0, 3 },
                { "3\xce\xbcs", 0, 3 },
                { "0.5y", 0, UINT64_C(15778800000000) },
                { "infinity", 0, TEXT_INFINITY },
                { "18446744073709551614us", 0, UINT64_MAX - 1 },
                { "18446744073709551615us", -ERANGE, 0 },
                { "18446744073709551614us 1us", -ERANGE, 0 },
                { "18446744073709551614us 2us", -ERANGE, 0 },
                { "18446744073710s", -ERANGE, 0 },
                { "18446744073709.9s", -ERANGE, 0 },
                { "99999999999999999999s", -ERANGE, 0 },
                { "99999999999999999999 parsecs", -EINVAL, 0 },
                { "99999999y 1parsec", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "1 2", -EINVAL, 0 },
                { "1h 30", -EINVAL, 0 },
                { "1.s", -EINVAL, 0 },
                { ".5s", -EINVAL, 0 },
                { "1,5s", -EINVAL, 0 },
                { "-1s", -EINVAL, 0 },
                { " 1s", -EINVAL, 0 },
                { "1s ", -EINVAL, 0 },
                { "1S", -EINVAL, 0 },
                { "1ss", -EINVAL, 0 },
                { "1s,", -EINVAL, 0 },
                { "0x1s", -EINVAL, 0 },
                { "infinity 1s", -EINVAL, 0 },
        };

        check_u64_cases(cases, ELEMENTSOF(cases), text_to_usec);
}

static void check_usec_text(uint64_t usec, const char *expected)
{
        char text[64];
        uint64_t v;

        text_from_usec(text, usec);
        if (expected)
                assert_string_equal(text, expected);
        assert_int_equal(text_to_usec(text, &v), 0);
        assert_true(v == usec);
}

static void test_usec_reads_back(void **state)
{
        check_usec_text(0, "0");
        check_usec_text(500000, "500ms");
        check_usec_text(90000000, "1min 30s");
        check_usec_text(30000000, "30s");
        check_usec_text(1500001, "1s 500ms 1us");
        check_usec_text(UINT64_C(604800000000), "1w");
        check_usec_text(TEXT_INFINITY, "infinity");
        check_usec_text(UINT64_MAX - 1, "30500568w 6d 8h 1min 49s 551ms 614us");
        for (unsigned i = 0; i < 20000; i++)
                check_usec_text(next_magnitude(), NULL);
}

static void test_strip(void **state)
{
        char both[] = " \t a b\r\n ", none[] = "ab", only[] = " \t ", empty[] = "";

        assert_string_equal(text_strip(both), "a b");
        assert_string_equal(text_strip(none), "ab");
        assert_string_equal(text_strip(only), "");
        assert_string_equal(text_strip(empty), "");
}

static void check_show(const char *data, size_t n, size_t max, const char *expected)
{
        _cleanup_free_ char *s = text_show(data, n, max);

        assert_non_null(s);
        assert_string_equal(s, expected);
}

static void test_show(void **state)
{
        check_show("", 0, 10, "");
        check_show("plain", 5, 5, "plain");
        check_show("plain", 5, 4, "plai...");
        check_show("plain", 5, 0, "...");
        check_show("a\nb\x1b[0m", 7, 20, "a\\x0ab\\x1b[0m");
        check_show("a\0b", 3, 20, "a\\x00b");
        check_show("\x7f", 1, 20, "\\x7f");
        check_show("gr\xc3\xbc\xc3\x9f", 6, 20, "gr\xc3\xbc\xc3\x9f");
        check_show("\xff\xc3", 2, 20, "\\xff\\xc3");
        /* A C1 control, a line separator and a right-to-left override are valid UTF-8. */
        check_show("\xc2\x9b", 2, 20, "\\xc2\\x9b");
        check_show("\xe2\x80\xa8", 3, 20, "\\xe2\\x80\\xa8");
        check_show("\xe2\x80\xae", 3, 20, "\\xe2\\x80\\xae");
        /* A character is shown whole or not at all. */
        check_show("a\xe2\x82\xac", 4, 4, "a\xe2\x82\xac");
        check_show("a\xe2\x82\xac", 4, 3, "a...");
        check_show("a\xe2\x82\xac", 4, 2, "a...");
}

static void test_utf8(void **state)
{
        static const char *const good[] = {
                "",
                "ascii",
                "\xc2\x80",
                "\xdf\xbf",
                "\xe0\xa0\x80",
                "\xed\x9f\xbf",
                "\xee\x80\x80",
                "\xef\xbf\xbf",
                "\xf0\x90\x80\x80",
                "\xf4\x8f\xbf\xbf",
        };
        static const char *const bad[] = {
                "\x80",
                "\xbf",
                "\xc0\x80",
                "\xc1\xbf",
                "\xc2",
                "\xc2\x7f",
                "\xc2\xc0",
                "\xe0\x9f\xbf",
                "\xe2\x82",
                "\xe2\x82 ",
                "\xed\xa0\x80",
                "\xed\xbf\xbf",
                "\xf0\x8f\xbf\xbf",
                "\xf0\x90\x80",
                "\xf4\x90\x80\x80",
                "\xf5\x80\x80\x80",
                "\xf8\x88\x80\x80\x80",
                "\xfe",
                "\xff",
                "ok\xc3",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(text_is_utf8(good[i], strlen(good[i])));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(text_is_utf8(bad[i], strlen(bad[i])));
        assert_true(text_is_utf8("a\0b", 3));
}

static void test_errno_name(void **state)
{
        assert_string_equal(text_errno_name(ENOENT), "ENOENT");
        assert_string_equal(text_errno_name(EACCES), "EACCES");
        assert_string_equal(text_errno_name(4095), "E4095");
        assert_string_equal(text_errno_name(0), "E0");
}

static void test_format(void **state)
{
        _cleanup_free_ char *s = text_format("%s-%d", "x", 5);

        assert_string_equal(s, "x-5");
}

static void test_list(void **state)
{
        _cleanup_text_list_ char **list = NULL;

        assert_int_equal(text_list_length(list), 0);
        for (unsigned i = 0; i < 40; i++) {
                assert_int_equal(text_list_take(&list, text_format("%u", i)), 0);
                assert_int_equal(text_list_length(list), i + 1);
        }
        assert_string_equal(list[0], "0");
        assert_string_equal(list[39], "39");
        assert_null(list[40]);

        /* What text_format() could not make counts as no memory, and changes nothing. */
        assert_int_equal(text_list_take(&list, NULL), -ENOMEM);
        assert_int_equal(text_list_length(list), 40);
        text_list_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_u64),     cmocka_unit_test(test_u32),
                cmocka_unit_test(test_boolean), cmocka_unit_test(test_mode),
                cmocka_unit_test(test_size),    cmocka_unit_test(test_size_reads_back),
                cmocka_unit_test(test_usec),    cmocka_unit_test(test_usec_reads_back),
                cmocka_unit_test(test_strip),   cmocka_unit_test(test_show),
                cmocka_unit_test(test_utf8),    cmocka_unit_test(test_errno_name),
                cmocka_unit_test(test_format),  cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
