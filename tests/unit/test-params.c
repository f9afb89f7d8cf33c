/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/params.h"

static const Field file_fields[] = {
        { "path", FIELD_STRING, 0, "Where it lies" },
        { "size", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, "Bytes" },
        { 0 },
};

static const Field fields[] = {
        { "name", FIELD_STRING, 0, "A name" },
        { "count", FIELD_INTEGER, FIELD_OPTIONAL, "How many" },
        { "ratio", FIELD_NUMBER, FIELD_OPTIONAL, "How much" },
        { "force", FIELD_BOOLEAN, FIELD_OPTIONAL, NULL },
        { "words", FIELD_ARRAY, FIELD_OPTIONAL, "Any values" },
        { "env", FIELD_OBJECT, FIELD_OPTIONAL, "Any members" },
        { "id", FIELD_ANY, FIELD_OPTIONAL, "Any value" },
        { "comment", FIELD_STRING, FIELD_OPTIONAL | FIELD_NULLABLE, "May be null" },
        { "files", FIELD_ARRAY, FIELD_OPTIONAL, "Files", file_fields },
        { "file", FIELD_OBJECT, FIELD_OPTIONAL, "A file", file_fields },
        { 0 },
};

static json_object *parse(const char *text)
{
        enum json_tokener_error error;
        json_object *o = json_tokener_parse_verbose(text, &error);

        assert_int_equal(error, json_tokener_success);
        return o;
}

/* problem NULL: it fits. */
static void check(const Field *table, const char *text, const char *problem)
{
        json_object *params = parse(text);
        char *got = NULL;
        int r;

        r = params_check(table, params, &got);
        json_object_put(params);
        if (!problem) {
                if (r != 0 || got)
                        fail_msg("%s: %d, %s", text, r, got ? got : "-");
                return;
        }
        assert_int_equal(r, -EINVAL);
        assert_non_null(got);
        assert_string_equal(got, problem);
        free(got);
}

static void test_fits(void **state)
{
        check(fields, "{\"name\":\"\"}", NULL);
        check(fields,
              "{\"name\":\"n\",\"count\":-5,\"ratio\":1,\"force\":false,\"words\":[1,null,{}],"
              "\"env\":{\"a\":1},\"id\":null,\"comment\":null,"
              "\"files\":[{\"path\":\"/\"},{\"path\":\"/"
              "\",\"size\":null}],\"file\":{\"path\":\"\"}}",
              NULL);
        check(fields, "{\"name\":\"n\",\"ratio\":1.5,\"id\":[],\"comment\":\"c\",\"files\":[]}",
              NULL);
        check(fields, "{\"name\":\"n\",\"count\":18446744073709551615}", NULL);
        check(fields, "{\"name\":\"n\",\"count\":-9223372036854775808}", NULL);
}

static void test_unknown(void **state)
{
        static const Field two[] = { { "a", FIELD_ANY, FIELD_OPTIONAL },
                                     { "b", FIELD_ANY, FIELD_OPTIONAL },
                                     { 0 } };

        check(two, "{\"foo\":1}", "unknown parameter `foo`; known are: a, b");
        check(two, "{\"a\":1,\"A\":1}", "unknown parameter `A`; known are: a, b");
        check(two, "{\"\":1}", "unknown parameter ``; known are: a, b");
        check(NULL, "{\"foo\":1}", "unknown parameter `foo`; none are taken");
        /* A name is a stranger's bytes. */
        check(two, "{\"x\\n\\u001b[0m\":1}", "unknown parameter `x\\x0a\\x1b[0m`; known are: a, b");
        check(two, "{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1}",
              "unknown parameter `0123456789012345678901234567890123456789012345678901234567890123"
              "...`; known are: a, b");
}

static void test_missing(void **state)
{
        char *problem = NULL;

        check(fields, "{}", "parameter `name` is missing: it must be a string");
        check(fields, "{\"count\":1}", "parameter `name` is missing: it must be a string");
        assert_int_equal(params_check(fields, NULL, &problem), -EINVAL);
        assert_string_equal(problem, "parameter `name` is missing: it must be a string");
        free(problem);
}

static void test_none(void **state)
{
        char *problem = NULL;

        assert_int_equal(params_check(NULL, NULL, &problem), 0);
        assert_null(problem);
        check(NULL, "{}", NULL);
}

static void test_types(void **state)
{
        check(fields, "{\"name\":5}", "parameter `name` must be a string, not an integer");
        check(fields, "{\"name\":null}", "parameter `name` must be a string, not null");
        check(fields, "{\"name\":\"n\",\"count\":\"5\"}",
              "parameter `count` must be an integer, not a string");
        check(fields, "{\"name\":\"n\",\"count\":5.0}",
              "parameter `count` must be an integer, not a number with a fraction or an exponent");
        check(fields, "{\"name\":\"n\",\"count\":1e2}",
              "parameter `count` must be an integer, not a number with a fraction or an exponent");
        check(fields, "{\"name\":\"n\",\"count\":true}",
              "parameter `count` must be an integer, not a boolean");
        check(fields, "{\"name\":\"n\",\"ratio\":\"1\"}",
              "parameter `ratio` must be a number, not a string");
        check(fields, "{\"name\":\"n\",\"force\":1}",
              "parameter `force` must be true or false, not an integer");
        check(fields, "{\"name\":\"n\",\"force\":null}",
              "parameter `force` must be true or false, not null");
        check(fields, "{\"name\":\"n\",\"words\":{}}",
              "parameter `words` must be an array, not an object");
        check(fields, "{\"name\":\"n\",\"env\":[]}",
              "parameter `env` must be an object, not an array");
        check(fields, "{\"name\":\"n\",\"comment\":1}",
              "parameter `comment` must be a string or null, not an integer");
}

static void test_nul_in_string(void **state)
{
        check(fields, "{\"name\":\"a\\u0000b\"}",
              "parameter `name` must not contain a NUL character");
        check(fields, "{\"name\":\"\\u0000\"}",
              "parameter `name` must not contain a NUL character");
        /* Where any value goes, any string does. */
        check(fields, "{\"name\":\"a\",\"id\":\"\\u0000\"}", NULL);
}

static void test_inside(void **state)
{
        check(fields, "{\"name\":\"n\",\"file\":{}}",
              "parameter `file.path` is missing: it must be a string");
        check(fields, "{\"name\":\"n\",\"file\":{\"path\":\"p\",\"size\":\"1\"}}",
              "parameter `file.size` must be an integer or null, not a string");
        check(fields, "{\"name\":\"n\",\"file\":{\"path\":\"p\",\"mode\":1}}",
              "unknown parameter `file.mode`; known are: path, size");
        check(fields, "{\"name\":\"n\",\"files\":[{\"path\":\"p\"},{\"path\":1}]}",
              "parameter `files[1].path` must be a string, not an integer");
        check(fields, "{\"name\":\"n\",\"files\":[{\"path\":\"p\"},7]}",
              "parameter `files[1]` must be an object, not an integer");
        check(fields, "{\"name\":\"n\",\"files\":[null]}",
              "parameter `files[0]` must be an object, not null");
}

static void test_by_position(void **state)
{
        check(fields, "[]", "parameters are given by name, in an object, not an array");
        check(NULL, "[1]", "parameters are given by name, in an object, not an array");
        check(NULL, "\"x\"", "parameters are given by name, in an object, not a string");
}

static void check_schema(json_object *got, const char *expected)
{
        json_object *wanted = parse(expected);

        assert_non_null(got);
        if (!json_object_equal(got, wanted))
                fail_msg("%s\nis not %s", json_object_to_json_string(got), expected);
        json_object_put(got);
        json_object_put(wanted);
}

static void test_schema(void **state)
{
        check_schema(field_to_schema(&fields[0]),
                     "{\"type\":\"string\",\"description\":\"A name\"}");
        check_schema(field_to_schema(&fields[3]), "{\"type\":\"boolean\"}");
        check_schema(field_to_schema(&fields[4]),
                     "{\"type\":\"array\",\"description\":\"Any values\"}");
        check_schema(field_to_schema(&fields[6]), "{\"description\":\"Any value\"}");
        check_schema(field_to_schema(&fields[7]),
                     "{\"type\":[\"string\",\"null\"],\"description\":\"May be null\"}");
        check_schema(fields_to_schema(file_fields),
                     "{\"type\":\"object\",\"properties\":{"
                     "\"path\":{\"type\":\"string\",\"description\":\"Where it lies\"},"
                     "\"size\":{\"type\":[\"integer\",\"null\"],\"description\":\"Bytes\"}},"
                     "\"required\":[\"path\"]}");
        check_schema(fields_to_schema(NULL), "{\"type\":\"object\",\"properties\":{}}");
        check_schema(
                field_to_schema(&fields[8]),
                "{\"type\":\"array\",\"description\":\"Files\",\"items\":{\"type\":\"object\","
                "\"properties\":{\"path\":{\"type\":\"string\",\"description\":\"Where it lies\"},"
                "\"size\":{\"type\":[\"integer\",\"null\"],\"description\":\"Bytes\"}},"
                "\"required\":[\"path\"]}}");
        check_schema(field_to_schema(&fields[9]),
                     "{\"type\":\"object\",\"description\":\"A file\",\"properties\":{"
                     "\"path\":{\"type\":\"string\",\"description\":\"Where it lies\"},"
                     "\"size\":{\"type\":[\"integer\",\"null\"],\"description\":\"Bytes\"}},"
                     "\"required\":[\"path\"]}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fits),    cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_missing), cmocka_unit_test(test_none),
                cmocka_unit_test(test_types),   cmocka_unit_test(test_nul_in_string),
                cmocka_unit_test(test_inside),  cmocka_unit_test(test_by_position),
                cmocka_unit_test(test_schema),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
