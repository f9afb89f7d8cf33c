/* SPDX-License-Identifier: MIT */
#include "methods/file-params.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"

/* uid_t and gid_t but for the one that means "none". */
#define ID_MAX (UINT32_MAX - 1)

/* What a parameter must be, beyond its type. False: the call has ended with -32602. */
typedef bool (*FileCheck)(Call *call, const char *name, json_object *value);

/* A member of what is passed to a check: of which name, and which check it is. */
typedef struct FileParam FileParam;

struct FileParam {
        const char *name;
        FileCheck check;
};

static bool decode(Call *call, const char *name, json_object *value, Buffer *ret)
{
        int r;

        r = base64_decode(ret, json_object_get_string(value),
                          (size_t)json_object_get_string_len(value));
        if (r >= 0)
                return true;
        buffer_done(ret);
        if (r == -ENOMEM)
                call_reply(call, NULL);
        else
                call_fail_params(call, "parameter `%s` must be base64", name);
        return false;
}

static bool check_path_bytes(Call *call, const char *name, const char *data, size_t n)
{
        if (n == 0 || data[0] != '/') {
                call_fail_params(call, "parameter `%s` must be an absolute path", name);
                return false;
        }
        if (memchr(data, '\0', n)) {
                call_fail_params(call, "parameter `%s` must not contain a NUL character", name);
                return false;
        }
        return true;
}

static bool check_path(Call *call, const char *name, json_object *value)
{
        return check_path_bytes(call, name, json_object_get_string(value),
                                (size_t)json_object_get_string_len(value));
}

static bool check_path_base64(Call *call, const char *name, json_object *value)
{
        Buffer bytes = BUFFER_NULL;
        bool ok;

        if (!decode(call, name, value, &bytes))
                return false;
        ok = check_path_bytes(call, name, buffer_peek(&bytes), bytes.size);
        buffer_done(&bytes);
        return ok;
}

static bool check_base64(Call *call, const char *name, json_object *value)
{
        Buffer bytes = BUFFER_NULL;
        bool ok = decode(call, name, value, &bytes);

        buffer_done(&bytes);
        return ok;
}

/* A position in a file, or a number of its bytes: an off_t. */
static bool check_size(Call *call, const char *name, json_object *value)
{
        if (json_object_get_int64(value) >= 0 && json_object_get_uint64(value) <= INT64_MAX)
                return true;
        call_fail_params(call, "parameter `%s` must be from 0 to %lld", name, (long long)INT64_MAX);
        return false;
}

static bool check_limit(Call *call, const char *name, json_object *value)
{
        if (json_object_get_int64(value) >= 1)
                return true;
        call_fail_params(call, "parameter `%s` must be 1 or more", name);
        return false;
}

static bool check_mode(Call *call, const char *name, json_object *value)
{
        unsigned mode;

        if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
            json_object_get_int64(value) <= 07777)
                return true;
        if (json_object_is_type(value, json_type_string) &&
            text_to_mode(json_object_get_string(value), &mode) >= 0)
                return true;
        call_fail_params(call,
                         "parameter `%s` must be octal digits, such as \"0644\", or an "
                         "integer from 0 to 4095",
                         name);
        return false;
}

static bool check_id(Call *call, const char *name, json_object *value)
{
        if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
            json_object_get_int64(value) <= (int64_t)ID_MAX)
                return true;
        if (json_object_is_type(value, json_type_string) && json_object_get_string_len(value) > 0 &&
            !memchr(json_object_get_string(value), '\0', (size_t)json_object_get_string_len(value)))
                return true;
        call_fail_params(call, "parameter `%s` must be a name, or an integer from 0 to %lu", name,
                         (unsigned long)ID_MAX);
        return false;
}

static bool check_user(Call *call, const char *name, json_object *value)
{
        if (json_object_get_string_len(value) > 0)
                return true;
        call_fail_params(call, "parameter `%s` must not be empty", name);
        return false;
}

static bool check_hash(Call *call, const char *name, json_object *value)
{
        const char *text = json_object_get_string(value);

        if (strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32)
                return true;
        call_fail_params(call,
                         "parameter `%s` must be an XXH3-128: 32 hexadecimal digits in lower case",
                         name);
        return false;
}

static const FileParam checks[] = {
        { "path", check_path },     { "path_base64", check_path_base64 },
        { "to", check_path },       { "to_base64", check_path_base64 },
        { "base64", check_base64 }, { "cursor", check_base64 },
        { "offset", check_size },   { "length", check_size },
        { "limit", check_limit },   { "mode", check_mode },
        { "owner", check_id },      { "group", check_id },
        { "user", check_user },     { "hash", check_hash },
};

bool file_params_have(json_object *params, const char *name)
{
        return json_object_object_get_ex(params, name, NULL);
}

bool file_params_check_one(Call *call, json_object *params, const char *a, const char *b)
{
        if (file_params_have(params, a) != file_params_have(params, b))
                return true;
        if (file_params_have(params, a))
                call_fail_params(call, "parameters `%s` and `%s` exclude each other", a, b);
        else
                call_fail_params(call, "parameter `%s` is missing, or `%s`", a, b);
        return false;
}

bool file_params_check(Call *call, json_object *params)
{
        json_object *value;

        for (size_t i = 0; i < ELEMENTSOF(checks); i++)
                if (json_object_object_get_ex(params, checks[i].name, &value) &&
                    !checks[i].check(call, checks[i].name, value))
                        return false;
        return file_params_check_one(call, params, "path", "path_base64");
}
