/* SPDX-License-Identifier: MIT */

/*
 * What is JSON and what is not: cases of the kinds that the JSON Parsing Test Suite knows,
 * written anew. Each is fed whole, byte by byte, and cut in two at every place.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../scan-transcript.h"

typedef struct Case Case;

struct Case {
        const char *text;
        size_t length;
};

/* Literal text, which may hold NUL. */
#define T(s)                       \
        {                          \
                (s), sizeof(s) - 1 \
        }

/* One JSON text, with space around it or none. */
static const Case accepted[] = {
        /* Scalars at the top */
        T("null"),
        T("true"),
        T("false"),
        T("0"),
        T("-0"),
        T("1"),
        T("42"),
        T("-1"),
        T("1234567890"),
        T("\"\""),
        T("\"a\""),
        T(" null "),
        T("\t0\n"),
        T("\r\n\"x\"\r\n"),
        /* Arrays */
        T("[]"),
        T("[ ]"),
        T("[[]]"),
        T("[[],[]]"),
        T("[\"\"]"),
        T("[\"a\"]"),
        T("[null]"),
        T("[true]"),
        T("[false]"),
        T("[1]"),
        T("[1,2]"),
        T("[1 , 2]"),
        T("[1\n,\n2]"),
        T(" [1]"),
        T("[1] "),
        T("[null,1,\"1\",{}]"),
        T("[1,null,null,null,2]"),
        T("[[[[[[[[[[]]]]]]]]]]"),
        T("[\t\r\n 1\t\r\n ,\t\r\n 2\t\r\n ]"),
        /* Objects */
        T("{}"),
        T("{ }"),
        T("{\"a\":1}"),
        T("{\"a\":{}}"),
        T("{\"a\":[]}"),
        T("{\"a\":\"b\",\"c\":\"d\"}"),
        T("{\"a\":1,\"a\":2}"),
        T("{\"a\":1,\"a\":1}"),
        T("{\"\":0}"),
        T("{\"\\u0000\":0}"),
        T("{\"a\\u0000b\":42}"),
        T("{ \"a\" : 1 , \"b\" : 2 }"),
        T("{\n\"a\"\n:\n1\n}"),
        T("{\"min\":-1.0e+28,\"max\":1.0e+28}"),
        T("{\"x\":[{\"id\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}]}"),
        T("{\"\\\"\":1}"),
        T("{\"\xd0\xb0\":1}"),
        T("{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\"}"),
        /* Numbers */
        T("[0e1]"),
        T("[0e+1]"),
        T("[0E-1]"),
        T("[-0.0]"),
        T("[1e1]"),
        T("[1E22]"),
        T("[1E-2]"),
        T("[1E+2]"),
        T("[1e0]"),
        T("[1e00]"),
        T("[1e-007]"),
        T("[123e45]"),
        T("[123.456e78]"),
        T("[123.456789]"),
        T("[0.5]"),
        T("[20.0e1]"),
        T("[-123]"),
        T("[-0]"),
        T("[-1.5]"),
        T("[0.000000000000000000000000000000000000000000000000000000000000000000000000001]"),
        T("[18446744073709551615]"),
        T("[18446744073709551616]"),
        T("[-9223372036854775809]"),
        T("[100000000000000000000000000000000000000000000]"),
        T("[1e400]"),
        T("[-1e400]"),
        T("[1e-400]"),
        T("[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999]"),
        T("123.456e-789"),
        T("1.5"),
        T("1e5"),
        T("-0.5e-5"),
        /* Strings: escapes */
        T("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
        T("[\"\\u0020\"]"),
        T("[\"\\u0000\"]"),
        T("[\"\\u0012\"]"),
        T("[\"\\u005C\"]"),
        T("[\"\\u0022\"]"),
        T("[\"\\u00e9\"]"),
        T("[\"\\uABCD\\uabcd\\uAbCd\"]"),
        T("[\"\\uFFFF\"]"),
        T("[\"\\uFFFE\"]"),
        T("[\"\\uFDD0\"]"),
        T("[\"\\u200B\\u2064\"]"),
        T("[\"\\uD801\\udc37\"]"),
        T("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
        T("[\"\\uDBFF\\uDFFF\"]"),
        T("[\"\\uD800\\uDC00\"]"),
        T("[\"\\uD834\\uDD1E\"]"),
        T("[\"\\ud7ff\\ue000\"]"),
        T("[\"\\\\u0000\"]"),
        T("[\"\\\\a\"]"),
        T("[\"\\\"\"]"),
        T("[\"a/*b*/c//d\"]"),
        T("[\"new\\u000Aline\"]"),
        /* Strings: bytes */
        T("[\" \"]"),
        T("[\"\x7f\"]"),
        T("[\"a\x7fz\"]"),
        T("[\"\xc2\x80\"]"),
        T("[\"\xc3\xbc\"]"),
        T("[\"\xdf\xbf\"]"),
        T("[\"\xe0\xa0\x80\"]"),
        T("[\"\xe2\x82\xac\"]"),
        T("[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
        T("[\"\xed\x9f\xbf\"]"),
        T("[\"\xee\x80\x80\"]"),
        T("[\"\xef\xbb\xbf\"]"),
        T("[\"\xef\xbf\xbe\xef\xbf\xbf\"]"),
        T("[\"\xf0\x90\x80\x80\"]"),
        T("[\"\xf0\x9d\x84\x9e\"]"),
        T("[\"\xf4\x8f\xbf\xbf\"]"),
        T("[\"\xf3\xa0\x80\x81\"]"),
        T("[\"0123456789abcdef0123456789abcdef0123456789abcdef\"]"),
        T("[\"01234567\xc3\xbc"
          "01234567\\n01234567\"]"),
        T("\"\xf0\x9f\x98\x80\""),
};

/* Not JSON: found at some byte, or only at the end of the input. */
static const Case bad_syntax[] = {
        /* Nothing, or not enough */
        T("["),
        T("{"),
        T("\""),
        T("[1"),
        T("[1,"),
        T("[1,\n"),
        T("[\"a"),
        T("[\"a\\"),
        T("[\"\\u00"),
        T("[\"\\uD834"),
        T("[\"\\uD834\\"),
        T("[\"\\uD834\\u"),
        T("[\"\\uD834\\uDd"),
        T("[\"\xc3"),
        T("[[]"),
        T("[{}"),
        T("{\"a\""),
        T("{\"a\":"),
        T("{\"a\":1"),
        T("{\"a\":1,"),
        T("{\"a"),
        T("[[[[[[[[["),
        T("{\"\":{\"\":{\"\":"),
        T("t"),
        T("tru"),
        T("nul"),
        T("fals"),
        T("-"),
        T("1."),
        T("1e"),
        T("1e+"),
        T("0e"),
        /* Too much */
        T("]"),
        T("}"),
        T("[]]"),
        T("{}}"),
        T("[1]]"),
        T("{\"a\":1}}"),
        T("[1]x"),
        T("{}#"),
        T("{},"),
        T("1,"),
        T("\"\"x"),
        T("[],"),
        T("1]"),
        T("[\"a\"]a"),
        T("{\"a\":true} \"x"),
        T("[][\0]"),
        T("{\"a\":\"b\"}/**/"),
        T("{\"a\":\"b\"}//"),
        /* Commas and colons */
        T("[,]"),
        T("[,1]"),
        T("[1,]"),
        T("[1,,2]"),
        T("[1,,]"),
        T("[\"\",]"),
        T(","),
        T(":"),
        T("[1 true]"),
        T("[1 2]"),
        T("[\"a\" \"b\"]"),
        T("[\"a\":1]"),
        T("[\"a\",\n4\n,1,,]"),
        T("[1:2]"),
        T("[1;2]"),
        T("{,}"),
        T("{\"a\":1,}"),
        T("{\"a\":1,,}"),
        T("{\"a\":1,,\"b\":2}"),
        T("{,\"a\":1}"),
        T("{\"a\",1}"),
        T("{\"a\" 1}"),
        T("{\"a\"}"),
        T("{\"a\":}"),
        T("{\"a\"::1}"),
        T("{:1}"),
        T("{\"a\":1 \"b\":2}"),
        T("{\"a\":1:2}"),
        T("{\"x\", null}"),
        T("{\"a\" b}"),
        T("{\"a\":\"a\" 123}"),
        T("{\"a\":/*comment*/1}"),
        /* Brackets that do not match */
        T("[}"),
        T("{]"),
        T("[1}"),
        T("{\"a\":1]"),
        T("[{]}"),
        T("[{}}"),
        T("[[1]}"),
        T("{\"a\":[1}]"),
        T("[{\"a\":1]"),
        /* Keys that are no strings */
        T("{1:1}"),
        T("{a:1}"),
        T("{a:\"b\"}"),
        T("{null:null}"),
        T("{[]:1}"),
        T("{{}:1}"),
        T("{'a':0}"),
        T("{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}"),
        T("{9999E9999:1}"),
        /* Names that are none */
        T("True"),
        T("NULL"),
        T("[nul]"),
        T("[nulll]"),
        T("[truth]"),
        T("[tru e]"),
        T("[falsey]"),
        T("[fa\0lse]"),
        T("[undefined]"),
        T("[NaN]"),
        T("[-NaN]"),
        T("[nan]"),
        T("[Infinity]"),
        T("[-Infinity]"),
        T("[+Inf]"),
        T("NaN"),
        T("Infinity"),
        T("-Infinity"),
        T("*"),
        T("<.>"),
        T("[<null>]"),
        T("a"),
        T("[a]"),
        T("[1 000]"),
        /* Numbers */
        T("[1.]"),
        T("[-1.]"),
        T("[0.]"),
        T("[.5]"),
        T("[-.5]"),
        T("[.]"),
        T("[.2e-3]"),
        T("[01]"),
        T("[-01]"),
        T("[00]"),
        T("[-00.5]"),
        T("[012]"),
        T("[-012]"),
        T("[+1]"),
        T("[++1234]"),
        T("[-]"),
        T("[- 1]"),
        T("[--1]"),
        T("[+]"),
        T("[1e]"),
        T("[1E]"),
        T("[1e+]"),
        T("[1e-]"),
        T("[0e]"),
        T("[0E+]"),
        T("[1eE2]"),
        T("[1e1.5]"),
        T("[1e+-2]"),
        T("[2.e3]"),
        T("[2.e+3]"),
        T("[1.0e]"),
        T("[0.1.2]"),
        T("[1.2.3]"),
        T("[0x1]"),
        T("[0x42]"),
        T("[1x]"),
        T("[1a]"),
        T("[-foo]"),
        T("[1ea]"),
        T("[1+2]"),
        T("[1-2]"),
        T("[1_000]"),
        T("[0.3e]"),
        T("[0.e1]"),
        T("[123.456.789]"),
        T("[1\0]"),
        T("[\xef\xbc\x91]"),
        T("[1\xe5]"),
        T("01"),
        T("+1"),
        T(".5"),
        T("1.5.5"),
        T("1-2"),
        T("1+"),
        T("1e5e"),
        T("-a"),
        T("0x1"),
        /* Strings */
        T("'a'"),
        T("['a']"),
        T("[`a`]"),
        T("[a\"]"),
        T("[\"a]"),
        T("[\"a\"\"]"),
        T("[\"a\nb\"]"),
        T("[\"a\tb\"]"),
        T("[\"a\rb\"]"),
        T("[\"\x1f\"]"),
        T("[\"\x01\"]"),
        T("[\"\0\"]"),
        T("[\"a\0a\"]"),
        T("{\"a\nb\":1}"),
        T("{\"\0\":1}"),
        T("[\"\\a\"]"),
        T("[\"\\x00\"]"),
        T("[\"\\'\"]"),
        T("[\"\\0\"]"),
        T("[\"\\ \"]"),
        T("[\"\\\n\"]"),
        T("[\"\\\0\"]"),
        T("[\"\\\xf0\x9f\x8c\x80\"]"),
        T("[\"\\\"]"),
        T("[\"\\\\\\\"]"),
        T("[\"\\u\"]"),
        T("[\"\\u0\"]"),
        T("[\"\\u00A\"]"),
        T("[\"\\u00G0\"]"),
        T("[\"\\uqqqq\"]"),
        T("[\"\\u-123\"]"),
        T("[\"\\u 123\"]"),
        T("[\"\\U0041\"]"),
        T("[\"\\u123\xc3\xbc\"]"),
        T("\\u0022a\""),
        T("[\\u0020\"a\"]"),
        T("[\\n]"),
        T("[\"a\",\\n]"),
        /* Surrogates that stand alone or in the wrong order */
        T("[\"\\uD800\"]"),
        T("[\"\\uDBFF\"]"),
        T("[\"\\uDC00\"]"),
        T("[\"\\uDFFF\"]"),
        T("[\"\\ud800abc\"]"),
        T("[\"\\uD888\\u1234\"]"),
        T("[\"\\uD800\\n\"]"),
        T("[\"\\uD800\\\"\"]"),
        T("[\"\\uD800\\uD800\"]"),
        T("[\"\\uD800\\uD800\\uDC00\"]"),
        T("[\"\\uDd1e\\uD834\"]"),
        T("[\"\\uD834\\uDD1E\\uDD1E\"]"),
        T("[\"\\uD800\\uE000\"]"),
        T("[\"\\uD800\\u\"]"),
        T("[\"\\uD800\\u1\"]"),
        T("[\"\\uD800\\u1x\"]"),
        T("{\"\\uD800\":1}"),
        /* Space that is none, and what is not JSON */
        T("\xef\xbb\xbf{}"),
        T("[\xef\xbb\xbf]"),
        T("\xfe\xff"),
        T("\xff\xfe[\0]\0"),
        T("\0[\0]"),
        T("[\v1]"),
        T("[\f]"),
        T("\f[]"),
        T("[\xc2\xa0]"),
        T("[\xe2\x81\xa0]"),
        T("\xe2\x80\xa8[]"),
        T("[\xc3\xa9]"),
        T("\xe5"),
        T("{\"a\":\xff}"),
        T("{\"a\"\xc3\xa9:1}"),
        T("{}\xff"),
        T("/**/1"),
        T("// \n1"),
        T("[/* */]"),
        T("#\n1"),
        T("--"),
        T("<html>"),
        T("GET / HTTP/1.1\r\n"),
        T("\0"),
        T("\x01"),
        T("\x7f"),
        T("\x1b[0m"),
};

/* Sound JSON but for bytes in a string that are no UTF-8. */
static const Case bad_utf8[] = {
        T("[\"\x80\"]"),
        T("[\"\xbf\"]"),
        T("[\"\x81\"]"),
        T("[\"a\x80z\"]"),
        T("[\"\xc0\x80\"]"),
        T("[\"\xc0\xaf\"]"),
        T("[\"\xc1\xbf\"]"),
        T("[\"\xc2\"]"),
        T("[\"\xc2 \"]"),
        T("[\"\xc2\xc2\x80\"]"),
        T("[\"\xc2\x7f\"]"),
        T("[\"\xc2\n\"]"),
        T("[\"\xc2\\n\"]"),
        T("[\"\xe0\x80\x80\"]"),
        T("[\"\xe0\x9f\xbf\"]"),
        T("[\"\xe0\xff\"]"),
        T("[\"\xe2\x82\"]"),
        T("[\"\xe2\x82 \"]"),
        T("[\"\xe2\"]"),
        T("[\"\xed\xa0\x80\"]"),
        T("[\"\xed\xbf\xbf\"]"),
        T("[\"\xed\xa0\xbd\xed\xb8\x80\"]"),
        T("[\"\xf0\x80\x80\x80\"]"),
        T("[\"\xf0\x8f\xbf\xbf\"]"),
        T("[\"\xf0\x90\x80\"]"),
        T("[\"\xf0\x90\x80 \"]"),
        T("[\"\xf0\x90\"]"),
        T("[\"\xf4\x90\x80\x80\"]"),
        T("[\"\xf4\xbf\xbf\xbf\"]"),
        T("[\"\xf5\x80\x80\x80\"]"),
        T("[\"\xf8\x88\x80\x80\x80\"]"),
        T("[\"\xfc\x84\x80\x80\x80\x80\"]"),
        T("[\"\xfc\x80\x80\x80\x80\x80\"]"),
        T("[\"\xfe\"]"),
        T("[\"\xff\"]"),
        T("[\"\xe6\x97\xa5\xd1\x88\xfa\"]"),
        T("{\"\xff\":1}"),
        T("{\"a\":\"\xe5\"}"),
        T("[\"01234567\xff\"]"),
        T("\"\x80\""),
};

/* Every way to cut it says the same. */
static char *transcript_in_every_way(const Case *c)
{
        char *whole, *pieces;

        whole = transcript(&transcript_keys, &transcript_limits, c->text, c->length, c->length, 1);
        for (size_t first = 1; first < c->length; first++)
                for (size_t step = 1; step <= c->length; step += c->length - 1) {
                        pieces = transcript(&transcript_keys, &transcript_limits, c->text,
                                            c->length, first, step);
                        if (strcmp(whole, pieces) != 0)
                                fail_msg("%s\nwhole  %s\npieces %s (%zu, then %zu)", c->text, whole,
                                         pieces, first, step);
                        free(pieces);
                }
        return whole;
}

static bool ends_with(const char *s, const char *end)
{
        size_t n = strlen(s), m = strlen(end);

        return n >= m && strcmp(s + n - m, end) == 0;
}

static void test_accepted(void **state)
{
        const char *space = " \t\r\n";

        for (size_t i = 0; i < ELEMENTSOF(accepted); i++) {
                const Case *c = &accepted[i];
                size_t begin = strspn(c->text, space), end = c->length;
                char *got, expected[64];

                while (strchr(space, c->text[end - 1]))
                        end--;
                got = transcript_in_every_way(c);
                /* One text, exactly where it lies. */
                snprintf(expected, sizeof(expected), "%zu+%zu ", begin, end - begin);
                if (strncmp(got, expected, strlen(expected)) != 0 ||
                    !(ends_with(got, "} end") || ends_with(got, "] end")))
                        fail_msg("accepted[%zu] %s: %s", i, c->text, got);
                free(got);
        }
}

static void check_refused(const Case *cases, size_t n, const char *error, bool may_be_cut)
{
        for (size_t i = 0; i < n; i++) {
                char *got = transcript_in_every_way(&cases[i]);

                if (!strstr(got, error) && !(may_be_cut && ends_with(got, "cut")))
                        fail_msg("%s[%zu] %s: %s", error, i, cases[i].text, got);
                free(got);
        }
}

static void test_bad_syntax(void **state)
{
        check_refused(bad_syntax, ELEMENTSOF(bad_syntax), "bad-syntax@", true);
}

static void test_bad_utf8(void **state)
{
        check_refused(bad_utf8, ELEMENTSOF(bad_utf8), "bad-utf8@", false);
}

/* Each accepted text inside an array, then as a member, and cut short by one byte. */
static void test_accepted_inside(void **state)
{
        char buffer[512];
        int n;

        for (size_t i = 0; i < ELEMENTSOF(accepted); i++) {
                char *got;
                Case c = { .text = buffer };

                n = snprintf(buffer, sizeof(buffer), "[%s,%s]", accepted[i].text, accepted[i].text);
                assert_true(n > 0 && (size_t)n < sizeof(buffer));
                c.length = (size_t)n;
                got = transcript_in_every_way(&c);
                if (!ends_with(got, "] end"))
                        fail_msg("%s: %s", buffer, got);
                free(got);

                c.length--;
                got = transcript_in_every_way(&c);
                if (strcmp(got, "cut") != 0)
                        fail_msg("%s: %s", buffer, got);
                free(got);

                n = snprintf(buffer, sizeof(buffer), "{\"a\":%s}", accepted[i].text);
                c.length = (size_t)n;
                got = transcript_in_every_way(&c);
                if (!ends_with(got, " object{} end") && !strstr(got, "object{ nul} end"))
                        fail_msg("%s: %s", buffer, got);
                free(got);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_accepted),
                cmocka_unit_test(test_bad_syntax),
                cmocka_unit_test(test_bad_utf8),
                cmocka_unit_test(test_accepted_inside),
        };

        assert(ELEMENTSOF(accepted) + ELEMENTSOF(bad_syntax) + ELEMENTSOF(bad_utf8) >= 200);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
