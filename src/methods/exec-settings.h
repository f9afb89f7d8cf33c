/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "config/config.h"
#include "methods/context.h"
#include "rpc/call.h"

/* What a caller of exec.run or exec.start asks for, checked. */
typedef struct ExecSettings ExecSettings;

typedef enum ExecOutput {
        EXEC_OUTPUT_CAPTURE,
        EXEC_OUTPUT_STREAM,
        EXEC_OUTPUT_DISCARD,
        EXEC_OUTPUT_RAW,
} ExecOutput;

struct ExecSettings {
        json_object *params; /* a reference: texts that are borrowed here are its */
        const char **argv;   /* of borrowed texts, NULL-terminated; NULL: the login shell */
        char **variables;    /* NAME=VALUE of the caller's, or NULL */
        bool clear_environment;
        const char *directory; /* NULL: the user's home */
        const char *user;      /* NULL: the agent's own */
        Buffer input;          /* for standard input, to begin with */
        bool more_input;       /* more will follow: standard input stays open */
        uint64_t timeout;      /* microseconds; TEXT_INFINITY: none */
        uint64_t kill_timeout; /* microseconds */
        bool terminal;
        unsigned rows;
        unsigned columns;
        const char *term;
        ExecOutput output;
        size_t max_output; /* bytes of each stream */
        bool keep;
        ProgramScope scope;
        ProgramLimits limits;
        char **properties; /* NAME=VALUE, or NULL */
};

/* 0; or the call is ended with what is wrong, and -errno. */
int exec_settings_read(Call *call, json_object *params, const AgentContext *context,
                       ExecSettings *ret);
void exec_settings_done(ExecSettings *s);
#define _cleanup_exec_settings_ _cleanup_(exec_settings_done)

/* A size of a terminal, of exec.run, exec.start and exec.resize. 0, or the call is ended. */
int exec_read_size(Call *call, json_object *params, unsigned *ret_rows, unsigned *ret_columns);
/* An integer from min to max, if there is one of that name. 0, or the call is ended. */
int exec_read_number(Call *call, json_object *params, const char *name, uint64_t min, uint64_t max,
                     uint64_t *ret);
