/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/client.h"

/*
 * What guestwire can do, and how it can be told: two tables. The parser, the help texts and the
 * shells' completion derive from them.
 */
typedef struct Verb Verb;
typedef struct Option Option;
typedef struct Settings Settings;

typedef enum ExitCode {
        EXIT_OK = 0,
        EXIT_REFUSED = 1, /* the guest said no; or a local verb found something wrong */
        EXIT_USAGE = 2,
        EXIT_CONNECTION = 3,
        EXIT_TIMEOUT = 124, /* as timeout(1) */
        EXIT_PROGRAM = 255, /* of the verbs that end with a program's exit status: none was had */
} ExitCode;

typedef enum OptionBit {
        OPTION_COUNT = 1 << 0,
        OPTION_INTERVAL = 1 << 1,
        OPTION_TIMEOUT = 1 << 2,
        OPTION_WAIT = 1 << 3,
        OPTION_JSON = 1 << 4,
        OPTION_HELP = 1 << 5,
        OPTION_VERSION = 1 << 6,
        OPTION_CONFIG = 1 << 7,
        OPTION_REG = 1 << 8,
        OPTION_UNREGISTER = 1 << 9,
        OPTION_INPUT = 1 << 10,
        OPTION_TERMINAL = 1 << 11,
        OPTION_USER = 1 << 12,
        OPTION_ENVIRONMENT = 1 << 13,
        OPTION_DIRECTORY = 1 << 14,
        OPTION_TIME_LIMIT = 1 << 15,
        OPTION_DETACH = 1 << 16,
        OPTION_RECURSIVE = 1 << 20,
        OPTION_PRESERVE = 1 << 21,
        OPTION_RESUME = 1 << 22,
        OPTION_TOKEN = 1 << 23,
        OPTION_MESSAGE = 1 << 24,
        OPTION_SYNC = 1 << 25,
} OptionBit;

/* What the options set. Times are microseconds. */
struct Settings {
        uint64_t count; /* 0: no end */
        uint64_t interval;
        uint64_t timeout; /* TEXT_INFINITY: none */
        bool timeout_given;
        bool wait;
        uint64_t wait_time; /* TEXT_INFINITY: as long as it takes */
        bool json;
        const char *config; /* a file, or NULL */
        bool reg;
        bool unregister;
        bool input;
        bool terminal;
        const char *user; /* as the next: NULL where not given */
        const char *directory;
        char **environment;  /* NAME=VALUE, or NULL */
        uint64_t time_limit; /* TEXT_INFINITY: none */
        bool detach;
        bool recursive;
        bool preserve;
        bool resume;
        const char *token;   /* the file of one, or NULL */
        const char *message; /* or NULL */
        bool sync;
        char **program; /* what stands behind "--", for a verb that takes_program; ends with NULL */
        bool help;
        bool version;
};

/* A row ends the table with a NULL name. A name or a letter may be in several rows: it means the
 * one that the verb takes. */
struct Option {
        const char *name;  /* without its dashes */
        char letter;       /* or 0 */
        const char *value; /* what its value is called; NULL: takes none */
        bool optional;     /* the value may be absent */
        OptionBit bit;
        const char *summary;
        /* value: NULL where none was given. 0, or -EINVAL for a value that makes no sense. */
        int (*set)(Settings *s, const char *value);
        const char *wants; /* "number of 1 or more": what a value must be */
};

struct Verb {
        const char *name;
        const char *args; /* "TARGET METHOD [PARAMS...]" */
        const char *summary;
        const char *help;   /* a paragraph, its lines broken */
        unsigned options;   /* OptionBits; --help is everybody's */
        bool takes_target;  /* its first argument is a TARGET */
        bool takes_files;   /* its arguments are files here, or TARGET:/PATH */
        bool takes_program; /* what stands behind "--" is not among its arguments */
        unsigned min_args;
        unsigned max_args;
        /* Prints what is to be said, errors too, and returns an ExitCode. args ends with NULL. */
        int (*run)(const Verb *verb, char **args, size_t n, const Settings *s);
};

#define ARGS_ANY UINT_MAX

extern const Verb verbs[];
extern const Option options[];

/* NULL where there is none. */
const Verb *verb_find(const char *name);
bool verb_takes(const Verb *v, const Option *o);
/* What a letter or a name (to its end, or to a '=' in it) means with this verb, or with the first
 * verb that takes it where v is NULL. NULL where there is none. */
const Option *option_by_letter(const Verb *v, char letter);
const Option *option_by_name(const Verb *v, const char *name);

/* Prints the help of all (NULL) or of one verb. */
void help_print(const Verb *v);
/* Prints what may stand in the place of the last of the words (those behind "guestwire"), one a
 * line: the word, a tab, and what it means. */
void complete_print(char *const *words, size_t n);

/* One verb a file. */
int verb_ping(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_info(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_call(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_methods(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_connect(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_forward(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_exec(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_shell(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_cp(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_jobs(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_attach(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_wait(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_kill(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_shutdown(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_reboot(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_time(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_cid(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_guid(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_hyperv(const Verb *verb, char **args, size_t n, const Settings *s);
int verb_doctor(const Verb *verb, char **args, size_t n, const Settings *s);
