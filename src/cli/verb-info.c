/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

/* Prints any object, so that a guest that is newer than this program is shown whole: what a
 * number means is in its key. */

#define USEC_PER_SEC 1000000ULL
#define LABEL_SIZE 40

static bool has_suffix(const char *text, const char *suffix)
{
        size_t n = strlen(text), m = strlen(suffix);

        return n > m && strcmp(text + n - m, suffix) == 0;
}

/* "uptime_us" is "uptime": its unit is in the value. */
static void label_from_key(char ret[static LABEL_SIZE], const char *key)
{
        _cleanup_free_ char *shown = output_shown(key);
        char *end;

        snprintf(ret, LABEL_SIZE, "%s", shown ?: "?");
        if (has_suffix(ret, "_us"))
                ret[strlen(ret) - strlen("_us")] = 0;
        else if (has_suffix(ret, "_bytes"))
                ret[strlen(ret) - strlen("_bytes")] = 0;
        for (end = ret; *end; end++)
                if (*end == '_')
                        *end = ' ';
}

static char *show_size(uint64_t bytes)
{
        static const char units[] = { 0, 'K', 'M', 'G', 'T', 'P' };
        double value = (double)bytes;
        size_t i = 0;

        for (; value >= 1024 && i + 1 < sizeof(units); i++)
                value /= 1024;
        return i == 0 ? text_format("%" PRIu64 " B", bytes)
                      : text_format("%.1f %ciB", value, units[i]);
}

static char *show_time(uint64_t usec)
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (usec / USEC_PER_SEC > INT32_MAX * 16ULL || !gmtime_r(&seconds, &tm) ||
            strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                return text_format("%" PRIu64 " us", usec);
        return strdup(text);
}

static char *show_duration(uint64_t usec)
{
        char text[64];

        /* Nobody reads the microseconds of a day. */
        if (usec >= 60 * USEC_PER_SEC)
                usec -= usec % USEC_PER_SEC;
        else if (usec >= USEC_PER_SEC)
                usec -= usec % 1000;
        text_from_usec(text, usec);
        return strdup(text);
}

/* Anything but an object, and an array of objects, on one line. NULL without memory. */
static char *show_scalar(const char *key, json_object *value)
{
        int64_t n;

        switch (json_object_get_type(value)) {
        case json_type_null:
                return strdup("-");
        case json_type_boolean:
                return strdup(json_object_get_boolean(value) ? "yes" : "no");
        case json_type_string:
                return output_shown(json_object_get_string(value));
        case json_type_int:
                n = json_object_get_int64(value);
                if (n >= 0 && has_suffix(key, "_bytes"))
                        return show_size((uint64_t)n);
                if (n >= 0 && (strcmp(key, "time_us") == 0 || has_suffix(key, "_time_us")))
                        return show_time((uint64_t)n);
                if (n >= 0 && has_suffix(key, "_us"))
                        return show_duration((uint64_t)n);
                break;
        default:
                break;
        }
        return output_shown(
                json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* "port 1000, handler rpc": the members that are known, on one line. */
static char *show_compact(json_object *object)
{
        _cleanup_free_ char *line = strdup("");

        json_object_object_foreach(object, key, value)
        {
                _cleanup_free_ char *text = show_scalar(key, value);
                char label[LABEL_SIZE], *longer;

                if (!value || (json_object_is_type(value, json_type_string) &&
                               json_object_get_string_len(value) == 0))
                        continue;
                label_from_key(label, key);
                longer = text_format("%s%s%s %s", line ?: "", line && line[0] ? ", " : "", label,
                                     text ?: "?");
                free(line);
                line = longer;
        }
        return TAKE_PTR(line);
}

static char *show_pretty_name(json_object *object)
{
        json_object *name = NULL;

        if (!json_object_object_get_ex(object, "pretty_name", &name) ||
            !json_object_is_type(name, json_type_string))
                return NULL;
        return output_shown(json_object_get_string(name));
}

static char *show_list(json_object *array)
{
        _cleanup_free_ char *line = strdup("");

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                _cleanup_free_ char *text = show_scalar("", json_object_array_get_idx(array, i));
                char *longer;

                longer = text_format("%s%s%s", line ?: "", i > 0 ? ", " : "", text ?: "?");
                free(line);
                line = longer;
        }
        return line && line[0] ? TAKE_PTR(line) : strdup("-");
}

static bool is_list_of_objects(json_object *value)
{
        return json_object_is_type(value, json_type_array) && json_object_array_length(value) > 0 &&
               json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
}

static void print_member(int width, const char *key, json_object *value)
{
        _cleanup_free_ char *text = NULL;
        char label[LABEL_SIZE];

        label_from_key(label, key);
        if (is_list_of_objects(value)) {
                for (size_t i = 0; i < json_object_array_length(value); i++) {
                        json_object *element = json_object_array_get_idx(value, i);
                        _cleanup_free_ char *line = json_object_is_type(element, json_type_object)
                                                            ? show_compact(element)
                                                            : show_scalar("", element);

                        output_pair(width, i == 0 ? label : "", line ?: "?");
                }
                return;
        }
        if (json_object_is_type(value, json_type_object))
                /* os-release has a dozen fields, one of which is for people. */
                text = show_pretty_name(value) ?: show_compact(value);
        else if (json_object_is_type(value, json_type_array))
                text = show_list(value);
        else
                text = show_scalar(key, value);
        output_pair(width, label, text ?: "?");
}

static int label_width(json_object *object)
{
        char label[LABEL_SIZE];
        int width = 0;

        if (!json_object_is_type(object, json_type_object))
                return 0;
        json_object_object_foreach(object, key, value)
        {
                (void)value;
                label_from_key(label, key);
                width = MAX_OF(width, (int)strlen(label));
        }
        return width;
}

static void print_section(const char *title, int width, json_object *object)
{
        printf("%s%s%s\n", output_style(STYLE_BOLD), title, output_style(STYLE_OFF));
        if (!json_object_is_type(object, json_type_object)) {
                _cleanup_free_ char *text = show_scalar("", object);

                printf("  %s\n", text ?: "?");
                return;
        }
        json_object_object_foreach(object, key, value) print_member(width, key, value);
}

/* What agent.info says, and beside it `system`, what system.info says. */
static int print_json(json_object *agent, json_object *machine)
{
        if (!json_object_is_type(agent, json_type_object)) {
                output_error("the guest's agent.info is no object");
                return EXIT_CONNECTION;
        }
        if (json_object_object_add(agent, "system", json_object_get(machine)) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        output_json(agent, false);
        return EXIT_OK;
}

int verb_info(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_json_ json_object *agent = NULL, *machine = NULL;
        _cleanup_(client_freep) Client *c = NULL;
        int r, width;

        r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, "agent.info", NULL, &agent);
        if (r == EXIT_OK)
                r = target_call(c, s, "system.info", NULL, &machine);
        if (r != EXIT_OK)
                return r;

        if (s->json)
                return print_json(agent, machine);
        width = MAX_OF(label_width(agent), label_width(machine));
        print_section("agent", width, agent);
        print_section("system", width, machine);
        return EXIT_OK;
}
