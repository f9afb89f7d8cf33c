/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "cli/exec-stream.h"
#include "cli/target.h"

/* What the verbs that end with a program's exit status share. */

/* Adds to params the size and kind of terminal that the program is to have: those of ours. 0 or
 * -ENOMEM. */
int program_add_terminal(json_object *params);

/* Makes the raw call that shows a program's output: EXIT_OK with *ret and *ret_answer, the
 * caller's; or EXIT_PROGRAM, and the reason has been printed. */
int program_begin(Client *c, const Settings *s, const char *method, json_object *params,
                  RawCall *ret, json_object **ret_answer);

/*
 * Goes on to its end. settings->id may be NULL for that of the call. Returns the exit status that
 * ours is to be: EXIT_PROGRAM where there is none, and then the reason has been printed.
 */
int program_follow(Client *c, const Settings *s, const char *method, RawCall *raw,
                   const ExecStreamSettings *settings);

/* Both. */
int program_run(Client *c, const Settings *s, const char *method, json_object *params,
                const ExecStreamSettings *settings);

/* Prints what the guest said instead of telling how a program ended. EXIT_PROGRAM. */
int program_refused(const Client *c, const Settings *s, const char *method, json_object *error);

/* The same from a result with `exit_status` or `signal`. */
int program_exit_code(json_object *result);

/* target_open() for these verbs: EXIT_OK, EXIT_USAGE, or EXIT_PROGRAM. */
int program_open(const char *target, const Settings *s, Client **ret);
