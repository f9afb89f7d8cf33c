/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/program.h"

#define USEC_PER_MSEC 1000U

/* Takes the value over. */
static bool add(json_object *params, const char *key, json_object *value)
{
        return value && json_object_object_add(params, key, value) == 0;
}

static json_object *words_to_json(char *const *words)
{
        json_object *list = json_object_new_array();

        for (; list && *words; words++) {
                json_object *word = json_object_new_string(*words);

                if (!word || json_object_array_add(list, word) < 0) {
                        json_object_put(word);
                        json_object_put(list);
                        return NULL;
                }
        }
        return list;
}

/* The last one of a name goes, as in a shell. */
static json_object *environment_to_json(char *const *variables)
{
        json_object *object = json_object_new_object();

        for (; object && *variables; variables++) {
                const char *value = strchr(*variables, '=') + 1;
                _cleanup_free_ char *name = strndup(*variables, (size_t)(value - *variables) - 1);

                if (!name || !add(object, name, json_object_new_string(value))) {
                        json_object_put(object);
                        return NULL;
                }
        }
        return object;
}

/* Whether our keys are the program's. */
static bool takes_over(const Settings *s)
{
        return s->terminal && isatty(STDIN_FILENO) > 0;
}

/* What exec.run and exec.start take alike. */
static bool add_program(json_object *params, const Settings *s)
{
        if (!add(params, "argv", words_to_json(s->program)))
                return false;
        if (s->environment && !add(params, "env", environment_to_json(s->environment)))
                return false;
        if (s->directory && !add(params, "cwd", json_object_new_string(s->directory)))
                return false;
        if (s->user && !add(params, "user", json_object_new_string(s->user)))
                return false;
        /* Up to a whole millisecond. */
        if (s->time_limit != TEXT_INFINITY &&
            !add(params, "timeout_ms",
                 json_object_new_uint64(s->time_limit / USEC_PER_MSEC +
                                        (s->time_limit % USEC_PER_MSEC > 0))))
                return false;
        return !s->terminal || program_add_terminal(params) == 0;
}

static int run(Client *c, const Settings *s, json_object *params)
{
        /* A terminal's keys are of use only if they get there: Ctrl-C is one. Without any, a
         * program that reads its terminal is told that there is nothing to be read. */
        ExecInputKind input = s->input || takes_over(s) ? EXEC_INPUT_OURS
                              : s->terminal             ? EXEC_INPUT_EMPTY
                                                        : EXEC_INPUT_NONE;
        const ExecStreamSettings settings = {
                .input = input,
                .terminal = s->terminal,
                .take_over = takes_over(s),
                .pass_signals = !takes_over(s),
                .whose = "call",
        };

        if (!add(params, "raw", json_object_new_boolean(true)) ||
            !add(params, "input", json_object_new_boolean(input != EXEC_INPUT_NONE))) {
                output_error("out of memory");
                return EXIT_PROGRAM;
        }
        return program_run(c, s, "exec.run", params, &settings);
}

static int start(Client *c, const Settings *s, json_object *params)
{
        _cleanup_json_ json_object *result = NULL;
        int64_t job;

        /* `attach -i` sends it some. */
        if ((s->input || s->terminal) && !add(params, "input", json_object_new_boolean(true))) {
                output_error("out of memory");
                return EXIT_PROGRAM;
        }
        if (target_call(c, s, "exec.start", params, &result) != EXIT_OK)
                return EXIT_PROGRAM;
        if (s->json) {
                output_json(result, false);
                return EXIT_OK;
        }
        job = json_object_get_int64(json_object_object_get(result, "job"));
        printf("%" PRId64 "\n", job);
        return EXIT_OK;
}

/* What can be seen to be wrong without a guest. */
static int check(const Settings *s, size_t n_args)
{
        if (n_args > 1 || !s->program || !s->program[0] || !s->program[0][0]) {
                output_error("what is to be run stands behind --, such as: guestwire exec 21 -- "
                             "uname -a");
                return EXIT_USAGE;
        }
        for (char **word = s->program; *word; word++)
                if (!text_is_utf8(*word, strlen(*word))) {
                        _cleanup_free_ char *shown = output_shown(*word);

                        output_error("'%s' is not UTF-8, which a guest must be told in", shown);
                        return EXIT_USAGE;
                }
        if (s->json && !s->detach) {
                output_error("--json goes with --detach: what a program writes is not ours to "
                             "change");
                return EXIT_USAGE;
        }
        return EXIT_OK;
}

int verb_exec(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = NULL;
        int r;

        r = check(s, n);
        if (r != EXIT_OK)
                return r;
        params = json_object_new_object();
        if (!params || !add_program(params, s)) {
                output_error("out of memory");
                return EXIT_PROGRAM;
        }
        r = program_open(args[0], s, &c);
        if (r != EXIT_OK)
                return r;
        return s->detach ? start(c, s, params) : run(c, s, params);
}
