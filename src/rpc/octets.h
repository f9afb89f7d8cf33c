/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/*
 * Bytes in JSON: a string where they are valid UTF-8, else base64, under two names of which one is
 * used: `stdout` and `stdout_base64`. This is the only place that knows how.
 */
typedef struct OctetsKeys OctetsKeys;

struct OctetsKeys {
        const char *text;
        const char *base64;
};

/* How many of n bytes to take so that no character of UTF-8 is cut that more bytes may complete:
 * n, or up to three fewer. */
size_t octets_whole(const char *data, size_t n);

/* Whether bytes that come in pieces are UTF-8. All zeros: so far. */
typedef struct OctetsCheck OctetsCheck;

struct OctetsCheck {
        bool bad;
        uint8_t n_cut; /* bytes of a character that has begun */
        char cut[4];
};

void octets_check(OctetsCheck *c, const char *data, size_t n);

/* Adds them to an object. 0 or -ENOMEM. The keys must outlive the object. */
int octets_add(json_object *object, const OctetsKeys *keys, const char *data, size_t n);
/* The same to JSON text, for bytes that come in pieces, of which it is known whether they are text:
 * "KEY":", then each piece, then a quotation mark. Pieces of what is no text are a multiple of
 * three bytes, but for the last one. Each: 0 or -ENOMEM. */
int octets_write_begin(Buffer *json, const OctetsKeys *keys, bool text);
int octets_write_piece(Buffer *json, bool text, const char *data, size_t n);
/* How many bytes octets_write_piece() will write. */
size_t octets_written_length(bool text, const char *data, size_t n);

/*
 * The bytes that an object names, if it does: 1 with them appended to *to; 0 where neither key is
 * there. -EINVAL with *ret_problem a constant sentence's end for a parameter's name ("is not
 * base64"), and *ret_key that name; -ENOMEM.
 */
int octets_read(json_object *object, const OctetsKeys *keys, Buffer *to, const char **ret_key,
                const char **ret_problem);
