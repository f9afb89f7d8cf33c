/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/verb.h"

#define OPTIONS_MAX 64
#define LONG_BASE 256 /* what getopt_long() returns for options[0] */

#define TIMEOUT_DEFAULT 10000000ULL
#define INTERVAL_DEFAULT 1000000ULL

/* The command line, taken apart. */
typedef struct CommandLine {
        char **words; /* what is no option, in order, NULL at the end; the strings are argv's */
        size_t n_words;
        const Verb *verb; /* NULL where none was found */
        unsigned given;   /* OptionBits */
        Settings settings;
} CommandLine;

static void command_line_done(CommandLine *c)
{
        free(c->words);
        text_list_free(c->settings.environment);
}

/* Whether the value of an option, as it stands in one word, is the next word. Where its letter
 * means different things with different verbs, the next word may be the verb itself. */
static bool is_value_next(const char *word, const char *next)
{
        const Option *o = NULL;
        const char *p;

        if (word[1] == '-') {
                o = strchr(word, '=') ? NULL : option_by_name(NULL, word + 2);
                return o && o->value && !o->optional;
        }
        for (p = word + 1; *p; p++) {
                o = option_by_letter(NULL, *p);
                if (o && o->value)
                        break;
        }
        return *p && !p[1] && next && !verb_find(next);
}

/* The verb, which says what the options mean, before they are looked at. */
static const Verb *find_verb(char **argv)
{
        for (size_t i = 1; argv[i]; i++) {
                if (strcmp(argv[i], "--") == 0)
                        return argv[i + 1] ? verb_find(argv[i + 1]) : NULL;
                if (argv[i][0] != '-' || !argv[i][1])
                        return verb_find(argv[i]);
                if (is_value_next(argv[i], argv[i + 1]))
                        i++;
                if (!argv[i])
                        break;
        }
        return NULL;
}

/* The option table in getopt's terms. A leading '-' hands out words in their place, so that
 * options may stand anywhere whatever POSIXLY_CORRECT says. */
static void fill_getopt(const Verb *v, struct option longs[static OPTIONS_MAX + 1],
                        char shorts[static 2 * OPTIONS_MAX + 3])
{
        char *p = stpcpy(shorts, "-:");
        size_t n = 0;

        for (const Option *o = options; o->name && n < OPTIONS_MAX; o++) {
                if (option_by_name(v, o->name) == o)
                        longs[n++] = (struct option){
                                .name = o->name,
                                .has_arg = !o->value     ? no_argument
                                           : o->optional ? optional_argument
                                                         : required_argument,
                                .val = LONG_BASE + (int)(o - options),
                        };
                if (o->letter && option_by_letter(v, o->letter) == o) {
                        *p++ = o->letter;
                        if (o->value)
                                *p++ = ':';
                }
        }
        *p = 0;
        longs[n] = (struct option){};
}

static const Option *option_from_getopt(const Verb *v, int c)
{
        return c >= LONG_BASE ? &options[c - LONG_BASE] : option_by_letter(v, (char)c);
}

static int usage(const char *verb)
{
        fprintf(stderr, "Try `guestwire%s%s --help`.\n", verb ? " " : "", verb ?: "");
        return EXIT_USAGE;
}

/* What getopt_long() did not take. It tells of a letter by its code in optopt, of a long option
 * that it knows by its val, of any other by 0. word: the last of argv that it looked at. */
static int bad_option(const Verb *v, int c, const char *word)
{
        _cleanup_free_ char *shown = output_shown(word);
        const Option *o = option_from_getopt(v, optopt);
        const char letter[] = { '-', (char)optopt, 0 };

        if (c == ':')
                output_error("--%s needs a value", o ? o->name : "?");
        else if (o)
                output_error("--%s takes no value", o->name);
        else if (optopt > 0 && optopt < LONG_BASE)
                output_error("there is no option %s", optopt < 0x80 ? letter : shown);
        else
                output_error("there is no option %s, or more than one that begins so", shown);
        return usage(NULL);
}

static int bad_value(const Option *o, const char *value)
{
        _cleanup_free_ char *shown = output_shown(value ?: "");

        output_error("--%s: '%s' is no %s", o->name, shown, o->wants);
        return usage(NULL);
}

/* What getopt has left behind "--" (NULL where that was not there), or words like the others. */
static void take_rest(CommandLine *c, char **rest, bool dashes)
{
        if (dashes && c->verb && c->verb->takes_program) {
                c->settings.program = rest;
                return;
        }
        while (*rest)
                c->words[c->n_words++] = *rest++;
}

static int parse(int argc, char **argv, CommandLine *ret)
{
        struct option longs[OPTIONS_MAX + 1];
        char shorts[2 * OPTIONS_MAX + 3];
        const Option *o;
        int c;

        ret->verb = find_verb(argv);
        fill_getopt(ret->verb, longs, shorts);
        ret->words = calloc((size_t)argc + 1, sizeof(char *));
        if (!ret->words) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }

        opterr = 0;
        while ((c = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
                if (c == 1) {
                        ret->words[ret->n_words++] = optarg;
                        continue;
                }
                if (c == '?' || c == ':')
                        return bad_option(ret->verb, c, argv[optind - 1]);
                o = option_from_getopt(ret->verb, c);
                ret->given |= o->bit;
                if (o->set(&ret->settings, optarg) < 0)
                        return bad_value(o, optarg);
        }
        /* It stops at nothing else: words come in their place. */
        take_rest(ret, argv + optind, optind > 1 && strcmp(argv[optind - 1], "--") == 0);
        return EXIT_OK;
}

/* Whether the verb takes the options and as many words as were given. */
static int check(const Verb *v, const CommandLine *c)
{
        size_t n = c->n_words - 1;

        for (const Option *o = options; o->name; o++)
                if ((c->given & o->bit) && !verb_takes(v, o)) {
                        output_error("%s takes no --%s", v->name, o->name);
                        return usage(v->name);
                }
        if (n < v->min_args) {
                output_error("%s needs %s", v->name, v->args);
                return usage(v->name);
        }
        if (n > v->max_args) {
                _cleanup_free_ char *shown = output_shown(c->words[1 + v->max_args]);

                output_error("%s takes no '%s'", v->name, shown);
                return usage(v->name);
        }
        return EXIT_OK;
}

static int run(const CommandLine *c)
{
        const Verb *v;
        int r;

        if (c->settings.version) {
                printf("guestwire %s\n", PACKAGE_VERSION);
                return EXIT_OK;
        }
        v = c->n_words > 0 ? verb_find(c->words[0]) : NULL;
        if (c->n_words > 0 && !v) {
                _cleanup_free_ char *shown = output_shown(c->words[0]);

                output_error("'%s' is no verb", shown);
                return usage(NULL);
        }
        if (c->settings.help) {
                help_print(v);
                return EXIT_OK;
        }
        if (!v) {
                output_error("what is to be done? A verb is missing");
                return usage(NULL);
        }
        r = check(v, c);
        if (r != EXIT_OK)
                return r;
        return v->run(v, c->words + 1, c->n_words - 1, &c->settings);
}

int main(int argc, char **argv)
{
        _cleanup_(command_line_done) CommandLine c = {
                .settings = { .timeout = TIMEOUT_DEFAULT,
                              .interval = INTERVAL_DEFAULT,
                              .wait_time = TEXT_INFINITY,
                              .time_limit = TEXT_INFINITY },
        };
        int r, error;

        /* What the shells' completion scripts call; no option of anybody else's. */
        if (argc >= 2 && strcmp(argv[1], "--complete") == 0) {
                complete_print(argv + 2, (size_t)argc - 2);
                r = EXIT_OK;
        } else {
                r = parse(argc, argv, &c);
                if (r == EXIT_OK)
                        r = run(&c);
        }

        error = output_finish();
        if (error < 0) {
                /* A reader that has had enough is no error worth a word. */
                if (error != -EPIPE)
                        output_error("cannot write: %s", strerror(-error));
                return r != EXIT_OK ? r : EXIT_REFUSED;
        }
        return r;
}
