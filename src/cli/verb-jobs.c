/* SPDX-License-Identifier: MIT */

/* Programs of exec --detach: which there are, what they write, how they end. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/signals.h"
#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/program.h"

#define USEC_PER_SEC 1000000

static const char *text_of(json_object *o, const char *key)
{
        json_object *value = json_object_object_get(o, key);

        return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

/* {"job": N} from the word that names it. EXIT_OK, or the reason has been printed. */
static int job_params(const char *word, json_object **ret)
{
        _cleanup_json_ json_object *params = json_object_new_object();
        uint64_t job;

        if (text_to_u64(word, &job) < 0 || job > INT64_MAX) {
                _cleanup_free_ char *shown = output_shown(word);

                output_error("'%s' is no job: `guestwire jobs` lists their numbers", shown);
                return EXIT_USAGE;
        }
        if (!params ||
            json_object_object_add(params, "job", json_object_new_int64((int64_t)job)) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        *ret = TAKE_PTR(params);
        return EXIT_OK;
}

/* jobs */

static void print_started(json_object *job)
{
        time_t seconds = (time_t)(json_object_get_int64(json_object_object_get(job, "started_us")) /
                                  USEC_PER_SEC);
        char text[32] = "?";
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                (void)strftime(text, sizeof(text), "%F %T", &tm);
        printf("  %-19s", text);
}

static void print_state(json_object *job)
{
        json_object *status = json_object_object_get(job, "exit_status");
        const char *word = text_of(job, "signal") ?: text_of(job, "state");
        _cleanup_free_ char *shown = output_shown(word ?: "?");
        char text[32];

        snprintf(text, sizeof(text), "exit %d", json_object_get_int(status));
        printf("  %-10s", json_object_is_type(status, json_type_int) ? text : shown);
}

static void print_program(json_object *job)
{
        json_object *argv = json_object_object_get(job, "argv");
        size_t n = json_object_is_type(argv, json_type_array) ? json_object_array_length(argv) : 0;

        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *word = output_shown(
                        json_object_get_string(json_object_array_get_idx(argv, i)) ?: "");

                printf("%s%s", i == 0 ? "  " : " ", word);
        }
        putchar('\n');
}

static void print_jobs(json_object *jobs)
{
        size_t n = json_object_is_type(jobs, json_type_array) ? json_object_array_length(jobs) : 0;

        if (n > 0)
                printf("%s%6s  %-10s  %-19s  %-8s  %s%s\n", output_style(STYLE_BOLD), "JOB",
                       "STATE", "STARTED", "USER", "PROGRAM", output_style(STYLE_OFF));
        for (size_t i = 0; i < n; i++) {
                json_object *job = json_object_array_get_idx(jobs, i);
                _cleanup_free_ char *user = output_shown(text_of(job, "user") ?: "?");

                printf("%6" PRId64, json_object_get_int64(json_object_object_get(job, "job")));
                print_state(job);
                print_started(job);
                printf("  %-8s", user);
                print_program(job);
        }
}

int verb_jobs(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *result = NULL;
        int r;

        r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, "exec.list", NULL, &result);
        if (r != EXIT_OK)
                return r;
        if (s->json)
                output_json(result, false);
        else
                print_jobs(json_object_object_get(result, "jobs"));
        return EXIT_OK;
}

/* attach */

/* Whether the job has a terminal. EXIT_OK, or the reason has been printed. */
static int find_terminal(Client *c, const Settings *s, int64_t id, bool *ret)
{
        _cleanup_json_ json_object *result = NULL;
        json_object *jobs;
        int r;

        r = target_call(c, s, "exec.list", NULL, &result);
        if (r != EXIT_OK)
                return EXIT_PROGRAM;
        jobs = json_object_object_get(result, "jobs");
        for (size_t i = 0;
             json_object_is_type(jobs, json_type_array) && i < json_object_array_length(jobs);
             i++) {
                json_object *job = json_object_array_get_idx(jobs, i);

                if (json_object_get_int64(json_object_object_get(job, "job")) == id)
                        *ret = json_object_get_boolean(json_object_object_get(job, "tty"));
        }
        return EXIT_OK;
}

static void tell_lost(json_object *answer)
{
        static const char *const keys[][2] = { { "stdout_lost", "standard output" },
                                               { "stderr_lost", "standard error" } };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                int64_t lost = json_object_get_int64(json_object_object_get(answer, keys[i][0]));

                if (lost > 0)
                        output_error("the first %" PRId64 " bytes of its %s are no longer kept",
                                     lost, keys[i][1]);
        }
}

static int attach(Client *c, const Settings *s, json_object *params)
{
        _cleanup_raw_call_ RawCall raw = RAW_CALL_NULL;
        _cleanup_json_ json_object *answer = NULL;
        bool terminal = false;
        int r = EXIT_OK;

        /* Who only looks leaves the terminal's size as it is. */
        if (s->input)
                r = find_terminal(c, s,
                                  json_object_get_int64(json_object_object_get(params, "job")),
                                  &terminal);
        if (r == EXIT_OK)
                r = program_begin(c, s, "exec.attach", params, &raw, &answer);
        if (r != EXIT_OK)
                return r;
        tell_lost(answer);
        return program_follow(c, s, "exec.attach", &raw,
                              &(ExecStreamSettings){
                                      .input = s->input ? EXEC_INPUT_OURS : EXEC_INPUT_NONE,
                                      .terminal = terminal,
                                      .send_size = terminal,
                                      .take_over = terminal,
                                      .whose = "job",
                                      .id = json_object_object_get(params, "job"),
                              });
}

int verb_attach(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = NULL;
        int r;

        r = job_params(args[1], &params);
        if (r == EXIT_OK)
                r = program_open(args[0], s, &c);
        if (r != EXIT_OK)
                return r == EXIT_USAGE ? r : EXIT_PROGRAM;
        if (json_object_object_add(params, "raw", json_object_new_boolean(true)) < 0 ||
            json_object_object_add(params, "input", json_object_new_boolean(s->input)) < 0) {
                output_error("out of memory");
                return EXIT_PROGRAM;
        }
        return attach(c, s, params);
}

/* wait */

static int wait_for(Client *c, const Settings *s, json_object *params)
{
        _cleanup_json_ json_object *result = NULL, *error = NULL;
        char limit[64];
        int r;

        client_set_deadline(c, client_later(client_now(), s->time_limit));
        r = client_call(c, "exec.wait", params, &result, &error);
        if (r == CLIENT_REFUSED)
                return program_refused(c, s, "exec.wait", error);
        if (r == -ETIMEDOUT) {
                text_from_usec(limit, s->time_limit);
                output_error("the job has not ended within %s: it goes on", limit);
                return EXIT_PROGRAM;
        }
        if (r < 0) {
                (void)target_failed(c, r);
                return EXIT_PROGRAM;
        }
        if (s->json)
                output_json(result, false);
        return program_exit_code(result);
}

int verb_wait(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = NULL;
        int r;

        r = job_params(args[1], &params);
        if (r == EXIT_OK)
                r = program_open(args[0], s, &c);
        if (r != EXIT_OK)
                return r == EXIT_USAGE ? r : EXIT_PROGRAM;
        return wait_for(c, s, params);
}

/* kill */

int verb_kill(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = NULL, *result = NULL;
        const char *number = n > 2 ? args[2] : "TERM";
        int r;

        if (signal_from_text(number) < 0) {
                _cleanup_free_ char *shown = output_shown(number);

                output_error("'%s' is no signal, such as TERM, SIGKILL or 9", shown);
                return EXIT_USAGE;
        }
        r = job_params(args[1], &params);
        if (r != EXIT_OK)
                return r;
        if (json_object_object_add(params, "signal", json_object_new_string(number)) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, "exec.signal", params, &result);
        if (r == EXIT_OK && s->json)
                output_json(result, false);
        return r;
}
