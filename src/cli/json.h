/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "base/macros.h"

/* JSON as people type it on a command line. */

static inline void json_putp(json_object **p)
{
        json_object_put(*p);
}
#define _cleanup_json_ _cleanup_(json_putp)

/* Text that a scan has found sound. 0 with *ret owned by the caller (NULL: null), or -ENOMEM. */
int json_from_sound_text(const char *text, size_t n, json_object **ret);

/*
 * One JSON text, RFC 8259 to the letter, white space around it allowed. 0 as above; -EINVAL
 * where it is no JSON; -ERANGE where it is, but would not be kept as it is (a number past 64 bits,
 * a NUL in a key, a key twice), or is nested too deep or larger than max bytes; -ENOMEM.
 */
int json_from_text(const char *text, size_t n, size_t max, json_object **ret);

/*
 * The words behind a method's name: one JSON object or array; or `key=value` words, where a
 * value that is JSON is taken as such and anything else as a string. No words: *ret is NULL.
 * 0 with *ret owned by the caller; -EINVAL with *ret_problem a sentence (allocated); -ENOMEM.
 */
int json_from_words(char *const *words, size_t n, json_object **ret, char **ret_problem);
