/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/macros.h"
#include "config/token.h"
#include "io/address.h"
#include "io/cids.h"
#include "io/listen.h"

/* The whole configuration, read and checked, immutable once loaded, shared by reference. */
typedef struct Config Config;
typedef struct ConfigErrors ConfigErrors;
typedef struct AgentSettings AgentSettings;
typedef struct ListenSettings ListenSettings;
typedef struct MethodParam MethodParam;
typedef struct MethodSettings MethodSettings;
typedef struct ProgramSettings ProgramSettings;

/* What answers on a port. One row of config/table.c and one vtable in handlers/ each. */
typedef enum HandlerKind {
        HANDLER_RPC,
        HANDLER_ECHO,
        HANDLER_FORWARD,
        HANDLER_EXEC,
        HANDLER_KIND_MAX,
} HandlerKind;

/* Who counts as privileged on a port. A mask, so that ways can be added; 0 is `nobody`. */
typedef enum Trust {
        TRUST_NOBODY = 0,
        TRUST_PRIVILEGED = 1 << 0, /* peer_is_root() */
        TRUST_PEERS = 1 << 1,      /* everybody whom `peers` let in */
        TRUST_TOKEN = 1 << 2,      /* who has proved the token: agent.authenticate */
} Trust;

/* Where a program runs. */
typedef enum ProgramScope {
        SCOPE_AUTO,  /* unit where systemd is PID 1 and we may ask it, else agent */
        SCOPE_UNIT,  /* as a transient systemd unit, outside the agent's own sandbox */
        SCOPE_AGENT, /* as a child of the agent's, inside */
} ProgramScope;

struct AgentSettings {
        int log_level;            /* LOG_ERR .. LOG_DEBUG */
        uint64_t max_connections; /* over all ports */
        uint64_t max_message;     /* bytes of one JSON text */
        uint64_t max_values;      /* JSON values in one text */
        uint64_t max_calls;       /* in flight on one connection */
        uint64_t message_timeout; /* microseconds for a text once begun; TEXT_INFINITY: none */
        uint64_t shutdown_timeout;
        uint64_t exit_on_idle; /* microseconds; 0: never */
        ProgramScope scope;    /* of what does not say itself */
        char **properties;     /* of every transient unit; those of a section come after these */
        uint64_t max_programs; /* of exec.*, running at once, over all connections */
        uint64_t max_output;   /* bytes captured of each stream of exec.run */
        uint64_t max_jobs;     /* of exec.start, running and finished */
        uint64_t job_output;   /* bytes kept of each stream of a job */
        uint64_t job_keep;     /* microseconds that a finished job is kept; TEXT_INFINITY: as long
                                * as there is room */
        char *token_file;      /* absolute; NULL: the token is the credential guestwire.token */
};

/* What all processes of one program may use together. */
typedef struct ProgramLimits ProgramLimits;
struct ProgramLimits {
        uint64_t memory_max; /* bytes; 0: no limit */
        uint64_t tasks_max;  /* 0: no limit */
        uint64_t cpu_weight; /* 1 .. 10000; 0: the kernel's preset, 100 */
};

/* A program to run, and as whom. Users and groups were looked up when the file was read. */
struct ProgramSettings {
        char **command; /* argv, NULL-terminated; command[0] is an absolute path. NULL: none */
        bool has_user;  /* `user` or `group` is set; else the daemon's own credentials */
        char *user;     /* the name, for USER and LOGNAME; NULL: the daemon's */
        char *home;     /* the user's, for HOME; NULL: the daemon's */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary */
        size_t n_groups;
        char *directory;    /* absolute */
        char **environment; /* NAME=VALUE, NULL-terminated, or NULL */
        uint64_t timeout;   /* microseconds; TEXT_INFINITY: none */
        uint64_t kill_timeout;
        uint64_t max_instances; /* at once; UINT64_MAX: no limit of its own */
        ProgramScope scope;     /* SCOPE_AUTO of a section was settled to that of [agent] */
        char **properties;      /* of the transient unit, NAME=VALUE, NULL-terminated, or NULL */
        ProgramLimits limits;
};

/* One `[port N]` or `[listen NAME]`. */
struct ListenSettings {
        char *section;   /* "port 1000", "listen admin": as it is printed */
        Address address; /* of [port N]: vsock, CID any */
        ListenFile file; /* Unix sockets: mode, owner, group, resolved */
        char *description;
        HandlerKind handler;
        CidSet peers;
        unsigned trust; /* mask of Trust */
        bool trust_unsafe;
        char **methods; /* globs, NULL-terminated; {"*"} by default */
        char **block_methods;
        uint64_t max_connections;
        uint64_t idle_timeout; /* microseconds; 0: none */

        /* handler = echo */
        char *prefix;
        bool once;
        /* handler = forward */
        Address to;
        uint64_t connect_timeout;
        /* handler = rpc */
        char *root; /* confines file.* and refuses exec.*; absolute, or NULL */
        /* handler = exec; of handler = rpc: scope and properties alone, for exec.* */
        ProgramSettings program;
};

typedef enum MethodParamType {
        METHOD_PARAM_STRING,
        METHOD_PARAM_INTEGER,
        METHOD_PARAM_NUMBER,
        METHOD_PARAM_BOOLEAN,
        METHOD_PARAM_ARRAY,
        METHOD_PARAM_OBJECT,
} MethodParamType;

struct MethodParam {
        char *name;
        MethodParamType type;
        bool optional;
};

typedef enum MethodOutput {
        METHOD_OUTPUT_JSON,
        METHOD_OUTPUT_TEXT,
} MethodOutput;

/* One `[method NAME]`: a program for each call, or, `[method PREFIX.*]`, a local server. */
struct MethodSettings {
        char *name; /* "backup.start", or "inventory.*" */
        char *summary;
        bool privileged;
        uint64_t timeout; /* microseconds for a call; TEXT_INFINITY: none */
        /* a program for each call; program.command is NULL for the other kind */
        ProgramSettings program;
        MethodParam *params;
        size_t n_params;
        MethodOutput output;
        /* a JSON-RPC server on a Unix socket; to.kind is ADDRESS_NONE for the other kind */
        Address to;
};

struct Config {
        unsigned n_ref;
        AgentSettings agent;
        ListenSettings **listens; /* in the order of their first mention */
        size_t n_listens;
        MethodSettings **methods; /* by name */
        size_t n_methods;
        Token *token; /* of config_load_token(); NULL: none */
};

/* Every error of a load, as "file:line: what, and what to do" (no newline). */
struct ConfigErrors {
        char **list; /* NULL-terminated, or NULL */
};

/*
 * Reads file alone, or with file NULL the installed configuration: `guestwire.conf` in the
 * system's configuration folder (it may be absent) and the drop-ins, as guestwire.conf(5)
 * orders and masks them, and at last the credential `guestwire.conf` of this process, if it has one
 * (systemd.exec(5)). All errors of all files are collected. 0 with *ret owned by the
 * caller (config_unref); -EINVAL with *errors filled; -ENOMEM. An absent or unreadable
 * explicit `file` is an error in the list too.
 */
int config_load(const char *file, Config **ret, ConfigErrors *errors);

/*
 * The same from folders of the caller's, as tests and fuzzers need it: main may be NULL;
 * folders lists drop-in folders from the weakest to the strongest, NULL-terminated.
 */
int config_load_from(const char *main_file, const char *const *folders, Config **ret,
                     ConfigErrors *errors);

/* From memory under a name of the caller's, for fuzzers and credentials. Same returns. */
int config_load_text(const char *name, const char *text, size_t n, Config **ret,
                     ConfigErrors *errors);

/*
 * What the configuration refers to and does not hold: the token, from `token-file` or else from the
 * credential `guestwire.token`, which need not be there. Whoever just looks at a configuration may
 * not be allowed to read it, and does without. 0; -EINVAL with *errors filled; -ENOMEM.
 */
int config_load_token(Config *c, ConfigErrors *errors);
/* Another configuration is in force now: whoever still finishes something under this one needs no
 * token for that. */
void config_forget_token(Config *c);
/* A section whose `trust` names `token` while there is none; or NULL. Borrowed. */
const char *config_lacks_token(const Config *c);

/* The effective configuration, every key of every section, in the form that config_load() reads. */
void config_print(const Config *c, FILE *f);

Config *config_ref(Config *c);
Config *config_unref(Config *c);
DEFINE_CLEANUP(Config, config_unref)
#define _cleanup_config_ _cleanup_(config_unrefp)

/* The name of a handler ("rpc"). Constant strings. */
const char *handler_kind_to_text(HandlerKind k);

void config_errors_done(ConfigErrors *e);

/* For the loader: an empty configuration, and sections that are not in one. 0 or -ENOMEM. */
int config_new(Config **ret);
ListenSettings *config_listen_free(ListenSettings *l);
MethodSettings *config_method_free(MethodSettings *m);
