/* SPDX-License-Identifier: MIT */
#include "cli/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/signals.h"
#include "base/text.h"
#include "cli/explain.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/standard.h"
#include "cli/terminal.h"

/* As shells have it. */
#define EXIT_SIGNAL_BASE 128

int program_add_terminal(json_object *params)
{
        static const int fds[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
        const char *term = getenv("TERM");
        unsigned rows, columns;

        if (json_object_object_add(params, "tty", json_object_new_boolean(true)) < 0)
                return -ENOMEM;
        if (term && term[0] && text_is_utf8(term, strlen(term)) &&
            json_object_object_add(params, "term", json_object_new_string(term)) < 0)
                return -ENOMEM;
        if (terminal_get_size(fds, ELEMENTSOF(fds), &rows, &columns) < 0)
                return 0;
        if (json_object_object_add(params, "rows", json_object_new_int((int)rows)) < 0 ||
            json_object_object_add(params, "cols", json_object_new_int((int)columns)) < 0)
                return -ENOMEM;
        return 0;
}

int program_open(const char *target, const Settings *s, Client **ret)
{
        int r;

        r = standard_guard();
        if (r < 0) {
                output_error("/dev/null: %s", strerror(-r));
                return EXIT_PROGRAM;
        }
        r = target_open(target, s, ret);
        return r == EXIT_OK || r == EXIT_USAGE ? r : EXIT_PROGRAM;
}

int program_exit_code(json_object *result)
{
        json_object *status = json_object_object_get(result, "exit_status");
        json_object *killer = json_object_object_get(result, "signal");
        int number;

        if (json_object_is_type(status, json_type_int))
                return json_object_get_int(status) & 0xff;
        number = json_object_is_type(killer, json_type_string)
                         ? signal_from_text(json_object_get_string(killer))
                         : -EINVAL;
        if (number > 0)
                return EXIT_SIGNAL_BASE + number;
        output_error("the guest does not say how the program has ended");
        return EXIT_PROGRAM;
}

int program_refused(const Client *c, const Settings *s, const char *method, json_object *error)
{
        json_object *data = json_object_object_get(error, "data");
        json_object *reason = json_object_object_get(data, "reason");

        /* That is what was asked for. */
        if (json_object_is_type(reason, json_type_string) &&
            strcmp(json_object_get_string(reason), "timeout") == 0) {
                _cleanup_free_ char *shown = output_shown(
                        json_object_get_string(json_object_object_get(error, "message")) ?: "?");

                output_error("%s", shown ?: "?");
        } else {
                (void)target_refused(c, s, method, error);
        }
        return EXIT_PROGRAM;
}

static int failed(const Client *c, int error, const ExecStreamEnd *end)
{
        _cleanup_free_ char *text = NULL;

        if (error == -ENOMEM) {
                output_error("out of memory");
        } else if (end->stream) {
                output_error("%s: %s", end->stream, strerror(-error));
        } else {
                text = explain_end(client_target(c), error, client_answers(c));
                output_error("%s", text ?: strerror(-error));
        }
        return EXIT_PROGRAM;
}

static int gave_up(int number, const ExecStreamSettings *settings)
{
        _cleanup_free_ char *name = signal_to_text(number);
        bool goes_on = strcmp(settings->whose, "job") == 0;

        output_error(goes_on ? "detached at %s: the job goes on" : "given up at %s",
                     name ?: "a signal");
        return EXIT_PROGRAM;
}

static int follow(Client *c, const Settings *s, const char *method, RawCall *raw,
                  const ExecStreamSettings *settings)
{
        ExecStreamEnd end = EXEC_STREAM_END_NULL;
        int r;

        r = exec_stream_run(client_event(c), raw, settings, &end);
        /* Its end tells the guest that nobody waits for the program any more. */
        raw_call_done(raw);
        switch (r) {
        case EXEC_STREAM_REPLIED:
                r = end.reply.error ? program_refused(c, s, method, end.reply.error)
                                    : program_exit_code(end.reply.result);
                break;
        case EXEC_STREAM_GAVE_UP:
                r = gave_up(end.signal, settings);
                break;
        case EXEC_STREAM_READER_LEFT:
                /* What the program would have ended of, had it been here. */
                r = EXIT_SIGNAL_BASE + SIGPIPE;
                break;
        default:
                r = failed(c, r, &end);
                break;
        }
        reply_done(&end.reply);
        return r;
}

int program_begin(Client *c, const Settings *s, const char *method, json_object *params,
                  RawCall *ret, json_object **ret_answer)
{
        _cleanup_json_ json_object *error = NULL;
        int r;

        r = client_raw_begin(c, method, params, ret, ret_answer, &error);
        if (r == CLIENT_REFUSED)
                return program_refused(c, s, method, error);
        if (r == 0)
                return EXIT_OK;
        (void)target_failed(c, r);
        return EXIT_PROGRAM;
}

int program_follow(Client *c, const Settings *s, const char *method, RawCall *raw,
                   const ExecStreamSettings *settings)
{
        _cleanup_json_ json_object *id = NULL;
        ExecStreamSettings with_id = *settings;
        int r;

        if (!with_id.id) {
                r = json_from_sound_text(raw->id, strlen(raw->id), &id);
                if (r < 0)
                        return failed(c, r, &EXEC_STREAM_END_NULL);
                with_id.id = id;
        }
        return follow(c, s, method, raw, &with_id);
}

int program_run(Client *c, const Settings *s, const char *method, json_object *params,
                const ExecStreamSettings *settings)
{
        _cleanup_json_ json_object *answer = NULL;
        _cleanup_raw_call_ RawCall raw = RAW_CALL_NULL;
        int r;

        r = program_begin(c, s, method, params, &raw, &answer);
        return r == EXIT_OK ? program_follow(c, s, method, &raw, settings) : r;
}
