/* SPDX-License-Identifier: MIT */
#include "proc/unit-property.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/words.h"

typedef struct UnitType UnitType;

struct UnitType {
        const char *name; /* both in UnitTypes.text */
        const char *signature;
};

struct UnitTypes {
        char *text;
        UnitType *list;
        size_t n;
        size_t n_allocated;
};

UnitTypes *unit_types_free(UnitTypes *t)
{
        if (!t)
                return NULL;
        free(t->text);
        free(t->list);
        free(t);
        return NULL;
}

static int add_type(UnitTypes *t, const char *name, const char *signature)
{
        if (t->n == t->n_allocated) {
                size_t n = MAX_OF(t->n_allocated * 2, (size_t)256);
                UnitType *list = reallocarray(t->list, n, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                t->list = list;
                t->n_allocated = n;
        }
        t->list[t->n++] = (UnitType){ .name = name, .signature = signature };
        return 0;
}

/* The value of an attribute of a tag, and behind it its quote; NULL where it has none. */
static char *find_attribute(char *tag, const char *name)
{
        size_t n = strlen(name);

        for (char *p = tag; (p = strstr(p, name)); p += n)
                if (p > tag && p[-1] == ' ' && strncmp(p + n, "=\"", 2) == 0 &&
                    strchr(p + n + 2, '"'))
                        return p + n + 2;
        return NULL;
}

int unit_types_new(const char *xml, UnitTypes **ret)
{
        static const char tag[] = "<property";
        _cleanup_(unit_types_freep) UnitTypes *t = NULL;
        char *p, *end;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->text = strdup(xml);
        if (!t->text)
                return -ENOMEM;
        for (p = t->text; (p = strstr(p, tag)); p = end) {
                char *name, *signature;

                p += strlen(tag);
                end = strchr(p, '>');
                if (!end)
                        break;
                *end++ = '\0';
                name = find_attribute(p, "name");
                signature = find_attribute(p, "type");
                if (!name || !signature)
                        continue;
                *strchr(name, '"') = '\0';
                *strchr(signature, '"') = '\0';
                r = add_type(t, name, signature);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(t);
        return 0;
}

/* "t", "as", …; NULL where there is no such property. Borrowed. */
static const char *unit_types_find(const UnitTypes *t, const char *name)
{
        for (size_t i = 0; i < t->n; i++)
                if (strcmp(t->list[i].name, name) == 0)
                        return t->list[i].signature;
        return NULL;
}

static int refuse(const char *assignment, char **ret_problem, const char *why)
{
        *ret_problem = text_format("property %s: %s", assignment, why);
        return *ret_problem ? -EINVAL : -ENOMEM;
}

/* Those by which a unit is one program that ends once, and tells us. */
static bool is_reserved(const char *name)
{
        static const char *const names[] = {
                "AddRef",          "Description",
                "CollectMode",     "ExecStart",
                "PIDFile",         "Restart",
                "RemainAfterExit", "Type",
                "StandardInput",   "StandardInputFileDescriptor",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return false;
}

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text), k = strlen(end);

        return n >= k && strcmp(text + n - k, end) == 0;
}

/* "50%" of what can be had: to systemd, of 2^32 - 1. */
static int read_percent(const char *value, uint64_t whole, uint64_t max, uint64_t *ret)
{
        _cleanup_free_ char *digits = strdup(value);
        uint64_t percent;

        if (!digits)
                return -ENOMEM;
        digits[strlen(digits) - 1] = '\0';
        if (text_to_u64(digits, &percent) < 0 || percent > max)
                return -EINVAL;
        *ret = whole * percent / 100U;
        return 0;
}

static int append_percent(sd_bus_message *m, const char *name, const char *value)
{
        _cleanup_free_ char *scale = text_format("%sScale", name);
        uint64_t number;
        int r;

        if (!scale)
                return -ENOMEM;
        r = read_percent(value, UINT32_MAX, 100, &number);
        return r < 0 ? r : sd_bus_message_append(m, "(sv)", scale, "u", (uint32_t)number);
}

/* A time in the names that say so; a count or a size, with systemd's T for 2^40, in the others. */
static int read_unsigned(const char *name, const char *value, uint64_t *ret)
{
        size_t n = strlen(value);
        int r;

        if (strcmp(value, "infinity") == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        if (ends_with(name, "USec"))
                return text_to_usec(value, ret);
        if (n > 1 && value[n - 1] == 'T') {
                _cleanup_free_ char *giga = strdup(value);

                if (!giga)
                        return -ENOMEM;
                giga[n - 1] = 'G';
                r = text_to_size(giga, ret);
                return r < 0 ? r : *ret > UINT64_MAX / 1024U ? -ERANGE : (*ret *= 1024U, 0);
        }
        return text_to_size(value, ret);
}

static int read_signed(const char *value, int64_t *ret)
{
        bool minus = *value == '-';
        uint64_t number;

        if (text_to_u64(value + (minus || *value == '+'), &number) < 0 || number > INT32_MAX)
                return -EINVAL;
        *ret = minus ? -(int64_t)number : (int64_t)number;
        return 0;
}

/* Masks of a mode are octal, as everywhere. */
static int read_u32(const char *name, const char *value, uint32_t *ret)
{
        unsigned mode;
        int r;

        if (!ends_with(name, "Mask") && !ends_with(name, "Mode"))
                return text_to_u32(value, ret);
        r = text_to_mode(value, &mode);
        if (r >= 0)
                *ret = mode;
        return r;
}

static int append_number(sd_bus_message *m, char type, const char *name, const char *value)
{
        union {
                uint64_t t;
                int64_t x;
                uint32_t u;
        } n;
        int r;

        switch (type) {
        case 't':
                r = read_unsigned(name, value, &n.t);
                return r < 0 ? r : sd_bus_message_append(m, "(sv)", name, "t", n.t);
        case 'u':
                r = read_u32(name, value, &n.u);
                return r < 0 ? r : sd_bus_message_append(m, "(sv)", name, "u", n.u);
        case 'i':
                r = read_signed(value, &n.x);
                return r < 0 ? r : sd_bus_message_append(m, "(sv)", name, "i", (int32_t)n.x);
        default:
                r = read_signed(value, &n.x);
                return r < 0 ? r : sd_bus_message_append(m, "(sv)", name, "x", n.x);
        }
}

/* "as", or, for lists that may be turned around by a "~", "(bas)". */
static int append_list(sd_bus_message *m, const char *name, const char *signature,
                       const char *value)
{
        _cleanup_free_ char *problem = NULL;
        _cleanup_text_list_ char **words = NULL;
        bool inverted = signature[0] == '(' && *value == '~';
        int r;

        r = words_split(value + inverted, &words, &problem);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', signature);
        if (r >= 0 && signature[0] == '(') {
                r = sd_bus_message_open_container(m, 'r', "bas");
                if (r >= 0)
                        r = sd_bus_message_append(m, "b", !inverted);
        }
        if (r >= 0)
                r = sd_bus_message_append_strv(m, words);
        for (int i = signature[0] == '(' ? 3 : 2; i > 0 && r >= 0; i--)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_typed(sd_bus_message *m, const char *signature, const char *name,
                        const char *value)
{
        bool yes;
        int r;

        if (strcmp(signature, "s") == 0)
                return sd_bus_message_append(m, "(sv)", name, "s", value);
        if (strcmp(signature, "b") == 0) {
                r = text_to_boolean(value, &yes);
                return r < 0 ? r : sd_bus_message_append(m, "(sv)", name, "b", (int)yes);
        }
        if (strlen(signature) == 1 && strchr("tuix", *signature))
                return append_number(m, *signature, name, value);
        if (strcmp(signature, "as") == 0 || strcmp(signature, "(bas)") == 0)
                return append_list(m, name, signature, value);
        return -EOPNOTSUPP;
}

/* The names under which systemd takes what unit files call otherwise. */
static char *bus_name(const UnitTypes *t, const char *assignment, size_t n)
{
        if (n == 8 && strncmp(assignment, "CPUQuota", n) == 0)
                return strdup("CPUQuotaPerSecUSec");
        if (n > 3 && strncmp(assignment + n - 3, "Sec", 3) == 0) {
                _cleanup_free_ char *name = text_format("%.*sUSec", (int)n - 3, assignment);

                if (!name || unit_types_find(t, name))
                        return TAKE_PTR(name);
        }
        return strndup(assignment, n);
}

int unit_property_append(sd_bus_message *m, const UnitTypes *t, const char *assignment,
                         char **ret_problem)
{
        const size_t n = strcspn(assignment, "=");
        const char *value = assignment + n + 1, *signature;
        _cleanup_free_ char *name = NULL;
        uint64_t number;
        int r;

        if (n == 0 || !assignment[n])
                return refuse(assignment, ret_problem, "is not of the form NAME=VALUE");
        name = bus_name(t, assignment, n);
        if (!name)
                return -ENOMEM;
        if (is_reserved(name))
                return refuse(assignment, ret_problem, "is not for others to set");
        signature = unit_types_find(t, name);
        if (!signature)
                return refuse(assignment, ret_problem,
                              "systemd here does not know it as one of a service");
        if (strcmp(signature, "t") == 0 && ends_with(value, "%")) {
                if (strcmp(name, "CPUQuotaPerSecUSec") != 0)
                        r = append_percent(m, name, value);
                else if ((r = read_percent(value, 1000000, 1000000, &number)) >= 0)
                        r = sd_bus_message_append(m, "(sv)", name, "t", number);
        } else
                r = append_typed(m, signature, name, value);
        if (r == -EOPNOTSUPP)
                return refuse(assignment, ret_problem, "is of a type that cannot be written so");
        if (r == -EINVAL || r == -ERANGE)
                return refuse(assignment, ret_problem, "is not a value of its type");
        return r < 0 ? r : 0;
}
