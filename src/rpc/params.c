/* SPDX-License-Identifier: MIT */
#include "rpc/params.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* How much of a name that a caller made up is told back. */
#define NAME_SHOWN_MAX 64

/* Where in the parameters a check has got to: `limits`, `files[3].path`. */
typedef struct Place Place;

struct Place {
        const Place *parent;
        const char *name; /* of a member; NULL: an element of the parent's array */
        size_t index;
};

static void place_print(const Place *p, FILE *f)
{
        if (p->parent)
                place_print(p->parent, f);
        if (p->name)
                fprintf(f, "%s%s", p->parent ? "." : "", p->name);
        else
                fprintf(f, "[%zu]", p->index);
}

/* "parameter `files[3].path` ", then the rest. Always -EINVAL. */
static int problem(char **ret, const Place *place, const char *format, ...) _printf_(3, 4);

static int problem(char **ret, const Place *place, const char *format, ...)
{
        char *text = NULL;
        size_t size;
        va_list ap;
        FILE *f;

        *ret = NULL;
        f = open_memstream(&text, &size);
        if (!f)
                return -EINVAL;
        fputs("parameter `", f);
        place_print(place, f);
        fputs("` ", f);
        va_start(ap, format);
        vfprintf(f, format, ap);
        va_end(ap);
        if (fclose(f) == 0)
                *ret = TAKE_PTR(text);
        free(text);
        return -EINVAL;
}

/* "unknown parameter `foo`; known are: a, b", or that there are none. Always -EINVAL. */
static int problem_unknown(char **ret, const Place *parent, const char *name, const Field *fields)
{
        _cleanup_free_ char *shown = NULL;
        char *text = NULL;
        size_t size;
        FILE *f;

        *ret = NULL;
        shown = text_show(name, strlen(name), NAME_SHOWN_MAX);
        if (!shown)
                return -EINVAL;
        f = open_memstream(&text, &size);
        if (!f)
                return -EINVAL;
        fputs("unknown parameter `", f);
        place_print(&(Place){ .parent = parent, .name = shown }, f);
        fputs(fields->name ? "`; known are: " : "`; none are taken", f);
        for (const Field *i = fields; i->name; i++)
                fprintf(f, "%s%s", i == fields ? "" : ", ", i->name);
        if (fclose(f) == 0)
                *ret = TAKE_PTR(text);
        free(text);
        return -EINVAL;
}

static const char *type_with_article(FieldType t)
{
        static const char *const texts[] = {
                [FIELD_ANY] = "a value",           [FIELD_STRING] = "a string",
                [FIELD_INTEGER] = "an integer",    [FIELD_NUMBER] = "a number",
                [FIELD_BOOLEAN] = "true or false", [FIELD_ARRAY] = "an array",
                [FIELD_OBJECT] = "an object",
        };

        return texts[t];
}

static const char *json_with_article(json_object *value)
{
        switch (json_object_get_type(value)) {
        case json_type_null:
                return "null";
        case json_type_boolean:
                return "a boolean";
        case json_type_double:
                return "a number with a fraction or an exponent";
        case json_type_int:
                return "an integer";
        case json_type_object:
                return "an object";
        case json_type_array:
                return "an array";
        case json_type_string:
                return "a string";
        }
        return "something else";
}

static bool type_fits(FieldType wanted, json_object *value)
{
        enum json_type type = json_object_get_type(value);

        switch (wanted) {
        case FIELD_ANY:
                return true;
        case FIELD_STRING:
                return type == json_type_string;
        case FIELD_INTEGER:
                return type == json_type_int;
        case FIELD_NUMBER:
                return type == json_type_int || type == json_type_double;
        case FIELD_BOOLEAN:
                return type == json_type_boolean;
        case FIELD_ARRAY:
                return type == json_type_array;
        case FIELD_OBJECT:
                return type == json_type_object;
        }
        return false;
}

static const Field *field_find(const Field *fields, const char *name)
{
        for (; fields->name; fields++)
                if (strcmp(fields->name, name) == 0)
                        return fields;
        return NULL;
}

static int check_members(const Field *fields, const Place *parent, json_object *object, char **ret);

/* Each element of an array whose elements are objects. */
static int check_elements(const Field *members, const Place *place, json_object *array, char **ret)
{
        size_t n = json_object_array_length(array);
        int r;

        for (size_t i = 0; i < n; i++) {
                json_object *element = json_object_array_get_idx(array, i);
                Place here = { .parent = place, .index = i };

                if (!json_object_is_type(element, json_type_object))
                        return problem(ret, &here, "must be an object, not %s",
                                       json_with_article(element));
                r = check_members(members, &here, element, ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_value(const Field *f, const Place *place, json_object *value, char **ret)
{
        if (!value && (f->flags & FIELD_NULLABLE))
                return 0;
        if (!type_fits(f->type, value))
                return problem(ret, place, "must be %s%s, not %s", type_with_article(f->type),
                               f->flags & FIELD_NULLABLE ? " or null" : "",
                               json_with_article(value));
        if (f->type == FIELD_STRING && !(f->flags & FIELD_NUL) &&
            memchr(json_object_get_string(value), '\0', (size_t)json_object_get_string_len(value)))
                return problem(ret, place, "must not contain a NUL character");
        if (f->type == FIELD_ARRAY && f->members)
                return check_elements(f->members, place, value, ret);
        if (f->type == FIELD_OBJECT && f->members)
                return check_members(f->members, place, value, ret);
        return 0;
}

/* object may be NULL: no members. Recursion is as deep as the tables are nested. */
static int check_members(const Field *fields, const Place *parent, json_object *object, char **ret)
{
        int r;

        if (object) {
                json_object_object_foreach(object, name, value)
                {
                        const Field *f = field_find(fields, name);

                        if (!f)
                                return problem_unknown(ret, parent, name, fields);
                        r = check_value(f, &(Place){ .parent = parent, .name = f->name }, value,
                                        ret);
                        if (r < 0)
                                return r;
                }
        }
        for (const Field *f = fields; f->name; f++)
                if (!(f->flags & FIELD_OPTIONAL) &&
                    !json_object_object_get_ex(object, f->name, NULL))
                        return problem(ret, &(Place){ .parent = parent, .name = f->name },
                                       "is missing: it must be %s", type_with_article(f->type));
        return 0;
}

static const Field no_fields[] = { { 0 } };

int params_check(const Field *fields, json_object *params, char **ret_problem)
{
        if (params && !json_object_is_type(params, json_type_object)) {
                *ret_problem = text_format("parameters are given by name, in an object, not %s",
                                           json_with_article(params));
                return -EINVAL;
        }
        return check_members(fields ? fields : no_fields, NULL, params, ret_problem);
}

/* Takes value over (freed on failure). false: no memory, also where value is NULL. */
static bool object_take(json_object *object, const char *key, json_object *value)
{
        if (!value || json_object_object_add(object, key, value) < 0) {
                json_object_put(value);
                return false;
        }
        return true;
}

static bool array_take(json_object *array, json_object *value)
{
        if (!value || json_object_array_add(array, value) < 0) {
                json_object_put(value);
                return false;
        }
        return true;
}

static const char *type_in_schema(FieldType t)
{
        static const char *const texts[] = {
                [FIELD_STRING] = "string",   [FIELD_INTEGER] = "integer", [FIELD_NUMBER] = "number",
                [FIELD_BOOLEAN] = "boolean", [FIELD_ARRAY] = "array",     [FIELD_OBJECT] = "object",
        };

        return texts[t];
}

/* `type`, or none where anything goes. */
static bool schema_add_type(json_object *schema, const Field *f)
{
        json_object *types;

        if (f->type == FIELD_ANY)
                return true;
        if (!(f->flags & FIELD_NULLABLE))
                return object_take(schema, "type", json_object_new_string(type_in_schema(f->type)));

        types = json_object_new_array();
        if (!object_take(schema, "type", types))
                return false;
        return array_take(types, json_object_new_string(type_in_schema(f->type))) &&
               array_take(types, json_object_new_string("null"));
}

/* `properties` and `required`. No `additionalProperties`: a result may grow. */
static bool schema_add_members(json_object *schema, const Field *fields)
{
        json_object *properties = json_object_new_object(), *required = json_object_new_array();
        bool any_required = false;

        if (!object_take(schema, "properties", properties)) {
                json_object_put(required);
                return false;
        }
        for (const Field *f = fields; f->name; f++) {
                if (!object_take(properties, f->name, field_to_schema(f)))
                        goto fail;
                if (f->flags & FIELD_OPTIONAL)
                        continue;
                any_required = true;
                if (!required || !array_take(required, json_object_new_string(f->name)))
                        goto fail;
        }
        if (any_required)
                return object_take(schema, "required", required);
        json_object_put(required);
        return true;

fail:
        json_object_put(required);
        return false;
}

json_object *field_to_schema(const Field *f)
{
        json_object *schema, *items;
        bool ok;

        schema = json_object_new_object();
        if (!schema)
                return NULL;
        ok = schema_add_type(schema, f);
        if (ok && f->summary)
                ok = object_take(schema, "description", json_object_new_string(f->summary));
        if (ok && f->members && f->type == FIELD_OBJECT)
                ok = schema_add_members(schema, f->members);
        if (ok && f->members && f->type == FIELD_ARRAY) {
                items = fields_to_schema(f->members);
                ok = object_take(schema, "items", items);
        }
        if (ok)
                return schema;
        json_object_put(schema);
        return NULL;
}

json_object *fields_to_schema(const Field *fields)
{
        json_object *schema;

        schema = json_object_new_object();
        if (!schema)
                return NULL;
        if (object_take(schema, "type", json_object_new_string("object")) &&
            schema_add_members(schema, fields ? fields : no_fields))
                return schema;
        json_object_put(schema);
        return NULL;
}
