/* SPDX-License-Identifier: MIT */

/* Bytes in JSON, base64, and the names of signals. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/macros.h"
#include "base/signals.h"
#include "base/text.h"
#include "rpc/octets.h"

static const OctetsKeys keys = { "data", "base64" };

static void write_whole(Buffer *json, const char *data, size_t n)
{
        bool text = text_is_utf8(data, n);

        assert_int_equal(octets_write_begin(json, &keys, text), 0);
        assert_int_equal(octets_write_piece(json, text, data, n), 0);
        assert_int_equal(buffer_append(json, "\"", 1), 0);
}

static void assert_written(const char *data, size_t n, const char *expected)
{
        json_object *object = json_object_new_object(), *again;
        Buffer json = BUFFER_NULL, back = BUFFER_NULL;
        const char *key, *problem;

        write_whole(&json, data, n);
        assert_int_equal(json.size, strlen(expected));
        assert_memory_equal(buffer_peek(&json), expected, json.size);
        buffer_done(&json);

        /* The object says the same, and both are read back. */
        assert_int_equal(octets_add(object, &keys, data, n), 0);
        assert_int_equal(octets_read(object, &keys, &back, &key, &problem), 1);
        assert_int_equal(back.size, n);
        if (n > 0)
                assert_memory_equal(buffer_peek(&back), data, n);
        buffer_done(&back);
        json_object_put(object);

        assert_int_equal(buffer_append(&json, "{", 1), 0);
        write_whole(&json, data, n);
        assert_int_equal(buffer_append(&json, "}", 2), 0);
        again = json_tokener_parse(buffer_peek(&json));
        assert_non_null(again);
        assert_int_equal(octets_read(again, &keys, &back, &key, &problem), 1);
        assert_int_equal(back.size, n);
        if (n > 0)
                assert_memory_equal(buffer_peek(&back), data, n);
        json_object_put(again);
        buffer_done(&back);
        buffer_done(&json);
}

static void test_text_is_text(void **state)
{
        assert_written("", 0, "\"data\":\"\"");
        assert_written("a/b", 3, "\"data\":\"a/b\"");
        assert_written("\xc3\xa4\n", 3, "\"data\":\"\xc3\xa4\\n\"");
        assert_written("\"\\\b\f\r\t\x1f\x7f", 8, "\"data\":\"\\\"\\\\\\b\\f\\r\\t\\u001f\x7f\"");
        assert_written("a\0b", 3, "\"data\":\"a\\u0000b\"");
}

static void test_other_bytes_are_base64(void **state)
{
        assert_written("\xff", 1, "\"base64\":\"/w==\"");
        assert_written("ab\x80", 3, "\"base64\":\"YWKA\"");
        assert_written("\xed\xa0\x80", 3, "\"base64\":\"7aCA\"");
}

static void test_large(void **state)
{
        size_t n = 1000003;
        char *data = malloc(n), *expected = malloc(n * 2 + 16);

        /* A line's end each second byte, over many blocks. */
        for (size_t i = 0; i < n; i++)
                data[i] = i % 2 ? '\n' : 'y';
        strcpy(expected, "\"data\":\"");
        for (size_t i = 0, at = strlen(expected); i < n; i++)
                at += (size_t)sprintf(expected + at, "%s", i % 2 ? "\\n" : "y");
        strcat(expected, "\"");
        assert_written(data, n, expected);
        free(data);
        free(expected);
}

static void test_a_cut_character_is_held_back(void **state)
{
        static const char *const characters[] = { "\xc3\xa4",         "\xe2\x82\xac",
                                                  "\xed\x9f\xbf",     "\xe0\xa0\x80",
                                                  "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf" };

        for (size_t i = 0; i < ELEMENTSOF(characters); i++) {
                size_t length = strlen(characters[i]);
                char text[8];

                text[0] = 'x';
                memcpy(text + 1, characters[i], length);
                assert_int_equal(octets_whole(text, 1 + length), 1 + length);
                for (size_t n = 1; n < length; n++) {
                        assert_int_equal(octets_whole(text, 1 + n), 1);
                        assert_int_equal(octets_whole(text + 1, n), 0);
                }
        }
        assert_int_equal(octets_whole("", 0), 0);
}

static void test_what_no_character_begins_with_is_not_held_back(void **state)
{
        static const char *const others[] = {
                "x\xff",     "x\xc0",     "x\xf5",     "x\x80",     "\x80\x80\x80\x80",
                "x\xed\xa0", "x\xe0\x80", "x\xf4\x90", "x\xf0\x8f", "x\xc3\xa4\xa4",
        };

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(octets_whole(others[i], strlen(others[i])), strlen(others[i]));
}

/* Whatever pieces a text comes in, its parts are whole and make up the text. */
static void test_any_cut_of_a_text(void **state)
{
        static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\xf4\x8f\xbf\xbf";
        size_t n = strlen(text);

        for (size_t a = 0; a <= n; a++) {
                size_t first = octets_whole(text, a);

                assert_in_range(a - first, 0, 3);
                assert_true(text_is_utf8(text, first));
                assert_true(text_is_utf8(text + first, n - first));
        }
}

static void test_what_cannot_be_read(void **state)
{
        static const struct {
                const char *json, *key;
                int result;
        } cases[] = {
                { "{}", NULL, 0 },
                { "{\"base64\":\"YWI=\",\"data\":\"\"}", "base64", -EINVAL },
                { "{\"base64\":\"YWI\"}", "base64", -EINVAL },
                { "{\"base64\":\"Y\"}", "base64", -EINVAL },
                { "{\"base64\":\"Y*I=\"}", "base64", -EINVAL },
                { "{\"base64\":\"YWI=YWI=\"}", "base64", -EINVAL },
                { "{\"base64\":\"Y\\nWI=\"}", NULL, 1 },
                { "{\"base64\":\"\"}", NULL, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                json_object *object = json_tokener_parse(cases[i].json);
                const char *key = NULL, *problem = NULL;
                Buffer to = BUFFER_NULL;

                assert_int_equal(octets_read(object, &keys, &to, &key, &problem), cases[i].result);
                if (cases[i].result < 0) {
                        assert_string_equal(key, cases[i].key);
                        assert_non_null(problem);
                        assert_int_equal(to.size, 0);
                }
                buffer_done(&to);
                json_object_put(object);
        }
}

static void test_base64_of_every_length(void **state)
{
        unsigned char data[300];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (unsigned char)(i * 37);
        for (size_t n = 0; n < sizeof(data); n++) {
                Buffer text = BUFFER_NULL, back = BUFFER_NULL;

                assert_int_equal(base64_encode(&text, data, n), 0);
                assert_int_equal(text.size, base64_length(n));
                assert_int_equal(base64_decode(&back, buffer_peek(&text), text.size), 0);
                assert_int_equal(back.size, n);
                if (n > 0)
                        assert_memory_equal(buffer_peek(&back), data, n);
                buffer_done(&text);
                buffer_done(&back);
        }
}

static void test_signals(void **state)
{
        static const struct {
                const char *text;
                int number;
        } cases[] = {
                { "TERM", SIGTERM },    { "SIGTERM", SIGTERM },  { "15", SIGTERM },
                { "SIGUSR1", SIGUSR1 }, { "9", SIGKILL },        { "0", -EINVAL },
                { "SIG", -EINVAL },     { "", -EINVAL },         { "term", -EINVAL },
                { "-1", -EINVAL },      { "1000", -EINVAL },     { "SIGNONE", -EINVAL },
                { "SIG15", -EINVAL },   { "RTMIN+99", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(signal_from_text(cases[i].text), cases[i].number);
        assert_int_equal(signal_from_text("RTMIN+2"), SIGRTMIN + 2);
        assert_int_equal(signal_from_text("SIGRTMIN+0"), SIGRTMIN);
        for (int i = 1; i <= SIGRTMAX; i++) {
                _cleanup_free_ char *text = signal_to_text(i);

                assert_non_null(text);
                /* glibc's own have no name. */
                if (i < 32 || i >= SIGRTMIN)
                        assert_int_equal(signal_from_text(text), i);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_is_text),
                cmocka_unit_test(test_other_bytes_are_base64),
                cmocka_unit_test(test_large),
                cmocka_unit_test(test_a_cut_character_is_held_back),
                cmocka_unit_test(test_what_no_character_begins_with_is_not_held_back),
                cmocka_unit_test(test_any_cut_of_a_text),
                cmocka_unit_test(test_what_cannot_be_read),
                cmocka_unit_test(test_base64_of_every_length),
                cmocka_unit_test(test_signals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
