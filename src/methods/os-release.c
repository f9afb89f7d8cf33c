/* SPDX-License-Identifier: MIT */
#include "methods/os-release.h"

#include <string.h>

#include "methods/facts.h"
#include "methods/members.h"

#define NAME_MAX_LENGTH 63U
#define ASSIGNMENTS_MAX 64U
#define FILE_MAX_SIZE 16384U

static const char *skip_line(const char *p)
{
        p += strcspn(p, "\n");
        return *p == '\n' ? p + 1 : p;
}

/* NAME= at p: copies the name in lower case; returns what follows the sign, or NULL. */
static const char *parse_name(const char *p, char ret[static NAME_MAX_LENGTH + 1])
{
        size_t n = 0;

        for (; (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '_' ||
               (*p >= '0' && *p <= '9' && n > 0);
             p++) {
                if (n == NAME_MAX_LENGTH)
                        return NULL;
                ret[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        }
        ret[n] = '\0';
        return n > 0 && *p == '=' ? p + 1 : NULL;
}

/*
 * A value by the shell's rules, as os-release(5) asks: bare, in single quotes (nothing is
 * special) or in double ones, where a backslash escapes " $ \ and `; the parts are joined.
 * Writes it to `value`, which is as large as the rest of the text; returns where it ends.
 */
static const char *parse_value(const char *p, char *value, size_t *ret_length)
{
        char quote = '\0';
        size_t n = 0;

        for (; *p != '\0'; p++) {
                if (quote == '\0' && strchr(" \t\r\n", *p))
                        break;
                if (quote == '\0' && (*p == '"' || *p == '\''))
                        quote = *p;
                else if (quote != '\0' && *p == quote)
                        quote = '\0';
                else if (*p == '\\' && quote != '\'' && p[1] != '\0' &&
                         (quote == '\0' || strchr("\"$\\`", p[1])))
                        value[n++] = *++p;
                else
                        value[n++] = *p;
        }
        *ret_length = n;
        return p;
}

json_object *os_release_parse(const char *text)
{
        _cleanup_free_ char *value = malloc(strlen(text) + 1);
        _cleanup_members_ Members m;
        const char *p = text;

        if (!value)
                return NULL;
        members_init(&m);
        members_add_text(&m, "id", "linux");
        members_add_text(&m, "name", "Linux");
        members_add_text(&m, "pretty_name", "Linux");
        members_add_null(&m, "version_id");
        for (unsigned n = 0; *p != '\0' && n < ASSIGNMENTS_MAX; p = skip_line(p)) {
                char name[NAME_MAX_LENGTH + 1];
                const char *begin;
                size_t length;

                p += strspn(p, " \t");
                begin = parse_name(p, name);
                if (!begin)
                        continue;
                p = parse_value(begin, value, &length);
                members_add_value_named(&m, name, members_text(value, length));
                n++;
        }
        return members_take(&m);
}

json_object *os_release_read(const char *root)
{
        _cleanup_free_ char *text = malloc(FILE_MAX_SIZE);

        if (!text)
                return NULL;
        if (facts_read(root, "/etc/os-release", text, FILE_MAX_SIZE) < 0 &&
            facts_read(root, "/usr/lib/os-release", text, FILE_MAX_SIZE) < 0)
                text[0] = '\0';
        return os_release_parse(text);
}
