/* SPDX-License-Identifier: MIT */
#include <ini.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "child.h"
#include "config/quote.h"
#include "config/reader.h"

/* What the reader called, one line a call: "1 [section]", "2 key=value", "3 ! problem". */
typedef struct Record {
        FILE *f;
        unsigned sections;
        unsigned values;
        unsigned errors;
        unsigned last_line;
} Record;

static void record_section(void *userdata, unsigned line, const char *name)
{
        Record *r = userdata;

        fprintf(r->f, "%u [%s]\n", line, name);
        r->sections++;
}

static void record_value(void *userdata, unsigned line, const char *key, const char *value)
{
        Record *r = userdata;

        fprintf(r->f, "%u %s=%s\n", line, key, value);
        r->values++;
}

static void record_error(void *userdata, unsigned line, const char *problem)
{
        Record *r = userdata;

        fprintf(r->f, "%u ! %s\n", line, problem);
        r->errors++;
        r->last_line = line;
}

static const ConfigReaderCalls calls = { record_section, record_value, record_error, NULL };

/* The record of n bytes of text; the caller frees. */
static char *read_bytes(const char *text, size_t n, Record *ret)
{
        Record r = { 0 };
        char *record = NULL;
        size_t size = 0;

        r.f = open_memstream(&record, &size);
        assert_non_null(r.f);
        assert_int_equal(config_reader_run(text, n, &calls, &r), 0);
        assert_int_equal(fclose(r.f), 0);
        r.f = NULL;
        if (ret)
                *ret = r;
        return record;
}

static void expect_record(const char *text, const char *expected)
{
        _cleanup_free_ char *record = read_bytes(text, strlen(text), NULL);

        assert_string_equal(record, expected);
}

/* One error, at that line, whose text has `words` in it; and no value is given. */
static void expect_refusal_bytes(const char *text, size_t n, unsigned line, const char *words)
{
        _cleanup_free_ char *record = NULL;
        Record r;

        record = read_bytes(text, n, &r);
        if (r.errors != 1 || r.last_line != line || !strstr(record, words) || r.values != 0)
                fail_msg("expected one error at line %u with \"%s\", got:\n%s", line, words,
                         record);
}

static void expect_refusal(const char *text, unsigned line, const char *words)
{
        expect_refusal_bytes(text, strlen(text), line, words);
}

/* "begin", then `letter` until it is n bytes long, then "end". */
static char *padded(const char *begin, size_t n, char letter, const char *end)
{
        char *text = malloc(n + strlen(end) + 1);
        size_t begin_n = strlen(begin);

        assert_non_null(text);
        assert_true(begin_n <= n);
        memcpy(text, begin, begin_n);
        memset(text + begin_n, letter, n - begin_n);
        strcpy(text + n, end);
        return text;
}

static void test_sections_and_keys(void **state)
{
        expect_record("", "");
        expect_record("\n\n", "");
        expect_record("[a]", "1 [a]\n");
        expect_record("# c\n[a]\nk=v\nx = y z \n\n[ b  c ]\n[d]\nk =\n",
                      "2 [a]\n3 k=v\n4 x=y z\n6 [b  c]\n7 [d]\n8 k=\n");
        expect_record("[a]\nk = b = c:d\n", "1 [a]\n2 k=b = c:d\n");
        expect_record("[a]\n\tk\n", "1 [a]\n2 ! an indented line continues a value, and there is "
                                    "none above: remove the indentation\n");
}

static void test_line_of_199_bytes_is_read_whole(void **state)
{
        static const char *const ends[] = { "", "\n", "\r\n", "\n[b]\n" };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                _cleanup_free_ char *text = padded("[a]\nk=", 4 + 199, 'x', ends[i]);
                _cleanup_free_ char *value = padded("", 197, 'x', "");
                _cleanup_free_ char *record = read_bytes(text, strlen(text), NULL);
                char expected[300];

                (void)snprintf(expected, sizeof(expected), "1 [a]\n2 k=%s\n%s", value,
                               i == 3 ? "3 [b]\n" : "");
                assert_string_equal(record, expected);
        }
}

static void test_line_of_200_bytes_is_refused(void **state)
{
        static const char *const begins[] = { "[a]\nk=", "[a]\n#", "[a]\n;", "[a]\n[b]", "[a]\n " };
        static const char *const ends[] = { "", "\n", "\r\n" };

        for (size_t i = 0; i < ELEMENTSOF(begins); i++)
                for (size_t j = 0; j < ELEMENTSOF(ends); j++) {
                        _cleanup_free_ char *text = padded(begins[i], 4 + 200, 'x', ends[j]);

                        expect_refusal(text, 2, "the line is 200 bytes long: use at most 199");
                }
}

/* inih would read the rest of a long line as a line of its own. */
static void test_rest_of_a_long_line_is_no_line(void **state)
{
        _cleanup_free_ char *text = padded("[a]\nk=", 4 + 199, 'x', "trust=peers\n");

        expect_refusal(text, 2, "bytes long");
}

static void test_names_of_49_bytes(void **state)
{
        _cleanup_free_ char *section = padded("[", 50, 's', "]\n");
        _cleanup_free_ char *key = padded("[a]\n", 4 + 49, 'k', "=v\n");
        _cleanup_free_ char *record = NULL;
        Record r;

        record = read_bytes(section, strlen(section), &r);
        assert_int_equal(r.sections, 1);
        assert_int_equal(r.errors, 0);
        assert_int_equal(strspn(record + strlen("1 ["), "s"), 49);
        free(record);
        record = read_bytes(key, strlen(key), &r);
        assert_int_equal(r.values, 1);
        assert_int_equal(r.errors, 0);
        assert_int_equal(strspn(record + strlen("1 [a]\n2 "), "k"), 49);
}

static void test_names_of_50_bytes_are_refused(void **state)
{
        _cleanup_free_ char *section = padded("[", 51, 's', "]\n");
        _cleanup_free_ char *key = padded("[a]\n", 4 + 50, 'k', " = v\n");

        expect_refusal(section, 1, "the section's name is 50 bytes long: use at most 49");
        expect_refusal(key, 2, "the key's name is 50 bytes long: use at most 49");
}

static void test_text_after_bracket(void **state)
{
        expect_record("[a] \n[b] ; comment ] [\n[c];comment\n", "1 [a]\n2 [b]\n3 [c]\n");
        expect_refusal("[a] b\n", 1, "text after the closing bracket");
        expect_refusal("[a]b\n", 1, "text after the closing bracket");
        expect_refusal("[a]]\n", 1, "text after the closing bracket");
        expect_refusal("[a] # no comment\n", 1, "text after the closing bracket");
        expect_refusal("[a] k = v\n", 1, "text after the closing bracket");
}

static void test_bad_headers(void **state)
{
        expect_refusal("[]\n", 1, "no name");
        expect_refusal("[ \t ]\n", 1, "no name");
        expect_refusal("[a\n", 1, "no closing bracket");
        expect_refusal("[\n", 1, "no closing bracket");
        /* inih sees a comment here, and the bracket in it. */
        expect_refusal("[a ; b]\n", 1, "no closing bracket");
        expect_record("[a;b]\n", "1 [a;b]\n");
        /* Nobody knows whose keys these are; their own errors are still told. */
        expect_record("[a]\n[b\nk = v\n  w\nx : y\n[c]\nk = v\n",
                      "1 [a]\n"
                      "2 ! the section's name has no closing bracket: write [name]\n"
                      "5 ! ':' does not separate a key from its value: write 'key = value'\n"
                      "6 [c]\n7 k=v\n");
}

static void test_colon_is_no_separator(void **state)
{
        expect_refusal("[a]\nk: v\n", 2, "':' does not separate");
        expect_refusal("[a]\nk:v = w\n", 2, "':' does not separate");
        expect_refusal("[a]\naddress unix:/x\n", 2, "':' does not separate");
        expect_record("[a]\nk = unix:/x\n", "1 [a]\n2 k=unix:/x\n");
}

static void test_line_without_equals_sign(void **state)
{
        expect_refusal("[a]\nkey\n", 2, "there is no '='");
        expect_refusal("[a]\nkey ; = v\n", 2, "there is no '='");
        expect_refusal("[a]\n = v\n", 2, "may not hold '='");
        expect_refusal("[a]\n=v\n", 2, "there is no key before '='");
}

static void test_indented_lines_that_look_like_more(void **state)
{
        expect_record("[a]\nk = v\n  x = y\n",
                      "1 [a]\n3 ! an indented line continues the value above and may not hold "
                      "'=': remove the indentation if this is a key (within double quotes, '=' "
                      "can be written \\x3d)\n2 k=v\n");
        expect_record("[a]\nk = v\n\t[b]\n",
                      "1 [a]\n3 ! an indented line continues the value above and may not begin "
                      "with '[': remove the indentation if this is a section\n2 k=v\n");
        expect_refusal("  [a]\n", 1, "may not begin with '['");
        expect_refusal("[a]\n  k = v\n", 2, "may not hold '='");
        expect_record("[a]\nk = v\n  x ; = y\n", "1 [a]\n2 k=v x\n");
}

static void test_before_any_section(void **state)
{
        expect_refusal("k = v\n", 1, "the key 'k' stands before any section");
        expect_refusal("k = v\n  w\n[a]\n", 1, "before any section");
        expect_refusal("  w\n", 1, "there is none above");
}

static void test_continuation(void **state)
{
        expect_record("[a]\nk = v\n w\n\tx y\nl = 1\n 2\n", "1 [a]\n2 k=v w x y\n5 l=1 2\n");
        expect_record("[a]\nk =\n  v\n  w", "1 [a]\n2 k=v w\n");
        expect_record("[a]\nk = v,   \n      w  ,\n  x:y\n", "1 [a]\n2 k=v, w  , x:y\n");
        expect_record("[a]\r\nk = v\r\n w\r\n", "1 [a]\n2 k=v w\n");
}

/* A list with entries commented out, or set apart, stays one list. */
static void test_continuation_over_comments_and_blank_lines(void **state)
{
        expect_record("[a]\nk = v\n# c\n  ; c = d\n  # [x]\n\n   \n w ; c\n", "1 [a]\n2 k=v w\n");
        expect_record("[a]\nk = v\n[b]\n# c\n", "1 [a]\n2 k=v\n3 [b]\n");
        expect_refusal("[a]\n[b]\n w\n", 3, "there is none above");
}

static void test_value_passes_199_bytes_by_continuation(void **state)
{
        _cleanup_free_ char *text = NULL, *record = NULL;
        size_t size = 0;
        FILE *f;
        Record r;

        f = open_memstream(&text, &size);
        assert_non_null(f);
        fputs("[a]\nk = 0", f);
        for (unsigned i = 1; i < 1000; i++)
                fprintf(f, "\n %u", i);
        assert_int_equal(fclose(f), 0);
        record = read_bytes(text, size, &r);
        assert_int_equal(r.values, 1);
        assert_int_equal(r.errors, 0);
        assert_non_null(strstr(record, "\n2 k=0 1 2 3 "));
        assert_non_null(strstr(record, " 998 999\n"));
        assert_int_equal(strlen(record), strlen("1 [a]\n2 k=") + 10 + 180 + 2700 + 999 + 1);
}

static void test_comments(void **state)
{
        expect_record("; c\n# c\n[a]\nk = v ; c\nl = v;w\nm =;x\nn = ;x\no = v # w\np = v\t;c\n",
                      "3 [a]\n4 k=v\n5 l=v;w\n6 m=;x\n7 n=\n8 o=v # w\n9 p=v\n");
}

static void test_bytes(void **state)
{
        static const char nul[] = "[a]\nk = v\0w\n";
        static const char controls[] = "\x01\x08\x0b\x0c\x0e\x1f\x7f";

        expect_refusal_bytes(nul, sizeof(nul) - 1, 2, "NUL byte");
        expect_refusal_bytes("\0", 1, 1, "NUL byte");
        expect_refusal("[a]\nk = \xff\n", 2, "not valid UTF-8");
        expect_refusal("[a]\nk = \xc0\xaf\n", 2, "not valid UTF-8");
        expect_refusal("[a]\nk = \xed\xa0\x80\n", 2, "not valid UTF-8");
        expect_refusal("# \xc3\n", 1, "not valid UTF-8");
        expect_refusal("[a]\nk = v\rw\n", 2, "control character (0x0d)");
        for (const char *c = controls; *c; c++) {
                char text[32];

                (void)snprintf(text, sizeof(text), "[a]\nk = v%cw\n", *c);
                expect_refusal(text, 2, "control character");
        }
        expect_record("[\xc3\xa9]\nk = \xe2\x82\xac\n", "1 [\xc3\xa9]\n2 k=\xe2\x82\xac\n");
}

static void test_line_ends_and_byte_order_mark(void **state)
{
        expect_record("\xef\xbb\xbf[a]\r\nk = v\r\n\r\nl = w\r", "1 [a]\n2 k=v\n4 l=w\n");
        expect_record("\xef\xbb\xbf", "");
        expect_refusal("\n\xef\xbb\xbf[a]\n", 2, "there is no '='");
        expect_refusal("[a]\nk = v\r\r\n", 2, "control character (0x0d)");
}

static void test_quotes(void **state)
{
        expect_record("[a]\nk = \"  v  \"\nl = \"\"\nm = \"a\"  ; c\n",
                      "1 [a]\n2 k=  v  \n3 l=\n4 m=a\n");
        expect_record("[a]\nk = \"a\\n\\t\\\\\\\"\\x41\\101\\1b\\x20\\x3b;\\'\\?\\a\"\n",
                      "1 [a]\n2 k=a\n\t\\\"AA\1b ;;'?\a\n");
        expect_record("[a]\nk = \"\\xc3\\xa9\"\n", "1 [a]\n2 k=\xc3\xa9\n");
        /* Only a value that begins with one is quoted. */
        expect_record("[a]\nk = a \"b\" \\n\n", "1 [a]\n2 k=a \"b\" \\n\n");
        expect_record("[a]\nk = \"a\n   b  c \n d\"\n", "1 [a]\n2 k=a b  c d\n");
        expect_record("[a]\nk = \"a\\\n   b\\\\\n c\"\n", "1 [a]\n2 k=ab\\ c\n");
}

static void test_broken_quotes(void **state)
{
        expect_refusal("[a]\nk = \"a\n", 2, "does not end with one");
        expect_refusal("[a]\nk = \"\n", 2, "does not end with one");
        expect_refusal("[a]\nk = \"a\\\"\n", 2, "does not end with one");
        /* What follows " ;" is a comment, also within quotes. */
        expect_refusal("[a]\nk = \"a ; b\"\n", 2, "\\x20\\x3b");
        expect_refusal("[a]\nk = \"a\" b\n", 2, "text after the closing double quote");
        expect_refusal("[a]\nk = \"a\"\n \"b\"\n", 2, "text after the closing double quote");
        expect_refusal("[a]\nk = \"\\q\"\n", 2, "'\\q\"' is no escape");
        expect_refusal("[a]\nk = \"\\ \"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\x4\"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\xg0\"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\x00\"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\0\"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\777\"\n", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\", 2, "is no escape");
        expect_refusal("[a]\nk = \"\\xff\"\n", 2, "invalid UTF-8");
}

static void test_every_error_is_told(void **state)
{
        _cleanup_free_ char *record = NULL;
        static const char text[] = "k = v\n[a] x\n[b]\nno\na : b\n=\nk = \"x\nl = 1\n  m = 2\n"
                                   "  [c]\nn = \"\\q\"\n";
        Record r;

        record = read_bytes(text, strlen(text), &r);
        assert_int_equal(r.errors, 9);
        assert_int_equal(r.sections, 1);
        assert_non_null(strstr(record, "8 l=1\n"));
        for (const char *const *p = (const char *const[]){ "1 !", "2 !", "4 !", "5 !", "6 !", "7 !",
                                                           "9 !", "10 !", "11 !", NULL };
             *p; p++)
                assert_non_null(strstr(record, *p));
}

/* A refused line's continuations are nobody's, and no errors of their own. */
static void test_continuation_of_a_refused_line(void **state)
{
        expect_refusal("[a]\nk : v\n  w\n  x\n", 2, "':' does not separate");
        expect_refusal("[a]\nkey\n  w\n", 2, "there is no '='");
        expect_refusal("[a]\nk = \xff\n  w\n", 2, "not valid UTF-8");
}

static int collect_plainly(void *userdata, const char *section, const char *name, const char *value)
{
        fprintf(userdata, "%s.%s=%s\n", section, name, value);
        return 1;
}

typedef struct Plain {
        FILE *f;
        char section[64];
} Plain;

static void plain_section(void *userdata, unsigned line, const char *name)
{
        Plain *p = userdata;

        (void)snprintf(p->section, sizeof(p->section), "%s", name);
}

static void plain_value(void *userdata, unsigned line, const char *key, const char *value)
{
        Plain *p = userdata;

        fprintf(p->f, "%s.%s=%s\n", p->section, key, value);
}

static void plain_error(void *userdata, unsigned line, const char *problem)
{
        fail_msg("line %u: %s", line, problem);
}

/* Where nothing is refused, quoted or continued, the meaning is inih's own. */
static void test_same_as_inih_alone(void **state)
{
        static const char sound[] = "; c\n# d\n[one]\na=1\nb = 2 ; c\nc  =  x;y  \nd=\ne = f = g\n"
                                    "[two three] ; c\nh = i:j # k\n\n[one]\nl =;m\n";
        static const ConfigReaderCalls plain = { plain_section, plain_value, plain_error, NULL };
        _cleanup_free_ char *theirs = NULL, *ours = NULL;
        size_t theirs_n = 0, ours_n = 0;
        Plain p = { 0 };
        FILE *f;

        f = open_memstream(&theirs, &theirs_n);
        assert_int_equal(ini_parse_string(sound, collect_plainly, f), 0);
        assert_int_equal(fclose(f), 0);

        p.f = open_memstream(&ours, &ours_n);
        assert_int_equal(config_reader_run(sound, strlen(sound), &plain, &p), 0);
        assert_int_equal(fclose(p.f), 0);
        assert_string_equal(ours, theirs);
}

/*
 * Debian's inih has its build flags as variables, so that other distros' builds can be tried
 * here: each reads the same, or refuses the line that it would read otherwise.
 */
#pragma weak ini_allow_bom
#pragma weak ini_allow_inline_comments
#pragma weak ini_allow_multiline
#pragma weak ini_allow_no_value
#pragma weak ini_inline_comment_prefixes
#pragma weak ini_max_line
#pragma weak ini_start_comment_prefixes
#pragma weak ini_stop_on_first_error

static void test_other_builds_of_inih(void **state)
{
        static const char text[] = "\xef\xbb\xbf; c\n[a] ; c\nk = v ; c\nl = 1;\n# c\n[b]\n";
        static const char meaning[] = "2 [a]\n3 k=v\n4 l=1;\n6 [b]\n";
        static bool *const flags[] = { &ini_allow_bom, &ini_allow_inline_comments,
                                       &ini_allow_multiline, &ini_allow_no_value,
                                       &ini_stop_on_first_error };
        static char none[] = "", hash[] = "#";
        _cleanup_free_ char *long_line = padded("[a]\nk=", 4 + 150, 'x', "\n");
        char *prefixes;
        int max_line;

        if (!&ini_allow_multiline)
                cannot_run("this inih has its flags built in");
        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                *flags[i] = !*flags[i];
                expect_record(text, meaning);
                *flags[i] = !*flags[i];
        }
        prefixes = ini_start_comment_prefixes;
        ini_start_comment_prefixes = none;
        expect_record(text, meaning);
        ini_start_comment_prefixes = prefixes;

        /* "a # b" would lose its second half. */
        prefixes = ini_inline_comment_prefixes;
        ini_inline_comment_prefixes = hash;
        expect_record(text, meaning);
        expect_refusal("[a]\nk = a # b\n", 2, "this system's inih library");
        ini_inline_comment_prefixes = prefixes;

        ini_allow_multiline = false;
        expect_refusal("[a]\nk = v\n  w\n[b]\n", 3, "this system's inih library");
        ini_allow_multiline = true;

        max_line = ini_max_line;
        ini_max_line = 100;
        expect_refusal(long_line, 2, "this system's inih library");
        ini_max_line = max_line;
}

/* Cut anywhere, a file is read to its end, without a line that is not there. */
static void test_cut_at_every_byte(void **state)
{
        static const char text[] =
                "\xef\xbb\xbf# c\r\n[port 1000]\nk = \"a\\x20\\\n  b\\\" c\" ; d\n"
                "[x] ; y\n\xe2\x82\xac = v\n\n  w\nz : q\n";

        for (size_t n = 0; n <= strlen(text); n++) {
                /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
                _cleanup_free_ char *copy = malloc(n + (n == 0));
                _cleanup_free_ char *record = NULL;
                Record r;

                assert_non_null(copy);
                memcpy(copy, text, n);
                record = read_bytes(copy, n, &r);
                assert_true(r.last_line <= 9);
                assert_true(r.values <= 2);
        }
}

/* What quote_print() wrote, the reader reads. */
static void expect_round_trip(const char *value)
{
        _cleanup_free_ char *text = NULL, *record = NULL, *expected = NULL;
        size_t size = 0;
        Record r;
        FILE *f;

        f = open_memstream(&text, &size);
        assert_non_null(f);
        fputs("[a]\n", f);
        quote_print(f, "description", value);
        fputs("[b]\n", f);
        assert_int_equal(fclose(f), 0);

        record = read_bytes(text, size, &r);
        assert_int_equal(r.errors, 0);
        assert_int_equal(r.values, 1);
        assert_true(asprintf(&expected, "1 [a]\n2 description=%s\n", value) > 0);
        if (strncmp(record, expected, strlen(expected)) != 0)
                fail_msg("wrote:\n%s\nread:\n%s", text, record);
}

static void test_print_reads_back(void **state)
{
        static const char *const values[] = {
                "",    "a",    "a b",   "a  b",    " a",       "a ",       "\"",
                "\"a", "a\"b", "a ; b", ";a",      "#a",       "[a]",      "a = b",
                "=",   "\\",   "\\x20", "a\nb\tc", "\x7f\x01", "\xc3\xa9", "   ",
                "'",   "a ;",  "a #b",  "a\\",     "a\\ b",    "?\?=",     " \" ; \\ \t",
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                expect_round_trip(values[i]);
                /* At every column, so that the end of a line falls on each of its bytes. */
                for (size_t n = 60; n < 240; n++) {
                        _cleanup_free_ char *words = padded("", n, 'w', values[i]);
                        _cleanup_free_ char *spaced = NULL;

                        expect_round_trip(words);
                        assert_true(asprintf(&spaced, "%s %s %s = x", values[i], words, values[i]) >
                                    0);
                        expect_round_trip(spaced);
                }
        }
        for (size_t n = 1; n < 500; n++) {
                static const char letters[] = "\" ; \xc3\xa9= [\\ ]#\n";
                _cleanup_free_ char *spaces = padded("", n, ' ', "");
                _cleanup_free_ char *mixed = malloc(n + 8);

                expect_round_trip(spaces);
                assert_non_null(mixed);
                for (size_t i = 0; i < n; i++)
                        mixed[i] = letters[i % (sizeof(letters) - 1)];
                /* Never half of the two bytes of a letter. */
                mixed[n] = '\0';
                if ((unsigned char)mixed[n - 1] == 0xc3)
                        mixed[n - 1] = '.';
                expect_round_trip(mixed);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sections_and_keys),
                cmocka_unit_test(test_line_of_199_bytes_is_read_whole),
                cmocka_unit_test(test_line_of_200_bytes_is_refused),
                cmocka_unit_test(test_rest_of_a_long_line_is_no_line),
                cmocka_unit_test(test_names_of_49_bytes),
                cmocka_unit_test(test_names_of_50_bytes_are_refused),
                cmocka_unit_test(test_text_after_bracket),
                cmocka_unit_test(test_bad_headers),
                cmocka_unit_test(test_colon_is_no_separator),
                cmocka_unit_test(test_line_without_equals_sign),
                cmocka_unit_test(test_indented_lines_that_look_like_more),
                cmocka_unit_test(test_before_any_section),
                cmocka_unit_test(test_continuation),
                cmocka_unit_test(test_continuation_over_comments_and_blank_lines),
                cmocka_unit_test(test_value_passes_199_bytes_by_continuation),
                cmocka_unit_test(test_comments),
                cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_line_ends_and_byte_order_mark),
                cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_broken_quotes),
                cmocka_unit_test(test_every_error_is_told),
                cmocka_unit_test(test_continuation_of_a_refused_line),
                cmocka_unit_test(test_same_as_inih_alone),
                cmocka_unit_test(test_other_builds_of_inih),
                cmocka_unit_test(test_cut_at_every_byte),
                cmocka_unit_test(test_print_reads_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
