/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

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

/* Adds them to an object. 0 or -ENOMEM. The keys must outlive the object. */
int octets_add(json_object *object, const OctetsKeys *keys, const char *data, size_t n);
/* The same to JSON text: "KEY":"VALUE", without a comma. 0 or -ENOMEM. */
int octets_write(Buffer *json, const OctetsKeys *keys, const char *data, size_t n);

/*
 * The bytes that an object names, if it does: 1 with them appended to *to; 0 where neither key is
 * there. -EINVAL with *ret_problem a constant sentence's end for a parameter's name ("is not
 * base64"), and *ret_key that name; -ENOMEM.
 */
int octets_read(json_object *object, const OctetsKeys *keys, Buffer *to, const char **ret_key,
                const char **ret_problem);
