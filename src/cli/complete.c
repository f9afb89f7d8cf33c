/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/verb.h"

/* What the shells' completion asks for. A guest is never asked: a key press makes no call. */

static void print_if(const char *prefix, const char *word, const char *meaning)
{
        if (strncmp(word, prefix, strlen(prefix)) == 0)
                printf("%s\t%s\n", word, meaning);
}

static void complete_verbs(const char *prefix)
{
        for (const Verb *v = verbs; v->name; v++)
                print_if(prefix, v->name, v->summary);
}

/* Sockets, or all files, and folders on the way to them. kind: "unix:", "mux:", "--token=" or "",
 * what stands before the path. */
static void complete_path(const char *kind, const char *path, bool files)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *folder = NULL;
        struct dirent *d;
        struct stat st;
        DIR *dir;

        folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("");
        dir = folder ? opendir(folder[0] ? folder : ".") : NULL;
        if (!dir)
                return;
        while ((d = readdir(dir))) {
                if (strncmp(d->d_name, name, strlen(name)) != 0 ||
                    (d->d_name[0] == '.' && name[0] != '.') || strchr(d->d_name, '\n') ||
                    strchr(d->d_name, '\t'))
                        continue;
                if (fstatat(dirfd(dir), d->d_name, &st, 0) < 0)
                        continue;
                if (S_ISDIR(st.st_mode))
                        printf("%s%s%s/\tfolder\n", kind, folder, d->d_name);
                else if (S_ISSOCK(st.st_mode))
                        printf("%s%s%s\tsocket\n", kind, folder, d->d_name);
                else if (files)
                        printf("%s%s%s\tfile\n", kind, folder, d->d_name);
        }
        closedir(dir);
}

/* Of the values of options only files can be offered: the others are numbers, times and names. */
static void complete_value(const Option *o, const char *before, const char *value)
{
        if (strcmp(o->value, "FILE") == 0)
                complete_path(before, value, true);
}

static void complete_options(const char *prefix, const Verb *v)
{
        const char *equals = strchr(prefix, '=');
        const Option *given = equals ? option_by_name(v, prefix + 2) : NULL;
        char text[64];

        if (given && given->value) {
                _cleanup_free_ char *before = strndup(prefix, (size_t)(equals - prefix) + 1);

                if (before)
                        complete_value(given, before, equals + 1);
                return;
        }

        for (const Option *o = options; o->name; o++) {
                if (v && !verb_takes(v, o))
                        continue;
                /* The '=' tells the shell to leave the cursor behind it. */
                snprintf(text, sizeof(text), "--%s%s", o->name,
                         o->value && !o->optional ? "=" : "");
                print_if(prefix, text, o->summary);
        }
}

static void complete_target(const char *prefix)
{
        static const char *const paths[] = { "unix:", "mux:" };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                if (strncmp(prefix, paths[i], strlen(paths[i])) == 0) {
                        complete_path(paths[i], prefix + strlen(paths[i]), false);
                        return;
                }
        print_if(prefix, "local", "this machine, over vsock");
        print_if(prefix, "host", "the machine that this guest runs on");
        print_if(prefix, "vsock:", "a guest by its CID");
        print_if(prefix, "mux:", "a guest behind its VMM's Unix socket");
        print_if(prefix, "unix:", "an agent's Unix socket");
        print_if(prefix, "tcp:", "an agent on TCP");
        if (strncmp(prefix, "vsock:", strlen("vsock:")) == 0) {
                print_if(prefix, "vsock:local", "this machine");
                print_if(prefix, "vsock:host", "the machine that this guest runs on");
        }
}

/* The option whose value is the next word, or NULL. */
static const Option *option_awaiting(const Verb *v, const char *word)
{
        const Option *o = NULL;

        if (word[0] == '-' && word[1] == '-' && word[2] && !strchr(word, '='))
                o = option_by_name(v, word + 2);
        else if (word[0] == '-' && word[1] && !word[2])
                o = option_by_letter(v, word[1]);
        return o && o->value && !o->optional ? o : NULL;
}

void complete_print(char *const *words, size_t n)
{
        const char *last = n > 0 ? words[n - 1] : "";
        bool options_end = false;
        const Verb *v = NULL;
        size_t n_words = 0;

        for (size_t i = 0; i + 1 < n; i++) {
                if (!options_end && strcmp(words[i], "--") == 0) {
                        options_end = true;
                } else if (!options_end && option_awaiting(v, words[i])) {
                        if (i + 2 >= n) {
                                complete_value(option_awaiting(v, words[i]), "", last);
                                return;
                        }
                        i++;
                } else if (options_end || words[i][0] != '-') {
                        if (n_words++ == 0)
                                v = verb_find(words[i]);
                }
        }

        if (last[0] == '-' && !options_end)
                complete_options(last, v);
        else if (n_words == 0)
                complete_verbs(last);
        else if (v && v->takes_target && n_words == 1)
                complete_target(last);
        else if (v && v->takes_files) {
                complete_target(last);
                if (strncmp(last, "unix:", strlen("unix:")) != 0 &&
                    strncmp(last, "mux:", strlen("mux:")) != 0)
                        complete_path("", last, true);
        }
}
