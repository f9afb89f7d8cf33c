/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/list.h"
#include "methods/local-server.h"
#include "methods/local.h"
#include "rpc/call.h"
#include "rpc/scan.h"

/* What local.c (the rows), local-program.c and local-server.c share, and nobody else. */
typedef struct LocalMethod LocalMethod;
typedef struct LocalRuns LocalRuns;

/*
 * The programs of one method that are there, through all reloads: `max-instances` counts them
 * until they have ended, also those whose call has.
 */
struct LocalRuns {
        unsigned n_ref;
        ListLink list;
        size_t n;
};

/* One `[method]`: the data of its row. */
struct LocalMethod {
        AgentContext *context;
        const MethodSettings *settings;
        size_t max_message;
        Field *params;       /* the table that its calls are checked by */
        LocalRuns *runs;     /* of a program, */
        LocalServer *server; /* or of a prefix */
};

/* MethodFunction of a row with a program. */
void local_program_run(Call *call, json_object *params, void *userdata);
/* Forgets the programs that are left; their trees are being ended. */
LocalRuns *local_runs_unref(LocalRuns *r);

/*
 * A whole JSON text of somebody else's on one line, as replies are: between its tokens a line's
 * end means what a space does, and within strings JSON has none.
 */
static inline void local_make_one_line(char *json, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (json[i] == '\n' || json[i] == '\r')
                        json[i] = ' ';
}
