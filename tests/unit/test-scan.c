/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../scan-transcript.h"

/* The text fed whole and in every two pieces: always exactly this transcript. */
static void check_bytes(const ScanLimits *limits, const char *text, size_t n, const char *expected)
{
        for (size_t first = 1; first <= MAX_OF(n, (size_t)1); first++) {
                for (unsigned bytewise = 0; bytewise < 2; bytewise++) {
                        char *got = transcript(&transcript_keys, limits, text, n, first,
                                               bytewise ? 1 : n);

                        if (strcmp(got, expected) != 0)
                                fail_msg("%s\ngot    %s\nwanted %s\n(first %zu of %zu bytes)", text,
                                         got, expected, first, n);
                        free(got);
                }
        }
}

static void check(const char *text, const char *expected)
{
        check_bytes(&transcript_limits, text, strlen(text), expected);
}

static void check_within(size_t bytes, size_t values, unsigned depth, const char *text,
                         const char *expected)
{
        ScanLimits limits = { .bytes = bytes, .values = values, .depth = depth };

        check_bytes(&limits, text, strlen(text), expected);
}

static void test_marks(void **state)
{
        check("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.ping\"}",
              "0+46 object{jsonrpc=11+5 id=22+1 method=33+12} end");
        check(" {\"method\" : \"m\" , \"params\" : { \"a\" : 1 , \"b\" : [ 2 ] } } ",
              "1+56 object{method=12+3 params=29+25/2} end");
        check("{\"id\":\"abc\"}", "0+12 object{id=6+5} end");
        check("{\"id\":-12.50e+3 }", "0+17 object{id=6+9} end");
        check("{\"id\":null}", "0+11 object{id=6+4} end");
        check("{\"id\":[[],{}]}", "0+14 object{id=6+7} end");
        check("{\"id\":99999999999999999999999999}", "0+33 object{id=6+26} end");
        check("{}", "0+2 object{} end");
        check("{\"other\":1,\"Id\":2,\"i\":3,\"idd\":4,\"\":5}", "0+37 object{} end");
        check("5 ", "0+1 value{} end");
        check("\"id\"", "0+4 value{} end");
}

/* Marked are the envelope's own members, not those of what lies inside it. */
static void test_marks_by_depth(void **state)
{
        check("{\"params\":{\"id\":1,\"method\":{\"id\":2}},\"id\":3}",
              "0+44 object{id=42+1 params=10+26/2} end");
        check("{\"x\":{\"id\":1},\"y\":[{\"id\":2}]}", "0+29 object{} end");
        check("{\"params\":[1,{\"a\":2}]}", "0+22 object{params=10+11} end");
        check("{\"params\":{}}", "0+13 object{params=10+2} end");
        check("{\"params\":{\"a\":{\"b\":{\"c\":1}},\"a\":2}}", "0+36 object{params=10+25/2} end");
        check("{\"params\":5}", "0+12 object{params=10+1} end");
        check("{\"id\":{\"a\":1}}", "0+14 object{id=6+7} end");
}

static void test_keys_are_compared_unescaped(void **state)
{
        check("{\"\\u006dethod\":1}", "0+17 object{method=15+1} end");
        check("{\"m\\u0065tho\\u0064\":1}", "0+22 object{method=20+1} end");
        check("{\"\\u0069\\u0064\":1}", "0+18 object{id=16+1} end");
        check("{\"i\\u0064\":1,\"id\":2}", "0+20 object{id=11+1 doubled} end");
        check("{\"i\\n\":1}", "0+9 object{} end");
        check("{\"\\/id\":1}", "0+10 object{} end");
        check("{\"i\\u0164\":1}", "0+13 object{} end");
        check("{\"i\\ud800\\udc64\":1}", "0+19 object{} end");
        check("{\"id\xc3\xbc\":1,\"\xc3\xbcid\":1}", "0+19 object{} end");
        check("{\"\xc3\xbc\":1,\"id\":2}", "0+15 object{id=13+1} end");
        check("{\"abcdefghijklmnop\":1,\"abcdefghijklmnopq\":1,\"id\":2}",
              "0+51 object{id=49+1} end");
        check("{\"id\\u0061bcdefghijklmnopqrst\":1,\"id\":2}", "0+40 object{id=38+1} end");
}

static void test_doubled_keys(void **state)
{
        check("{\"id\":1,\"id\":2}", "0+15 object{id=6+1 doubled} end");
        check("{\"method\":\"a\",\"params\":{},\"method\":\"a\"}",
              "0+39 object{method=10+3 params=23+2 doubled} end");
        /* Elsewhere it is for others to find: unmarked ones, and those inside. */
        check("{\"x\":1,\"x\":2}", "0+13 object{} end");
        check("{\"params\":{\"id\":1,\"id\":2}}", "0+26 object{params=10+15/2} end");
        check("{\"params\":{\"a\":1,\"\\u0061\":2,\"a\":3}}", "0+35 object{params=10+24/3} end");
        /* The second params are not judged: nothing of them will be used. */
        check("{\"params\":{},\"params\":{\"a\":1e999}}", "0+34 object{params=10+2 doubled} end");
}

static void test_nul_in_key(void **state)
{
        check("{\"\\u0000\":1}", "0+12 object{ nul} end");
        check("{\"id\\u0000\":1}", "0+14 object{ nul} end");
        check("{\"id\":1,\"params\":{\"a\\u0000b\":1}}",
              "0+32 object{id=6+1 params=17+14/1 nul} end");
        check("{\"x\":[[{\"\\u0000\":1}]]}", "0+22 object{ nul} end");
        check("{\"x\":\"\\u0000\",\"id\":\"\\u0000\"}", "0+28 object{id=19+8} end");
        check("{\"\\\\u0000\":1}", "0+13 object{} end");
        /* Of the envelope that it is in, no other. */
        check("[{},{\"\\u0000\":{}},{}]",
              "0+21 batch[1+2 object{} 4+13 object{ nul} 18+2 object{}] end");
}

static void test_numbers_in_params(void **state)
{
        static const char *const good[] = {
                "0",
                "-0",
                "1",
                "9223372036854775807",
                "-9223372036854775808",
                "18446744073709551615",
                "0e999999999999999999999",
                "0.0e99999",
                "-0.0e99999",
                "1.7976931348623157e308",
                "17976931348623157e292",
                "0.00017976931348623157e312",
                "-1.7976931348623158e308",
                "1e-999999999999999999999999",
                "1e308",
                "10e307",
                "1e+0000000000000000000000000000000308",
                "0.1e309",
                "9.9e307",
                /* One below the bound, written out. */
                "179769313486231580793728971405303415079934132710037826936173778980444968292764750"
                "946649017977587207096330286416692887910946555547851940402630657488671505820681908"
                "902000708383676273854845817711531764475730270069855571366959622842914819860834936"
                "475292719074168444365510704342711559699508093042880177904174497791.999",
        };
        static const char *const bad[] = {
                "18446744073709551616",
                "-9223372036854775809",
                "99999999999999999999999",
                "-18446744073709551616",
                "100000000000000000000000000000000000000000000000000",
                "1e309",
                "-1e309",
                "1.8e308",
                "18e307",
                "0.00018e312",
                "1e999999999999999999999999",
                "1.7976931348623159e308",
                "1000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                "e9999999999999999999999999999999999999999999999999999999999999999999999999999999",
                /* The bound itself, as an integer with an exponent, and with more behind it. */
                "179769313486231580793728971405303415079934132710037826936173778980444968292764750"
                "946649017977587207096330286416692887910946555547851940402630657488671505820681908"
                "902000708383676273854845817711531764475730270069855571366959622842914819860834936"
                "475292719074168444365510704342711559699508093042880177904174497792e0",
                "0.17976931348623158079372897140530341507993413271003782693617377898044496829276475"
                "0946649017977587207096330286416692887910946555547851940402630657488671505820681908"
                "9020007083836762738548458177115317644757302700698555713669596228429148198608349364"
                "752927190741684443655107043427115596995080930428801779041744977920001e309",
        };

        for (size_t i = 0; i < ELEMENTSOF(good) + ELEMENTSOF(bad); i++) {
                bool fits = i < ELEMENTSOF(good);
                const char *number = fits ? good[i] : bad[i - ELEMENTSOF(good)];
                size_t n = strlen(number);
                char text[1024], expected[512];

                snprintf(text, sizeof(text), "{\"params\":[{\"a\":%s}]}", number);
                snprintf(expected, sizeof(expected), "0+%zu object{params=10+%zu%s} end",
                         strlen(text), n + 8, fits ? "" : " large");
                check(text, expected);
                /* params itself a number */
                snprintf(text, sizeof(text), "{\"params\":%s}", number);
                snprintf(expected, sizeof(expected), "0+%zu object{params=10+%zu%s} end",
                         strlen(text), n, fits ? "" : " large");
                check(text, expected);
                /* Elsewhere a number may be any. */
                snprintf(text, sizeof(text), "{\"params\":[],\"x\":%s,\"id\":%s}", number, number);
                snprintf(expected, sizeof(expected), "0+%zu object{id=%zu+%zu params=10+2} end",
                         strlen(text), n + 23, n);
                check(text, expected);
        }
        /* Each is judged alone. */
        check("{\"params\":[1e309,1]}", "0+20 object{params=10+9 large} end");
        check("{\"params\":[1,1e309]}", "0+20 object{params=10+9 large} end");
        check("[{\"params\":[1e309]},{\"params\":[1]}]",
              "0+35 batch[1+18 object{params=11+7 large} 20+14 object{params=30+3}] end");
}

static void test_batch(void **state)
{
        check("[]", "0+2 batch[] end");
        check(" [ ] ", "1+3 batch[] end");
        check("[1]", "0+3 batch[1+1 value{}] end");
        check("[1,\"a\",null,[],[{\"id\":1}]]",
              "0+26 batch[1+1 value{} 3+3 value{} 7+4 value{} 12+2 value{} 15+10 value{}] end");
        check("[{\"id\":1,\"method\":\"m\"},{\"id\":2}]",
              "0+32 batch[1+21 object{id=7+1 method=18+3} 23+8 object{id=29+1}] end");
        check("[ {\"params\":{\"a\":1,\"b\":2}} , {\"params\":{\"id\":1}} ]",
              "0+50 batch[2+24 object{params=12+13/2} 29+19 object{params=39+8/1}] end");
        check("[{\"id\":1,\"id\":2},{\"id\":1}]",
              "0+26 batch[1+15 object{id=7+1 doubled} 17+8 object{id=23+1}] end");
        check("{\"x\":[{\"id\":1}]}", "0+16 object{} end");
}

/* More elements than one, two and three growths hold. */
static void test_large_batch(void **state)
{
        static const unsigned counts[] = { 1, 2, 8, 9, 16, 17, 1000, 5000 };
        static char text[5000 * 12];
        size_t used, n;
        Scan s;

        scan_init(&s, &transcript_keys, &transcript_limits);
        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                const ScanEnvelope *e;
                size_t length = 0;

                for (unsigned k = 0; k < counts[i]; k++)
                        length += (size_t)sprintf(text + length, "%c{\"id\":%u}", k > 0 ? ',' : '[',
                                                  k % 10);
                text[length++] = ']';
                assert_int_equal(scan_feed(&s, text, length, &used), SCAN_DONE);
                assert_int_equal(used, length);
                assert_true(scan_is_batch(&s));
                e = scan_envelopes(&s, &n);
                assert_int_equal(n, counts[i]);
                for (unsigned k = 0; k < n; k++) {
                        assert_int_equal(e[k].text.offset, 1 + k * 9);
                        assert_int_equal(e[k].text.length, 8);
                        assert_int_equal(e[k].members[1].length, 1);
                        assert_int_equal(text[e[k].members[1].offset], '0' + (int)(k % 10));
                }
                scan_reset(&s);
        }
        scan_done(&s);
        scan_done(&s);
}

static void test_several_texts(void **state)
{
        check("{}{}", "0+2 object{} 2+2 object{} end");
        check("{}\n[]\n", "0+2 object{} 3+2 batch[] end");
        check("\"a\"\"b\"", "0+3 value{} 3+3 value{} end");
        check("truefalse", "0+4 value{} 4+5 value{} end");
        check("1 2", "0+1 value{} 2+1 value{} end");
        check("12{}", "0+2 value{} 2+2 object{} end");
        check("1[]", "0+1 value{} 1+2 batch[] end");
        check("1\"\"", "0+1 value{} 1+2 value{} end");
        check("{\"id\":1}[2]{\"id\":3}",
              "0+8 object{id=6+1} 8+3 batch[1+1 value{}] 11+8 object{id=6+1} end");
        check("{} x", "0+2 object{} bad-syntax@3");
        check("{}{]", "0+2 object{} bad-syntax@3");
        check("1-", "bad-syntax@1");
}

static void test_where_an_error_lies(void **state)
{
        check("x", "bad-syntax@0");
        check("  x", "bad-syntax@2");
        check("{\"a\":tru1}", "bad-syntax@8");
        check("[1,]", "bad-syntax@3");
        check("[1.]", "bad-syntax@3");
        check("[01]", "bad-syntax@2");
        check("[\"a\nb\"]", "bad-syntax@3");
        check("[\"\\x\"]", "bad-syntax@3");
        check("[\"\\u12x4\"]", "bad-syntax@6");
        check("[\"\\ud800\"]", "bad-syntax@8");
        check("[\"\\udc00\"]", "bad-syntax@7");
        check("[\"\\ud800\\u0041\"]", "bad-syntax@13");
        check("[\"\xc3\xc3\"]", "bad-utf8@3");
        check("[\"\xff\"]", "bad-utf8@2");
        check("[\xc3\xa9]", "bad-syntax@1");
        check("\xef\xbb\xbf{}", "bad-syntax@0");
}

static void test_finish(void **state)
{
        check("", "end");
        check("  \n ", "end");
        check("1", "0+1 value{} end");
        check("-0.5e1", "0+6 value{} end");
        check("-", "cut");
        check("1.", "cut");
        check("1e", "cut");
        check("[1", "cut");
        check("\"a", "cut");
        check("{\"id\":1", "cut");
        check("nul", "cut");
        check("\"\xc3", "cut");
}

static void test_limit_bytes(void **state)
{
        check_within(8, 99, 32, "{\"id\":1}", "0+8 object{id=6+1} end");
        check_within(7, 99, 32, "{\"id\":1}", "too-long@7");
        check_within(1, 99, 32, "{\"id\":1}", "too-long@1");
        /* Space around does not count, space inside does. */
        check_within(2, 99, 32, "    []    []    ", "4+2 batch[] 10+2 batch[] end");
        check_within(2, 99, 32, "[ ]", "too-long@2");
        check_within(2, 99, 32, "[  ", "too-long@2");
        check_within(3, 99, 32, "[  ", "cut");
        /* A number at the top: the byte that ends it is not its own. */
        check_within(3, 99, 32, "123", "0+3 value{} end");
        check_within(3, 99, 32, "123 ", "0+3 value{} end");
        check_within(3, 99, 32, "123[]", "0+3 value{} 3+2 batch[] end");
        check_within(3, 99, 32, "1234", "too-long@3");
        check_within(3, 99, 32, "123.5", "too-long@3");
        check_within(3, 99, 32, "12. ", "too-long@3");
        check_within(3, 99, 32, "[12 ", "too-long@3");
        check_within(4, 99, 32, "\"ab\"", "0+4 value{} end");
        check_within(4, 99, 32, "\"abc\"", "too-long@4");
        check_within(4, 99, 32, "\"abcdefghijklmnopqrstuvwxyz\"", "too-long@4");
        /* What is wrong before the limit is told first. */
        check_within(4, 99, 32, "[1x        ]", "bad-syntax@2");
}

static void test_limit_values(void **state)
{
        check_within(99, 1, 32, "[]", "0+2 batch[] end");
        check_within(99, 1, 32, "{}", "0+2 object{} end");
        check_within(99, 0, 32, "{}", "too-many-values@0");
        check_within(99, 1, 32, "[1]", "too-many-values@1");
        check_within(99, 2, 32, "[1]", "0+3 batch[1+1 value{}] end");
        check_within(99, 3, 32, "[1,2,3]", "too-many-values@5");
        check_within(99, 4, 32, "[1,2,3]", "0+7 batch[1+1 value{} 3+1 value{} 5+1 value{}] end");
        check_within(99, 3, 32, "[{},{},{}]", "too-many-values@7");
        /* Keys are no values. */
        check_within(99, 3, 32, "{\"a\":1,\"b\":2}", "0+13 object{} end");
        check_within(99, 2, 32, "{\"a\":1,\"b\":2}", "too-many-values@11");
        check_within(99, 2, 32, "{\"a\":\"b\"}", "0+9 object{} end");
        check_within(99, 2, 32, "{\"a\":[]}", "0+8 object{} end");
        check_within(99, 2, 32, "{\"a\":[null]}", "too-many-values@6");
        /* Each text counts anew. */
        check_within(99, 1, 32, "{}{}{}", "0+2 object{} 2+2 object{} 4+2 object{} end");
}

static void check_nested(unsigned depth, const char *expected)
{
        char text[256], *p = text;

        for (unsigned i = 0; i < depth; i++)
                *p++ = '[';
        for (unsigned i = 0; i < depth; i++)
                *p++ = ']';
        *p = '\0';
        check(text, expected);

        /* Objects and arrays in turn. */
        p = text;
        for (unsigned i = 0; i < depth; i++)
                p = stpcpy(p, i % 2 ? "[" : "{\"\":");
        if (depth % 2)
                *p++ = '0';
        for (unsigned i = depth; i > 0; i--)
                *p++ = i % 2 ? '}' : ']';
        *p = '\0';
        if (depth <= SCAN_DEPTH_MAX)
                check(text, "0+112 object{} end");
        else
                check(text, "too-deep@80");
}

static void test_limit_depth(void **state)
{
        check_nested(32, "0+64 batch[1+62 value{}] end");
        check_nested(33, "too-deep@32");
        check_within(99, 99, 1, "[1]", "0+3 batch[1+1 value{}] end");
        check_within(99, 99, 1, "[[]]", "too-deep@1");
        check_within(99, 99, 1, "{\"a\":{}}", "too-deep@5");
        check_within(99, 99, 0, "1", "0+1 value{} end");
        check_within(99, 99, 0, "[]", "too-deep@0");
        /* Only what is open counts. */
        check_within(99, 99, 2, "[[],[],[],{}]",
                     "0+13 batch[1+2 value{} 4+2 value{} 7+2 value{} 10+2 object{}] end");
}

/* 100,000 opened arrays, and a megabyte of values, end at the limit and hold no memory. */
static void test_bombs(void **state)
{
        enum { SIZE = 1 << 20 };
        static char text[SIZE];
        size_t used;
        Scan s;

        scan_init(&s, &transcript_keys, &transcript_limits);
        memset(text, '[', 100000);
        assert_int_equal(scan_feed(&s, text, 100000, &used), SCAN_TOO_DEEP);
        assert_int_equal(used, 32);
        assert_null(s.more);

        scan_reset(&s);
        text[0] = '{';
        memcpy(text + 1, "\"x\":[", 5);
        for (size_t i = 6; i + 3 <= SIZE; i += 3)
                memcpy(text + i, "{},", 3);
        assert_int_equal(scan_feed(&s, text, SIZE, &used), SCAN_TOO_MANY_VALUES);
        assert_int_equal(used, 6 + 3 * (16384 - 2));
        assert_null(s.more);
        scan_done(&s);
}

/* Length and beginning are known at every byte on the way. */
static void test_progress(void **state)
{
        static const char text[] = "  {\"id\":1}";
        size_t used;
        Scan s;

        scan_init(&s, &transcript_keys, &transcript_limits);
        assert_int_equal(scan_feed(&s, NULL, 0, &used), SCAN_MORE);
        assert_int_equal(used, 0);
        for (size_t i = 0; i < sizeof(text) - 1; i++) {
                assert_int_equal(scan_begun(&s), i > 2);
                assert_int_equal(scan_length(&s), i > 2 ? i - 2 : 0);
                assert_int_equal(scan_feed(&s, text + i, 1, &used),
                                 i + 2 == sizeof(text) ? SCAN_DONE : SCAN_MORE);
                assert_int_equal(used, 1);
                if (i + 2 < sizeof(text))
                        assert_int_equal(scan_feed(&s, NULL, 0, &used), SCAN_MORE);
        }
        assert_int_equal(scan_length(&s), sizeof(text) - 3);
        scan_reset(&s);
        assert_false(scan_begun(&s));
        assert_int_equal(scan_length(&s), 0);
        assert_int_equal(scan_finish(&s), SCAN_MORE);
        scan_done(&s);
}

static void test_no_keys(void **state)
{
        static const ScanKeys none = { .params = SCAN_KEYS_MAX };
        static const ScanKeys eight = {
                .names = { "a", "b", "c", "d", "e", "f", "g", "sixteen-letters!" },
                .params = SCAN_KEYS_MAX,
        };
        static const char text[] = "{\"a\":1,\"h\":1e999,\"sixteen-letters!\":2,\"g\":3,\"\":4,"
                                   "\"sixteen-letters?\":5,\"sixteen-\":6,\"a\\u0000\":7}";
        char *got;

        got = transcript(&none, &transcript_limits, text, sizeof(text) - 1, sizeof(text), 1);
        assert_string_equal(got, "0+95 object{ nul} end");
        free(got);
        for (size_t first = 1; first < sizeof(text); first++) {
                got = transcript(&eight, &transcript_limits, text, sizeof(text) - 1, first, 5);
                assert_string_equal(got, "0+95 object{a=5+1 g=42+1 sixteen-letters!=36+1 nul} end");
                free(got);
        }
}

static void test_result_text(void **state)
{
        for (int r = SCAN_MORE; r <= SCAN_NO_MEMORY; r++) {
                assert_true(strlen(scan_result_to_text((ScanResult)r)) > 3);
                for (int other = SCAN_MORE; other < r; other++)
                        assert_string_not_equal(scan_result_to_text((ScanResult)r),
                                                scan_result_to_text((ScanResult)other));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_marks),
                cmocka_unit_test(test_marks_by_depth),
                cmocka_unit_test(test_keys_are_compared_unescaped),
                cmocka_unit_test(test_doubled_keys),
                cmocka_unit_test(test_nul_in_key),
                cmocka_unit_test(test_numbers_in_params),
                cmocka_unit_test(test_batch),
                cmocka_unit_test(test_large_batch),
                cmocka_unit_test(test_several_texts),
                cmocka_unit_test(test_where_an_error_lies),
                cmocka_unit_test(test_finish),
                cmocka_unit_test(test_limit_bytes),
                cmocka_unit_test(test_limit_values),
                cmocka_unit_test(test_limit_depth),
                cmocka_unit_test(test_bombs),
                cmocka_unit_test(test_progress),
                cmocka_unit_test(test_no_keys),
                cmocka_unit_test(test_result_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
