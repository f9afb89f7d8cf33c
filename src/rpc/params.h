/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/*
 * The description of a JSON object's members: of a method's parameters, which are checked
 * by it before the method runs, and of its result. The discovery document derives from it.
 */
typedef struct Field Field;

typedef enum FieldType {
        FIELD_ANY,
        FIELD_STRING, /* without NUL characters: it may become a C string */
        FIELD_INTEGER,
        FIELD_NUMBER,
        FIELD_BOOLEAN,
        FIELD_ARRAY,
        FIELD_OBJECT,
} FieldType;

typedef enum FieldFlags {
        FIELD_OPTIONAL = 1 << 0, /* may be absent */
        FIELD_NULLABLE = 1 << 1, /* may be null */
        FIELD_NUL = 1 << 2,      /* a string that may have NUL characters: it stays bytes */
} FieldFlags;

/* A row; a table ends with a row whose name is NULL. */
struct Field {
        const char *name;
        FieldType type;
        unsigned flags;
        const char *summary;
        const Field *members; /* of an object, or of the objects in an array; or NULL */
};

/*
 * Whether params (an object, or NULL for none) fits the table (NULL: no parameters). 0; or
 * -EINVAL with *ret_problem a sentence naming the parameter (the caller frees; NULL if there
 * is no memory for it). Inside the parameters it is named as in `files[3].path`.
 */
int params_check(const Field *fields, json_object *params, char **ret_problem);

/* A JSON Schema for one field, as OpenRPC wants it. The caller owns it; NULL without memory. */
json_object *field_to_schema(const Field *f);
/* The same for an object with these members (NULL: with none). */
json_object *fields_to_schema(const Field *fields);
