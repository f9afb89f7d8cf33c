/* SPDX-License-Identifier: MIT */
#include "methods/members.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */
#define UTF8_MAX 4U

void members_init(Members *m)
{
        m->object = json_object_new_object();
        m->failed = !m->object;
}

/* A NULL value is JSON's null here, as json-c has it. */
static void members_put(Members *m, const char *key, json_object *value, unsigned flags)
{
        if (m->failed || json_object_object_add_ex(m->object, key, value, flags) < 0) {
                json_object_put(value);
                m->failed = true;
        }
}

void members_add_null(Members *m, const char *key)
{
        members_put(m, key, NULL, JSON_C_OBJECT_ADD_CONSTANT_KEY);
}

void members_add_value(Members *m, const char *key, json_object *value)
{
        if (value)
                members_put(m, key, value, JSON_C_OBJECT_ADD_CONSTANT_KEY);
        else
                m->failed = true;
}

void members_add_value_named(Members *m, const char *key, json_object *value)
{
        if (value)
                members_put(m, key, value, 0);
        else
                m->failed = true;
}

void members_add_boolean(Members *m, const char *key, bool value)
{
        members_add_value(m, key, json_object_new_boolean(value));
}

void members_add_unsigned(Members *m, const char *key, uint64_t value)
{
        members_add_value(m, key, json_object_new_uint64(value));
}

void members_add_text(Members *m, const char *key, const char *text)
{
        if (text)
                members_add_value(m, key, members_text(text, strlen(text)));
        else
                members_add_null(m, key);
}

void members_add_members(Members *m, const char *key, Members *value)
{
        members_add_value(m, key, members_take(value));
}

json_object *members_take(Members *m)
{
        if (m->failed)
                members_done(m);
        return TAKE_PTR(m->object);
}

void members_done(Members *m)
{
        json_object_put(TAKE_PTR(m->object));
}

/* Length of the valid UTF-8 sequence that data begins with, or 0. */
static size_t utf8_sequence(const char *data, size_t n)
{
        for (size_t length = 1; length <= UTF8_MAX && length <= n; length++)
                if (text_is_utf8(data, length))
                        return length;
        return 0;
}

json_object *members_text(const char *data, size_t n)
{
        Buffer b = BUFFER_NULL;
        json_object *o = NULL;
        int r = 0;

        if (n > INT_MAX / strlen(REPLACEMENT))
                return NULL;
        if (text_is_utf8(data, n))
                return json_object_new_string_len(data, (int)n);
        for (size_t i = 0; i < n && r >= 0;) {
                size_t length = utf8_sequence(data + i, n - i);

                r = length > 0 ? buffer_append(&b, data + i, length)
                               : buffer_append(&b, REPLACEMENT, strlen(REPLACEMENT));
                i += MAX_OF(length, (size_t)1);
        }
        if (r >= 0)
                o = json_object_new_string_len(buffer_peek(&b), (int)b.size);
        buffer_done(&b);
        return o;
}

int members_array_take(json_object *array, json_object *value)
{
        if (value && array && json_object_array_add(array, value) == 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}
