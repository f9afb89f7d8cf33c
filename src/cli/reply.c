/* SPDX-License-Identifier: MIT */
#include "cli/reply.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cli/json.h"

enum {
        KEY_JSONRPC,
        KEY_ID,
        KEY_RESULT,
        KEY_ERROR,
        KEY_METHOD,
};

/* The numbers of `result` are judged as those of parameters are: json-c would clamp them. */
static const ScanKeys reply_keys = {
        .names = { "jsonrpc", "id", "result", "error", "method" },
        .params = KEY_RESULT,
};

void reply_scan_init(Scan *s, size_t max_bytes, size_t max_values)
{
        const ScanLimits limits = {
                .bytes = max_bytes,
                .values = max_values,
                .depth = SCAN_DEPTH_MAX,
        };

        scan_init(s, &reply_keys, &limits);
}

static bool span_equals(const char *text, ScanSpan span, const char *expected)
{
        return span.length == strlen(expected) &&
               memcmp(text + span.offset, expected, span.length) == 0;
}

static int parse_error(const char *text, ScanSpan span, Reply *ret)
{
        json_object *error = NULL, *member;
        int r;

        r = json_from_sound_text(text + span.offset, span.length, &error);
        if (r < 0)
                return r;
        if (json_object_is_type(error, json_type_object) &&
            json_object_is_type(json_object_object_get(error, "code"), json_type_int)) {
                member = json_object_object_get(error, "message");
                if (json_object_is_type(member, json_type_string)) {
                        *ret = (Reply){ .error = error };
                        return 1;
                }
        }
        json_object_put(error);
        return -EBADMSG;
}

static int parse_envelope(const char *text, const ScanEnvelope *e, const char *id, Reply *ret)
{
        const ScanSpan *m = e->members;
        json_object *result = NULL;
        int r;

        if (!(e->flags & SCAN_IS_OBJECT) || (e->flags & SCAN_DOUBLED_KEY) ||
            !span_equals(text, m[KEY_JSONRPC], "\"2.0\""))
                return -EBADMSG;
        if (m[KEY_METHOD].length > 0)
                return 0; /* a notification, or a request: neither is for us */
        if ((m[KEY_RESULT].length > 0) == (m[KEY_ERROR].length > 0) || m[KEY_ID].length == 0)
                return -EBADMSG;
        if (id[0] == 0)
                return 0;
        if (!span_equals(text, m[KEY_ID], id) &&
            !(m[KEY_ERROR].length > 0 && span_equals(text, m[KEY_ID], "null")))
                return 0;

        if (m[KEY_ERROR].length > 0)
                return parse_error(text, m[KEY_ERROR], ret);
        if (e->flags & SCAN_NUMBER_TOO_LARGE)
                return -EBADMSG;
        r = json_from_sound_text(text + m[KEY_RESULT].offset, m[KEY_RESULT].length, &result);
        if (r < 0)
                return r;
        *ret = (Reply){ .result = result };
        return 1;
}

int reply_find(const Scan *s, const char *text, const char *id, Reply *ret)
{
        const ScanEnvelope *envelopes;
        Reply found = REPLY_NULL;
        int r, n_found = 0;
        size_t n;

        envelopes = scan_envelopes(s, &n);
        for (size_t i = 0; i < n; i++) {
                r = parse_envelope(text, &envelopes[i], n_found > 0 ? "" : id, &found);
                if (r < 0) {
                        reply_done(&found);
                        return r;
                }
                n_found += r;
        }
        if (n_found > 0)
                *ret = found;
        return n_found;
}

void reply_done(Reply *r)
{
        json_object_put(r->result);
        json_object_put(r->error);
        *r = REPLY_NULL;
}
