/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

#define NAME_WIDTH_MAX 40

/* Members of the guest's document: NULL where absent or of another type. */
static json_object *member_of(json_object *object, const char *key, json_type type)
{
        json_object *value = NULL;

        if (!json_object_is_type(object, json_type_object) ||
            !json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
                return NULL;
        return value;
}

static char *string_of(json_object *object, const char *key)
{
        json_object *value = member_of(object, key, json_type_string);

        return output_shown(value ? json_object_get_string(value) : "");
}

static bool is_true(json_object *object, const char *key)
{
        json_object *value = member_of(object, key, json_type_boolean);

        return value && json_object_get_boolean(value);
}

/* A JSON Schema's type: a name, or a list of names. */
static char *type_of(json_object *schema)
{
        json_object *list = member_of(schema, "type", json_type_array);
        char *text, *longer;

        if (!list) {
                text = string_of(schema, "type");
                if (text && text[0])
                        return text;
                free(text);
                return strdup("any");
        }
        text = strdup("");
        for (size_t i = 0; text && i < json_object_array_length(list); i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(list, i));

                longer = text_format("%s%s%s", text, i > 0 ? " or " : "", name ?: "?");
                free(text);
                text = longer;
        }
        longer = text ? output_shown(text) : NULL;
        free(text);
        return longer;
}

/* OpenRPC's Content Descriptors: name, summary or description, required, schema. */
static void print_params(json_object *params)
{
        for (size_t i = 0; params && i < json_object_array_length(params); i++) {
                json_object *param = json_object_array_get_idx(params, i);
                _cleanup_free_ char *name = string_of(param, "name");
                _cleanup_free_ char *type = type_of(member_of(param, "schema", json_type_object));
                _cleanup_free_ char *text =
                        string_of(param, json_object_object_get_ex(param, "summary", NULL)
                                                 ? "summary"
                                                 : "description");

                printf("      %s (%s%s)%s%s\n", name, type ?: "?",
                       is_true(param, "required") ? "" : ", optional", text[0] ? ": " : "", text);
        }
}

static int print_methods(json_object *document, const char *to)
{
        json_object *list = member_of(document, "methods", json_type_array);
        int width = 0;

        if (!list) {
                output_error("%s describes no methods: its rpc.discover is not as OpenRPC has it",
                             to);
                return EXIT_REFUSED;
        }
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                _cleanup_free_ char *name = string_of(json_object_array_get_idx(list, i), "name");

                width = MAX_OF(width, (int)strlen(name));
        }
        width = MIN_OF(width, NAME_WIDTH_MAX);
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *method = json_object_array_get_idx(list, i);
                _cleanup_free_ char *name = string_of(method, "name");
                _cleanup_free_ char *summary = string_of(method, "summary");
                bool privileged = is_true(method, "x-privileged");

                printf("%s%-*s%s  %s%s%s%s\n", output_style(STYLE_BOLD), width, name,
                       output_style(STYLE_OFF), summary, output_style(STYLE_WARN),
                       privileged ? " [privileged]" : "", output_style(STYLE_OFF));
                print_params(member_of(method, "params", json_type_array));
        }
        return EXIT_OK;
}

int verb_methods(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_json_ json_object *document = NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_free_ char *to = NULL;
        int r;

        r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, "rpc.discover", NULL, &document);
        if (r != EXIT_OK)
                return r;
        if (s->json) {
                output_json(document, false);
                return EXIT_OK;
        }
        to = address_to_text(client_target(c));
        return print_methods(document, to ?: args[0]);
}
