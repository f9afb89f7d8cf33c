/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "config/config.h"

typedef struct ConfigOption ConfigOption;
typedef struct ConfigType ConfigType;

/* A type of values: how they are read, written and dropped. */
struct ConfigType {
        /*
         * From text into *field, whose former value is released; it stays as it was on failure.
         * 0; -EINVAL with *ret_problem saying what is wrong and what would be right
         * (allocated); -ENOMEM.
         */
        int (*parse)(const ConfigOption *o, const char *text, void *field, char **ret_problem);
        /* In the form that parse() reads; NULL without memory. */
        char *(*print)(const ConfigOption *o, const void *field);
        /* NULL: the field owns nothing. */
        void (*done)(void *field);
        /* It is made of words, which have quotes of their own: words.h. */
        bool words;
};

/* -EINVAL with `'text' ` and a sentence in *ret_problem; or -ENOMEM. */
int value_refuse(const char *text, char **ret_problem, const char *format, ...) _printf_(3, 4);

extern const ConfigType config_type_address;      /* Address, to listen on */
extern const ConfigType config_type_boolean;      /* bool */
extern const ConfigType config_type_cids;         /* CidSet */
extern const ConfigType config_type_count;        /* uint64_t */
extern const ConfigType config_type_count_or_all; /* the same; UINT64_MAX, written 0: no limit */
extern const ConfigType config_type_globs;        /* char **, NULL-terminated */
extern const ConfigType config_type_group;        /* gid_t, -1: none */
extern const ConfigType config_type_handler;      /* HandlerKind */
extern const ConfigType config_type_level;        /* int */
extern const ConfigType config_type_mode;         /* mode_t */
extern const ConfigType config_type_size;         /* uint64_t, bytes */
extern const ConfigType config_type_text;         /* char * */
extern const ConfigType config_type_time;         /* uint64_t, microseconds */
extern const ConfigType config_type_time_or_none; /* the same; `infinity` becomes 0: none */
extern const ConfigType config_type_trust;        /* unsigned, a mask of Trust */
extern const ConfigType config_type_user;         /* uid_t, -1: none */
/* value-program.c */
extern const ConfigType config_type_command;      /* char **, NULL: none */
extern const ConfigType config_type_directory;    /* char *, an absolute path */
extern const ConfigType config_type_environment;  /* char **, NULL: none */
extern const ConfigType config_type_program_user; /* the user of a ProgramSettings */

/* value-scope.c */
extern const ConfigType config_type_limit_count; /* uint64_t, 0: `infinity` */
extern const ConfigType config_type_limit_size;  /* uint64_t, bytes, 0: `infinity` */
extern const ConfigType config_type_properties;  /* char **, NULL: none */
extern const ConfigType config_type_root;        /* char *, an absolute path, or NULL */
extern const ConfigType config_type_scope;       /* ProgramScope */
extern const ConfigType config_type_weight;      /* uint64_t, 0: 100 */

/*
 * Once `user` and `group` (each NULL or -1 where it is not set) have been read: the rest of what
 * a process is to be, has_user, gid and groups. 0; -EINVAL with *ret_problem; -errno.
 */
int program_settle(ProgramSettings *p, char **ret_problem);

/* value-method.c */
extern const ConfigType config_type_output;     /* MethodOutput */
extern const ConfigType config_type_params;     /* the params of a MethodSettings */
extern const ConfigType config_type_server;     /* Address of a server's Unix socket */
extern const ConfigType config_type_forward_to; /* Address, to connect to */
