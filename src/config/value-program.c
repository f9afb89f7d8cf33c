/* SPDX-License-Identifier: MIT */

/* The types of the keys that describe a program. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "config/config.h"
#include "config/table.h"
#include "config/user.h"
#include "config/value.h"
#include "config/words.h"

/* As of values that are not words; the escapes of printing do not count. */
#define WORDS_MAX 16384

/* As words_split(), with limits; *ret NULL where there are no words. */
static int split(const char *text, char ***ret, char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        size_t n = 0;
        int r;

        r = words_split(text, &list, ret_problem);
        if (r < 0)
                return r;
        for (char **w = list; *w; w++)
                n += strlen(*w) + 1;
        if (n > WORDS_MAX)
                return value_refuse(text, ret_problem, "is too long: use at most %d bytes",
                                    WORDS_MAX);
        *ret = *list ? TAKE_PTR(list) : NULL;
        return 0;
}

static char *print_words(const ConfigOption *o, const void *field)
{
        return words_join(*(char **const *)field);
}

static void done_words(void *field)
{
        text_list_free(*(char ***)field);
        *(char ***)field = NULL;
}

/* What systemd takes before the path of ExecStart=. */
static bool has_exec_prefix(const char *path)
{
        size_t n = strspn(path, "-@:+!|");

        return n > 0 && (path[n] == '/' || !path[n]);
}

static int parse_command(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        int r;

        r = split(text, &list, ret_problem);
        if (r < 0)
                return r;
        if (list && has_exec_prefix(list[0]))
                return value_refuse(list[0], ret_problem,
                                    "begins with a sign of systemd's ExecStart=, and those are "
                                    "not known here: begin with the program's path, '/'");
        if (list && list[0][0] != '/')
                return value_refuse(list[0], ret_problem,
                                    "is no absolute path, and none is searched for: write the "
                                    "whole path of the program, such as /bin/sh");
        if (list && list[0][strlen(list[0]) - 1] == '/')
                return value_refuse(list[0], ret_problem,
                                    "names a folder: write the whole path of the program");
        done_words(field);
        *(char ***)field = TAKE_PTR(list);
        return 0;
}

const ConfigType config_type_command = { parse_command, print_words, done_words, true };

static int check_variable(const char *word, char **ret_problem)
{
        const size_t n = strcspn(word, "=");
        _cleanup_free_ char *name = NULL;
        bool sound = n > 0 && !isdigit((unsigned char)*word);

        if (!word[n])
                return value_refuse(word, ret_problem,
                                    "is no variable: write NAME=VALUE, in quotes as a whole if "
                                    "the value has spaces");
        /* The value may be a secret: it is not repeated. */
        name = strndup(word, n);
        if (!name)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                sound &= isascii(name[i]) && (isalnum(name[i]) || name[i] == '_');
        if (!sound)
                return value_refuse(name, ret_problem,
                                    "is no name for a variable: use letters, digits and '_', and "
                                    "no digit first");
        if (strncmp(name, "GUESTWIRE_", strlen("GUESTWIRE_")) == 0)
                return value_refuse(name, ret_problem,
                                    "is a name that guestwire sets itself: choose one that does "
                                    "not begin with GUESTWIRE_");
        if (strcmp(name, "NOTIFY_SOCKET") == 0)
                return value_refuse(name, ret_problem,
                                    "would have the program speak to systemd in the agent's "
                                    "name: remove it");
        return 0;
}

static int parse_environment(const ConfigOption *o, const char *text, void *field,
                             char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        int r;

        r = split(text, &list, ret_problem);
        for (char **w = list; r >= 0 && w && *w; w++)
                r = check_variable(*w, ret_problem);
        if (r < 0)
                return r;
        done_words(field);
        *(char ***)field = TAKE_PTR(list);
        return 0;
}

const ConfigType config_type_environment = { parse_environment, print_words, done_words, true };

static int parse_directory(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        char *copy;

        if (*text != '/')
                return value_refuse(text, ret_problem, "is no absolute path: begin it with '/'");
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*(char **)field);
        *(char **)field = copy;
        return 0;
}

static char *print_directory(const ConfigOption *o, const void *field)
{
        return strdup(*(char *const *)field);
}

const ConfigType config_type_directory = { parse_directory, print_directory, freep, false };

/* How user is to be printed: so that it is found again. */
static bool is_readable_name(const char *name)
{
        return *name && !isdigit((unsigned char)*name) && text_is_utf8(name, strlen(name));
}

static void program_user_done(void *field)
{
        ProgramSettings *p = CONTAINER_OF(field, ProgramSettings, user);

        free(p->user);
        free(p->home);
        free(p->groups);
        p->user = p->home = NULL;
        p->groups = NULL;
        p->n_groups = 0;
}

static int parse_program_user(const ConfigOption *o, const char *text, void *field,
                              char **ret_problem)
{
        ProgramSettings *p = CONTAINER_OF(field, ProgramSettings, user);
        _cleanup_user_ User u = { .uid = (uid_t)-1 };
        const bool number = isdigit((unsigned char)*text);
        uint32_t id = 0;
        int r;

        if (number && (text_to_u32(text, &id) < 0 || id == UINT32_MAX))
                return value_refuse(text, ret_problem,
                                    "is no user's number: write one from 0 to 4294967294, or a "
                                    "name");
        if (*text) {
                r = user_find(number ? NULL : text, id, &u);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 && !number)
                        return value_refuse(text, ret_problem,
                                            "is no user in /etc/passwd: write a name from there, "
                                            "or a number");
                /* A number need have no name; its group is then to be given. */
                if (r < 0) {
                        u.uid = id;
                        u.home = strdup("/");
                        if (!u.home)
                                return -ENOMEM;
                }
                if (!u.name || !is_readable_name(u.name)) {
                        free(u.name);
                        u.name = text_format("%" PRIu32, id);
                        if (!u.name)
                                return -ENOMEM;
                }
        }
        program_user_done(field);
        p->user = TAKE_PTR(u.name);
        p->home = TAKE_PTR(u.home);
        p->uid = u.uid;
        return 0;
}

static char *print_program_user(const ConfigOption *o, const void *field)
{
        const char *user = *(char *const *)field;

        return strdup(user ? user : "");
}

const ConfigType config_type_program_user = { parse_program_user, print_program_user,
                                              program_user_done, false };

int program_settle(ProgramSettings *p, char **ret_problem)
{
        _cleanup_user_ User u = { .gid = (gid_t)-1 };
        int r;

        p->has_user = p->user || p->gid != (gid_t)-1;
        if (!p->has_user)
                return 0;
        if (!p->user)
                p->uid = geteuid();
        r = user_find(p->user && is_readable_name(p->user) ? p->user : NULL, p->uid, &u);
        if (r < 0 && r != -ENOENT)
                return r;
        if (p->gid == (gid_t)-1)
                p->gid = u.gid;
        if (p->gid == (gid_t)-1)
                return value_refuse(p->user, ret_problem,
                                    "is no user in /etc/passwd, so that its group is not "
                                    "known: add group");
        return user_groups(u.name, p->gid, &p->groups, &p->n_groups);
}
