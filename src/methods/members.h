/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * A JSON object under construction. A failure (there is but one: no memory) sticks, so that a
 * method adds all its members in a row and asks once, by members_take().
 */
typedef struct Members Members;

struct Members {
        json_object *object;
        bool failed;
};

void members_init(Members *m);

/* The keys of these must outlive the object: they are not copied. */
void members_add_null(Members *m, const char *key);
void members_add_boolean(Members *m, const char *key, bool value);
void members_add_unsigned(Members *m, const char *key, uint64_t value);
/* text: NULL becomes null; what is not UTF-8 in it is replaced, see members_text(). */
void members_add_text(Members *m, const char *key, const char *text);
/* Takes value over; NULL means that it could not be made. */
void members_add_value(Members *m, const char *key, json_object *value);
/* The same with a key that is copied. */
void members_add_value_named(Members *m, const char *key, json_object *value);
/* Takes over what was built in *value, and leaves it done. */
void members_add_members(Members *m, const char *key, Members *value);

/* The object, now the caller's; NULL if anything failed. */
json_object *members_take(Members *m);
void members_done(Members *m);
#define _cleanup_members_ _cleanup_(members_done)

/*
 * A JSON string from bytes that somebody else chose: an interface's name, os-release. Reply
 * texts are UTF-8, so each byte that is no part of valid UTF-8 becomes U+FFFD. NULL without
 * memory.
 */
json_object *members_text(const char *data, size_t n);

/* Appends value (taken over, also on failure; NULL fails) to an array. 0 or -ENOMEM. */
int members_array_take(json_object *array, json_object *value);

static inline void json_object_putp(json_object **o)
{
        json_object_put(*o);
}

#define _cleanup_json_ _cleanup_(json_object_putp)
