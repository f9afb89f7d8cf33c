/* SPDX-License-Identifier: MIT */
#include "methods/local-wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "methods/members.h"

/* 10^18 - 1 is within 64 bits, and no id of ours gets there. */
#define ID_DIGITS_MAX 18U

enum {
        KEY_ID,
        KEY_METHOD,
        KEY_RESULT,
        KEY_ERROR,
};

const ScanKeys wire_reply_keys = {
        .names = {
                [KEY_ID] = "id",
                [KEY_METHOD] = "method",
                [KEY_RESULT] = "result",
                [KEY_ERROR] = "error",
        },
        .params = SCAN_KEYS_MAX,
};

static bool text_is(const char *text, ScanSpan span, const char *word)
{
        return span.length == strlen(word) && memcmp(text + span.offset, word, span.length) == 0;
}

/* An id of ours, as it was given: 0 for what is none. */
static uint64_t read_id(const char *text, ScanSpan span)
{
        uint64_t id = 0;

        if (span.length > ID_DIGITS_MAX)
                return 0;
        for (size_t i = 0; i < span.length; i++) {
                unsigned digit = (unsigned char)text[span.offset + i] - (unsigned)'0';

                if (digit > 9)
                        return 0;
                id = id * 10 + digit;
        }
        return id;
}

/* Whether an error is one as JSON-RPC has it: an integer `code` and a string `message`. */
static bool error_is_sound(const char *json, size_t length)
{
        static const ScanKeys keys = { .names = { "code", "message" }, .params = SCAN_KEYS_MAX };
        const ScanLimits limits = { length, UINT32_MAX, SCAN_DEPTH_MAX };
        const ScanEnvelope *e;
        ScanSpan code, message;
        bool sound = false;
        size_t n;
        Scan scan;

        scan_init(&scan, &keys, &limits);
        if (json[0] == '{' && scan_feed(&scan, json, length, &n) == SCAN_DONE) {
                e = scan_envelopes(&scan, &n);
                code = e->members[0];
                message = e->members[1];
                sound = !(e->flags & SCAN_DOUBLED_KEY) && code.length > 0 && code.length <= 11 &&
                        strspn(json + code.offset, "-0123456789") == code.length &&
                        message.length > 0 && json[message.offset] == '"';
        }
        scan_done(&scan);
        return sound;
}

bool wire_read(const Scan *scan, char *text, WireReply *ret)
{
        const ScanEnvelope *e;
        const ScanSpan *m;
        WireReply reply = { 0 };
        ScanSpan json;
        size_t n;

        e = scan_envelopes(scan, &n);
        m = e->members;
        if (scan_is_batch(scan) || !(e->flags & SCAN_IS_OBJECT) || (e->flags & SCAN_DOUBLED_KEY))
                return false;
        if (m[KEY_METHOD].length > 0) {
                *ret = reply;
                return true;
        }
        reply.is_error = m[KEY_ERROR].length > 0 && !text_is(text, m[KEY_ERROR], "null");
        json = m[reply.is_error ? KEY_ERROR : KEY_RESULT];
        if (m[KEY_ID].length == 0 || json.length == 0 ||
            (reply.is_error && !error_is_sound(text + json.offset, json.length)))
                return false;
        reply.id = read_id(text, m[KEY_ID]);
        reply.json = text + json.offset;
        reply.length = json.length;
        *ret = reply;
        return true;
}

/* Whether a name stands between quotes as it is. Scan has found it to be UTF-8. */
static bool name_is_plain(const char *name)
{
        for (const char *p = name; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f)
                        return false;
        return true;
}

static char *put(char *to, const char *data, size_t n)
{
        memcpy(to, data, n);
        return to + n;
}

#define ID_DIGITS 20U

static char *put_id(char *to, uint64_t id)
{
        char digits[ID_DIGITS];
        size_t n = sizeof(digits);

        do
                digits[--n] = (char)('0' + id % 10);
        while ((id /= 10) > 0);
        return put(to, digits + n, sizeof(digits) - n);
}

#define PUT_TEXT(to, text) put((to), (text), sizeof(text) - 1)
#define REQUEST_BEGIN "{\"jsonrpc\":\"2.0\",\"id\":"
#define REQUEST_METHOD ",\"method\":\""
#define REQUEST_PARAMS "\",\"params\":"
#define REQUEST_END "}\n"
/* All but the method and its parameters. */
#define REQUEST_ROOM (sizeof(REQUEST_BEGIN REQUEST_METHOD REQUEST_PARAMS REQUEST_END) + ID_DIGITS)

int wire_append_request(Buffer *b, uint64_t id, const char *method, const char *params,
                        size_t length)
{
        json_object *escaped = NULL;
        const char *name = method;
        size_t n = strlen(method);
        char *begin, *p;

        if (!name_is_plain(method)) {
                escaped = json_object_new_string(method);
                if (!escaped)
                        return -ENOMEM;
                /* With its quotes. */
                name = json_object_to_json_string_length(
                        escaped, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
                if (name) {
                        name++;
                        n -= 2;
                }
        }
        p = begin = name ? buffer_reserve(b, REQUEST_ROOM + n + length) : NULL;
        if (begin) {
                p = PUT_TEXT(p, REQUEST_BEGIN);
                p = put_id(p, id);
                p = PUT_TEXT(p, REQUEST_METHOD);
                p = put(p, name, n);
                p = PUT_TEXT(p, REQUEST_PARAMS);
                p = put(p, params, length);
                p = PUT_TEXT(p, REQUEST_END);
                buffer_commit(b, (size_t)(p - begin));
        }
        json_object_put(escaped);
        return begin ? 0 : -ENOMEM;
}

int wire_append_cancel(Buffer *b, uint64_t id)
{
        char text[128];
        int n;

        n = snprintf(text, sizeof(text),
                     "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":%llu}}\n",
                     (unsigned long long)id);
        return buffer_append(b, text, (size_t)n);
}
