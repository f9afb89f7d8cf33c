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

bool wire_read(const Scan *scan, const char *text, WireReply *ret)
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

/* The method's name between quotes. Of what scan has found to be UTF-8 only these need an escape.
 */
static int append_name(Buffer *b, const char *name)
{
        json_object *o;
        const char *text;
        size_t length;
        int r;

        if (name[strcspn(name, "\"\\\x7f\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11"
                               "\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")] ==
            '\0') {
                r = buffer_append(b, "\"", 1);
                if (r >= 0)
                        r = buffer_append(b, name, strlen(name));
                return r < 0 ? r : buffer_append(b, "\"", 1);
        }
        o = json_object_new_string(name);
        text = o ? json_object_to_json_string_length(
                           o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length)
                 : NULL;
        r = text ? buffer_append(b, text, length) : -ENOMEM;
        json_object_put(o);
        return r;
}

int wire_append_request(Buffer *b, uint64_t id, const char *method, const char *params,
                        size_t length)
{
        size_t before = b->size;
        char begin[64];
        int n, r;

        n = snprintf(begin, sizeof(begin),
                     "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":", (unsigned long long)id);
        r = buffer_append(b, begin, (size_t)n);
        if (r >= 0)
                r = append_name(b, method);
        if (r >= 0)
                r = buffer_append(b, ",\"params\":", strlen(",\"params\":"));
        if (r >= 0)
                r = buffer_append(b, params, length);
        if (r >= 0)
                r = buffer_append(b, "}\n", 2);
        if (r < 0)
                b->size = before;
        return r;
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
