/* SPDX-License-Identifier: MIT */
#include "cli/json.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "rpc/scan.h"

#define SHOWN_MAX 60
#define WORDS_BYTES_MAX ((size_t)64 * 1024 * 1024)

int json_from_sound_text(const char *text, size_t n, json_object **ret)
{
        enum json_tokener_error error;
        struct json_tokener *tokener;
        json_object *object;

        tokener = json_tokener_new_ex((int)SCAN_DEPTH_MAX + 1);
        if (!tokener)
                return -ENOMEM;
        object = json_tokener_parse_ex(tokener, text, (int)MIN_OF(n, (size_t)INT_MAX));
        error = json_tokener_get_error(tokener);
        if (error == json_tokener_continue) {
                /* Only what follows a number shows that it has ended. */
                object = json_tokener_parse_ex(tokener, "", 1);
                error = json_tokener_get_error(tokener);
        }
        json_tokener_free(tokener);
        if (error != json_tokener_success) {
                json_object_put(object);
                return -ENOMEM;
        }
        *ret = object;
        return 0;
}

/* A member's value is where a scan judges numbers: the text is scanned as one. */
static ScanResult scan_as_member(const char *text, size_t n, size_t max, ScanEnvelope *ret)
{
        static const ScanKeys keys = { .names = { "v" }, .params = 0 };
        static const char before[] = "{\"v\":", after[] = "}";
        const ScanLimits limits = { .bytes = max + sizeof(before) + sizeof(after),
                                    .values = UINT32_MAX,
                                    .depth = SCAN_DEPTH_MAX };
        ScanResult result;
        size_t used;
        Scan scan;

        scan_init(&scan, &keys, &limits);
        result = scan_feed(&scan, before, sizeof(before) - 1, &used);
        if (result == SCAN_MORE)
                result = scan_feed(&scan, text, n, &used);
        if (result == SCAN_MORE)
                result = scan_feed(&scan, after, sizeof(after) - 1, &used);
        else if (result == SCAN_DONE)
                result = SCAN_BAD_SYNTAX; /* the text closed the brace that is ours */
        /* Where the text went on with further members, its first value is not all of it. */
        if (result == SCAN_DONE && scan_envelopes(&scan, &used)->members[0].length != n)
                result = SCAN_BAD_SYNTAX;
        if (result == SCAN_DONE)
                *ret = *scan_envelopes(&scan, &used);
        scan_done(&scan);
        return result;
}

int json_from_text(const char *text, size_t n, size_t max, json_object **ret)
{
        _cleanup_json_ json_object *value = NULL;
        ScanEnvelope e;
        int r;

        for (; n > 0 && strchr(" \t\r\n", text[0]) && text[0]; n--)
                text++;
        while (n > 0 && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
                n--;
        if (n == 0)
                return -EINVAL;
        if (n > max)
                return -ERANGE;

        switch (scan_as_member(text, n, max, &e)) {
        case SCAN_DONE:
                break;
        case SCAN_NO_MEMORY:
                return -ENOMEM;
        case SCAN_TOO_LONG:
        case SCAN_TOO_DEEP:
                return -ERANGE;
        default:
                return -EINVAL;
        }
        if (e.flags & (SCAN_NUMBER_TOO_LARGE | SCAN_NUL_IN_KEY))
                return -ERANGE;
        r = json_from_sound_text(text, n, &value);
        if (r < 0)
                return r;
        /* json-c keeps the last of two members of one name. */
        if (json_object_is_type(value, json_type_object) &&
            (size_t)json_object_object_length(value) != e.params_members)
                return -ERANGE;
        *ret = TAKE_PTR(value);
        return 0;
}

/* One `key=value`. 0; -EINVAL with *ret_problem; -ENOMEM. */
static int object_add_word(json_object *object, const char *word, char **ret_problem)
{
        _cleanup_json_ json_object *value = NULL;
        _cleanup_free_ char *key = NULL, *shown = NULL;
        const char *equals = strchr(word, '='), *text;
        int r;

        shown = text_show(word, strlen(word), SHOWN_MAX);
        if (!equals || equals == word) {
                *ret_problem = text_format("'%s' is no parameter: write key=value, or one JSON "
                                           "object",
                                           shown ?: "?");
                return -EINVAL;
        }
        if (!text_is_utf8(word, strlen(word))) {
                *ret_problem = text_format("'%s' is not UTF-8", shown ?: "?");
                return -EINVAL;
        }
        text = equals + 1;
        key = strndup(word, (size_t)(equals - word));
        if (!key)
                return -ENOMEM;
        if (json_object_object_get_ex(object, key, NULL)) {
                *ret_problem = text_format("'%s' gives the same parameter again", shown ?: "?");
                return -EINVAL;
        }

        r = json_from_text(text, strlen(text), WORDS_BYTES_MAX, &value);
        if (r == -EINVAL) {
                value = json_object_new_string(text);
                r = value ? 0 : -ENOMEM;
        }
        if (r == -ERANGE) {
                *ret_problem = text_format("'%s': a number past 64 bits, or JSON nested too deep; "
                                           "for a string write it in double quotes",
                                           shown ?: "?");
                return -EINVAL;
        }
        if (r < 0)
                return r;
        if (json_object_object_add(object, key, value) < 0)
                return -ENOMEM;
        value = NULL;
        return 0;
}

static int object_from_json_word(const char *word, json_object **ret, char **ret_problem)
{
        _cleanup_json_ json_object *value = NULL;
        _cleanup_free_ char *shown = NULL;
        int r;

        r = json_from_text(word, strlen(word), WORDS_BYTES_MAX, &value);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                shown = text_show(word, strlen(word), SHOWN_MAX);
                *ret_problem =
                        text_format(r == -ERANGE
                                            ? "%s: JSON, but with a number past 64 bits, a key "
                                              "twice or with a NUL, or nested too deep"
                                            : "%s: not valid JSON",
                                    shown ?: "?");
                return -EINVAL;
        }
        *ret = TAKE_PTR(value);
        return 0;
}

int json_from_words(char *const *words, size_t n, json_object **ret, char **ret_problem)
{
        _cleanup_json_ json_object *object = NULL;
        int r;

        if (n == 0) {
                *ret = NULL;
                return 0;
        }
        if (words[0][strspn(words[0], " \t\r\n")] == '{' ||
            words[0][strspn(words[0], " \t\r\n")] == '[') {
                if (n == 1)
                        return object_from_json_word(words[0], ret, ret_problem);
                *ret_problem = strdup("JSON parameters are one word: quote them, and give nothing "
                                      "behind them");
                return -EINVAL;
        }

        object = json_object_new_object();
        if (!object)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = object_add_word(object, words[i], ret_problem);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(object);
        return 0;
}
