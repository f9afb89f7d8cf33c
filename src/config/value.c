/* SPDX-License-Identifier: MIT */
#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "config/table.h"
#include "config/user.h"

/* How much of a bad value an error repeats. */
#define VALUE_SHOWN 64
/* No method's name is longer by far. */
#define GLOB_MAX 128
#define GLOBS_MAX 512

int value_refuse(const char *text, char **ret_problem, const char *format, ...)
{
        _cleanup_free_ char *shown = NULL, *sentence = NULL;
        char *problem;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&sentence, format, ap);
        va_end(ap);
        if (n < 0) {
                sentence = NULL;
                return -ENOMEM;
        }
        shown = text_show(text, strlen(text), VALUE_SHOWN);
        problem = shown ? text_format("'%s' %s", shown, sentence) : NULL;
        if (!problem)
                return -ENOMEM;
        *ret_problem = problem;
        return -EINVAL;
}

static int parse_count(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        uint64_t v = 0;
        int r;

        r = text_to_u64(text, &v);
        if (r == -EINVAL)
                return value_refuse(text, ret_problem,
                                    "is not a number: write one from %" PRIu64 " to %" PRIu64,
                                    o->min, o->max);
        if (r < 0 || v < o->min || v > o->max)
                return value_refuse(text, ret_problem,
                                    "is out of range: write a number from %" PRIu64 " to %" PRIu64,
                                    o->min, o->max);
        *(uint64_t *)field = v;
        return 0;
}

static char *print_count(const ConfigOption *o, const void *field)
{
        return text_format("%" PRIu64, *(const uint64_t *)field);
}

const ConfigType config_type_count = { parse_count, print_count, NULL, false };

static int parse_count_or_all(const ConfigOption *o, const char *text, void *field,
                              char **ret_problem)
{
        uint64_t *v = field;
        int r;

        r = parse_count(o, text, field, ret_problem);
        if (r >= 0 && *v == 0)
                *v = UINT64_MAX;
        return r;
}

static char *print_count_or_all(const ConfigOption *o, const void *field)
{
        return *(const uint64_t *)field == UINT64_MAX ? strdup("0") : print_count(o, field);
}

const ConfigType config_type_count_or_all = { parse_count_or_all, print_count_or_all, NULL, false };

static int parse_size(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        char min[32], max[32];
        uint64_t v = 0;
        int r;

        text_from_size(min, o->min);
        text_from_size(max, o->max);
        r = text_to_size(text, &v);
        if (r == -EINVAL)
                return value_refuse(text, ret_problem,
                                    "is not a size: write bytes, or a number with K, M or G, "
                                    "from %s to %s",
                                    min, max);
        if (r < 0 || v < o->min || v > o->max)
                return value_refuse(text, ret_problem,
                                    "is out of range: write a size from %s to %s", min, max);
        *(uint64_t *)field = v;
        return 0;
}

static char *print_size(const ConfigOption *o, const void *field)
{
        char text[32];

        text_from_size(text, *(const uint64_t *)field);
        return strdup(text);
}

const ConfigType config_type_size = { parse_size, print_size, NULL, false };

static int parse_time(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        char min[64], max[64];
        uint64_t v = 0;
        int r;

        text_from_usec(min, o->min);
        text_from_usec(max, o->max);
        r = text_to_usec(text, &v);
        if (r == -EINVAL)
                return value_refuse(text, ret_problem,
                                    "is not a time: write one such as 500ms, 10s or 2min, from "
                                    "%s to %s, or infinity",
                                    min, max);
        if (r < 0 || (v != TEXT_INFINITY && (v < o->min || v > o->max)))
                return value_refuse(text, ret_problem,
                                    "is out of range: write a time from %s to %s, or infinity", min,
                                    max);
        *(uint64_t *)field = v;
        return 0;
}

static int parse_time_or_none(const ConfigOption *o, const char *text, void *field,
                              char **ret_problem)
{
        uint64_t *v = field;
        int r;

        r = parse_time(o, text, field, ret_problem);
        if (r >= 0 && *v == TEXT_INFINITY)
                *v = 0;
        return r;
}

static char *print_time(const ConfigOption *o, const void *field)
{
        char text[64];

        text_from_usec(text, *(const uint64_t *)field);
        return strdup(text);
}

const ConfigType config_type_time = { parse_time, print_time, NULL, false };
const ConfigType config_type_time_or_none = { parse_time_or_none, print_time, NULL, false };

static int parse_boolean(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        if (text_to_boolean(text, field) < 0)
                return value_refuse(text, ret_problem, "is neither yes nor no: write one of them");
        return 0;
}

static char *print_boolean(const ConfigOption *o, const void *field)
{
        return strdup(*(const bool *)field ? "yes" : "no");
}

const ConfigType config_type_boolean = { parse_boolean, print_boolean, NULL, false };

static int parse_level(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        if (log_level_from_text(text, field) < 0)
                return value_refuse(text, ret_problem,
                                    "is no log level: write error, warning, notice, info or "
                                    "debug");
        return 0;
}

static char *print_level(const ConfigOption *o, const void *field)
{
        return strdup(log_level_to_text(*(const int *)field));
}

const ConfigType config_type_level = { parse_level, print_level, NULL, false };

static int parse_mode(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        unsigned mode = 0;

        if (text_to_mode(text, &mode) < 0 || mode > 0777)
                return value_refuse(text, ret_problem,
                                    "is no file mode: write octal digits such as 0600 or 0660");
        *(mode_t *)field = mode;
        return 0;
}

static char *print_mode(const ConfigOption *o, const void *field)
{
        return text_format("%04o", (unsigned)*(const mode_t *)field);
}

const ConfigType config_type_mode = { parse_mode, print_mode, NULL, false };

static int parse_text(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        free(*(char **)field);
        *(char **)field = copy;
        return 0;
}

static char *print_text(const ConfigOption *o, const void *field)
{
        return strdup(*(char *const *)field);
}

/* Of several rows for one field each comes by. */
static void text_done(void *field)
{
        char **text = field;

        free(*text);
        *text = NULL;
}

const ConfigType config_type_text = { parse_text, print_text, text_done, false };

static int parse_address(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        Address a = ADDRESS_NULL;
        int r;

        /* The preset: none. That one is given is checked when all is read. */
        if (*text) {
                r = address_parse_listen(text, &a, ret_problem);
                if (r < 0)
                        return r;
        }
        address_done(field);
        *(Address *)field = a;
        return 0;
}

static char *print_address(const ConfigOption *o, const void *field)
{
        return address_to_text(field);
}

static void done_address(void *field)
{
        address_done(field);
}

const ConfigType config_type_address = { parse_address, print_address, done_address, false };

static int parse_cids(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        CidSet s = CID_SET_NULL;
        int r;

        r = cid_set_parse(text, &s, ret_problem);
        if (r < 0)
                return r;
        cid_set_done(field);
        *(CidSet *)field = s;
        return 0;
}

static char *print_cids(const ConfigOption *o, const void *field)
{
        return cid_set_to_text(field);
}

static void done_cids(void *field)
{
        cid_set_done(field);
}

const ConfigType config_type_cids = { parse_cids, print_cids, done_cids, false };

/* Whether a glob can match the name of any method: their letters, and fnmatch()'s signs. */
static bool glob_is_sound(const char *glob)
{
        if (!*glob || strlen(glob) > GLOB_MAX)
                return false;
        for (const char *p = glob; *p; p++)
                if (!isascii(*p) || (!isalnum(*p) && !strchr("._-*?[]!", *p)))
                        return false;
        return true;
}

static int parse_globs(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        _cleanup_free_ char *copy = NULL;
        char *rest, *word;
        size_t n = 0;

        list = calloc(1, sizeof(*list));
        copy = strdup(text);
        if (!list || !copy)
                return -ENOMEM;

        for (rest = *copy ? copy : NULL; rest;) {
                word = text_strip(strsep(&rest, ","));
                if (!*word)
                        return value_refuse(text, ret_problem,
                                            "has an empty entry: remove a comma");
                if (!glob_is_sound(word))
                        return value_refuse(word, ret_problem,
                                            "matches no method's name: write names and globs such "
                                            "as agent.*, with commas between them");
                if (++n > GLOBS_MAX)
                        return value_refuse(text, ret_problem,
                                            "has too many entries: use at most %d", GLOBS_MAX);
                if (text_list_take(&list, strdup(word)) < 0)
                        return -ENOMEM;
        }
        text_list_free(*(char ***)field);
        *(char ***)field = TAKE_PTR(list);
        return 0;
}

static char *print_globs(const ConfigOption *o, const void *field)
{
        char *const *list = *(char **const *)field;
        size_t n = 1, at = 0;
        char *text;

        for (char *const *p = list; *p; p++)
                n += strlen(*p) + strlen(", ");
        text = malloc(n);
        if (!text)
                return NULL;
        *text = '\0';
        for (char *const *p = list; *p; p++)
                at += (size_t)snprintf(text + at, n - at, "%s%s", p > list ? ", " : "", *p);
        return text;
}

static void done_globs(void *field)
{
        text_list_freep(field);
}

const ConfigType config_type_globs = { parse_globs, print_globs, done_globs, false };

static const char *const handler_names[HANDLER_KIND_MAX] = {
        [HANDLER_RPC] = "rpc",
        [HANDLER_ECHO] = "echo",
        [HANDLER_FORWARD] = "forward",
        [HANDLER_EXEC] = "exec",
};

const char *handler_kind_to_text(HandlerKind k)
{
        return handler_names[k];
}

static int parse_handler(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        char names[128] = "";

        for (size_t i = 0; i < HANDLER_KIND_MAX; i++)
                if (strcmp(text, handler_names[i]) == 0) {
                        *(HandlerKind *)field = (HandlerKind)i;
                        return 0;
                }
        for (size_t i = 0; i < HANDLER_KIND_MAX; i++) {
                size_t n = strlen(names);

                (void)snprintf(names + n, sizeof(names) - n, "%s%s", i > 0 ? ", " : "",
                               handler_names[i]);
        }
        return value_refuse(text, ret_problem, "is no handler: there is %s", names);
}

static char *print_handler(const ConfigOption *o, const void *field)
{
        return strdup(handler_kind_to_text(*(const HandlerKind *)field));
}

const ConfigType config_type_handler = { parse_handler, print_handler, NULL, false };

/* The ways that may stand beside others, in the order in which they are printed. */
static const struct {
        unsigned trust;
        const char *name;
} trust_names[] = {
        { TRUST_PRIVILEGED, "privileged" },
        { TRUST_PEERS, "peers" },
        { TRUST_TOKEN, "token" },
};

static int parse_trust_word(const char *word, unsigned *trust, char **ret_problem)
{
        for (size_t i = 0; i < ELEMENTSOF(trust_names); i++)
                if (strcmp(word, trust_names[i].name) == 0) {
                        *trust |= trust_names[i].trust;
                        return 0;
                }
        if (!*word)
                return value_refuse(word, ret_problem, "is an empty entry: remove a comma");
        if (strcmp(word, "nobody") == 0)
                return value_refuse(word, ret_problem,
                                    "stands alone: remove it or the words beside it");
        return value_refuse(word, ret_problem,
                            "is none of privileged, token, peers and nobody: write one of them, or "
                            "several with commas between them");
}

static int parse_trust(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        _cleanup_free_ char *copy = NULL;
        unsigned trust = TRUST_NOBODY;
        char *rest;
        int r;

        rest = copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        if (strcmp(text, "nobody") == 0)
                rest = NULL;
        while (rest) {
                r = parse_trust_word(text_strip(strsep(&rest, ",")), &trust, ret_problem);
                if (r < 0)
                        return r;
        }
        *(unsigned *)field = trust;
        return 0;
}

static char *print_trust(const ConfigOption *o, const void *field)
{
        const unsigned trust = *(const unsigned *)field;
        char text[64] = "";
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(trust_names); i++)
                if (trust & trust_names[i].trust)
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? ", " : "",
                                              trust_names[i].name);
        return strdup(n > 0 ? text : "nobody");
}

const ConfigType config_type_trust = { parse_trust, print_trust, NULL, false };

static int parse_id(const char *text, const char *what, const char *file,
                    int (*find)(const char *, uint32_t *), uint32_t *field, char **ret_problem)
{
        uint32_t id = UINT32_MAX;

        if (!*text) {
                *field = UINT32_MAX;
                return 0;
        }
        /* (uid_t)-1 means "leave it" to chown(2). */
        if (isdigit((unsigned char)*text) && (text_to_u32(text, &id) < 0 || id == UINT32_MAX))
                return value_refuse(text, ret_problem,
                                    "is no %s's number: write one from 0 to 4294967294, or a name",
                                    what);
        if (id == UINT32_MAX && find(text, &id) < 0)
                return value_refuse(text, ret_problem,
                                    "is no %s in %s: write a name from there, or a number", what,
                                    file);
        *field = id;
        return 0;
}

static int parse_user(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        return parse_id(text, "user", "/etc/passwd", user_find_number, field, ret_problem);
}

static int parse_group(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        return parse_id(text, "group", "/etc/group", user_find_group, field, ret_problem);
}

static char *print_id(const ConfigOption *o, const void *field)
{
        uint32_t id = *(const uint32_t *)field;

        return id == UINT32_MAX ? strdup("") : text_format("%" PRIu32, id);
}

const ConfigType config_type_user = { parse_user, print_id, NULL, false };
const ConfigType config_type_group = { parse_group, print_id, NULL, false };

_Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t),
               "numbers of users and groups are stored through uint32_t");
