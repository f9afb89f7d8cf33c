/* SPDX-License-Identifier: MIT */

/*
 * Whatever the scan says of some bytes, it says in whatever pieces they come; and what it takes
 * json-c takes as well, to the same end, so that a text once scanned needs no second error path.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../scan-transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)

static void check_pieces(const char *data, size_t n, const char *whole, size_t first, size_t step)
{
        char *text = transcript(&transcript_keys, &transcript_limits, data, n, first, step);

        if (strcmp(text, whole) != 0) {
                fprintf(stderr, "whole:  %s\npieces: %s (%zu, then %zu)\n", whole, text, first,
                        step);
                abort();
        }
        free(text);
}

/* A text that was found sound, alone. */
static void check_json_c(const char *text, size_t n)
{
        json_tokener *t = json_tokener_new_ex(SCAN_DEPTH_MAX + 2);
        json_object *o;

        CHECK(t);
        json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        o = json_tokener_parse_ex(t, text, (int)n);
        /* A number has no end that it could see by itself. */
        if (json_tokener_get_error(t) == json_tokener_continue)
                o = json_tokener_parse_ex(t, "", -1);
        if (json_tokener_get_error(t) != json_tokener_success) {
                fprintf(stderr, "json-c: %s: %.*s\n",
                        json_tokener_error_desc(json_tokener_get_error(t)), (int)n, text);
                abort();
        }
        json_object_put(o);
        json_tokener_free(t);
}

static void check_span(const Scan *s, const ScanSpan *inner, const ScanSpan *outer)
{
        CHECK(inner->offset >= outer->offset);
        CHECK((size_t)inner->offset + inner->length <= (size_t)outer->offset + outer->length);
        CHECK((size_t)inner->offset + inner->length <= scan_length(s));
}

/* Each mark lies where it may, and is a JSON text of its own. */
static void check_marks(const Scan *s, const char *text)
{
        const ScanEnvelope *e;
        size_t n;

        e = scan_envelopes(s, &n);
        CHECK(scan_is_batch(s) || n == 1);
        for (size_t i = 0; i < n; i++) {
                CHECK(e[i].text.length > 0);
                CHECK(i == 0 || e[i].text.offset > e[i - 1].text.offset + e[i - 1].text.length);
                CHECK(!(e[i].flags & SCAN_IS_OBJECT) == (text[e[i].text.offset] != '{'));
                for (unsigned k = 0; k < SCAN_KEYS_MAX; k++)
                        if (e[i].members[k].length > 0) {
                                CHECK(e[i].flags & SCAN_IS_OBJECT);
                                check_span(s, &e[i].members[k], &e[i].text);
                                check_json_c(text + e[i].members[k].offset, e[i].members[k].length);
                        }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *bytes = (const char *)data;
        size_t used;
        char *whole;
        Scan s;

        whole = transcript(&transcript_keys, &transcript_limits, bytes, size, size, size);
        check_pieces(bytes, size, whole, 1, 1);
        check_pieces(bytes, size, whole, size / 2, size);
        check_pieces(bytes, size, whole, size / 3, 7);
        if (size > 0)
                check_pieces(bytes, size, whole, data[0] % size + 1, size);
        free(whole);

        scan_init(&s, &transcript_keys, &transcript_limits);
        if (scan_feed(&s, bytes, size, &used) == SCAN_DONE ||
            (used == size && scan_finish(&s) == SCAN_DONE)) {
                const char *text = bytes + used - scan_length(&s);

                check_json_c(text, scan_length(&s));
                check_marks(&s, text);
        }
        scan_done(&s);
        return 0;
}
