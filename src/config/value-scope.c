/* SPDX-License-Identifier: MIT */

/* The types of the keys that say where programs run, and within what bounds. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "config/table.h"
#include "config/value.h"
#include "config/words.h"

static const struct {
        const char *word;
        ProgramScope scope;
} scope_names[] = {
        { "auto", SCOPE_AUTO },
        { "unit", SCOPE_UNIT },
        { "agent", SCOPE_AGENT },
};

static const char *scope_to_text(ProgramScope scope)
{
        for (size_t i = 0; i < ELEMENTSOF(scope_names); i++)
                if (scope_names[i].scope == scope)
                        return scope_names[i].word;
        return NULL;
}

static int parse_scope(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        for (size_t i = 0; i < ELEMENTSOF(scope_names); i++)
                if (strcmp(scope_names[i].word, text) == 0) {
                        *(ProgramScope *)field = scope_names[i].scope;
                        return 0;
                }
        return value_refuse(text, ret_problem,
                            "is not known: write unit (a transient systemd unit), agent (a child "
                            "of the agent's own) or auto");
}

static char *print_scope(const ConfigOption *o, const void *field)
{
        return strdup(scope_to_text(*(const ProgramScope *)field));
}

const ConfigType config_type_scope = { parse_scope, print_scope, NULL, false };

/* Whether a word is NAME=VALUE, and NAME one that a property of a unit may have. */
static int check_property(const char *word, char **ret_problem)
{
        const size_t n = strcspn(word, "=");
        bool sound = n > 0 && isupper((unsigned char)*word);

        for (size_t i = 0; i < n; i++)
                sound &= isascii(word[i]) && isalnum((unsigned char)word[i]);
        if (!word[n] || !sound)
                return value_refuse(word, ret_problem,
                                    "is no property of a unit: write NAME=VALUE as in "
                                    "systemd.exec(5), in quotes as a whole if the value has "
                                    "spaces");
        return 0;
}

static int parse_properties(const ConfigOption *o, const char *text, void *field,
                            char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        int r;

        r = words_split(text, &list, ret_problem);
        for (char **w = list; r >= 0 && *w; w++)
                r = check_property(*w, ret_problem);
        if (r < 0)
                return r;
        text_list_free(*(char ***)field);
        *(char ***)field = *list ? TAKE_PTR(list) : NULL;
        return 0;
}

static char *print_properties(const ConfigOption *o, const void *field)
{
        return words_join(*(char **const *)field);
}

static void done_properties(void *field)
{
        text_list_free(*(char ***)field);
        *(char ***)field = NULL;
}

const ConfigType config_type_properties = { parse_properties, print_properties, done_properties,
                                            true };

/* The limits: `infinity`, kept as 0, or what another type reads. */
static int parse_limit(const ConfigOption *o, const char *text, void *field, char **ret_problem,
                       const ConfigType *type)
{
        if (strcmp(text, "infinity") != 0)
                return type->parse(o, text, field, ret_problem);
        *(uint64_t *)field = 0;
        return 0;
}

static char *print_limit(const ConfigOption *o, const void *field, const ConfigType *type)
{
        return *(const uint64_t *)field == 0 ? strdup("infinity") : type->print(o, field);
}

static int parse_limit_size(const ConfigOption *o, const char *text, void *field,
                            char **ret_problem)
{
        return parse_limit(o, text, field, ret_problem, &config_type_size);
}

static char *print_limit_size(const ConfigOption *o, const void *field)
{
        return print_limit(o, field, &config_type_size);
}

const ConfigType config_type_limit_size = { parse_limit_size, print_limit_size, NULL, false };

static int parse_limit_count(const ConfigOption *o, const char *text, void *field,
                             char **ret_problem)
{
        return parse_limit(o, text, field, ret_problem, &config_type_count);
}

static char *print_limit_count(const ConfigOption *o, const void *field)
{
        return print_limit(o, field, &config_type_count);
}

const ConfigType config_type_limit_count = { parse_limit_count, print_limit_count, NULL, false };

/* What the kernel sets anyway needs no control group to be set in. */
#define WEIGHT_PRESET 100

static int parse_weight(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        uint64_t *v = field;
        int r;

        r = config_type_count.parse(o, text, field, ret_problem);
        if (r >= 0 && *v == WEIGHT_PRESET)
                *v = 0;
        return r;
}

static char *print_weight(const ConfigOption *o, const void *field)
{
        const uint64_t preset = WEIGHT_PRESET, *v = field;

        return config_type_count.print(o, *v > 0 ? v : &preset);
}

const ConfigType config_type_weight = { parse_weight, print_weight, NULL, false };

static int parse_root(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        if (*text)
                return config_type_directory.parse(o, text, field, ret_problem);
        free(*(char **)field);
        *(char **)field = NULL;
        return 0;
}

static char *print_root(const ConfigOption *o, const void *field)
{
        const char *root = *(char *const *)field;

        return strdup(root ? root : "");
}

const ConfigType config_type_root = { parse_root, print_root, freep, false };
