/* SPDX-License-Identifier: MIT */
#include "methods/exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/signals.h"
#include "base/text.h"
#include "methods/exec-internal.h"
#include "methods/exec-job.h"
#include "methods/members.h"
#include "proc/account.h"
#include "rpc/octets.h"

char exec_scratch[EXEC_SCRATCH_SIZE];

int exec_new(AgentContext *context, Exec **ret)
{
        Exec *e;
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->context = context;
        list_init(&e->runs);
        list_init(&e->jobs);
        r = user_find(NULL, geteuid(), &e->own);
        if (r == -ENOMEM) {
                free(e);
                return r;
        }
        *ret = e;
        return 0;
}

void exec_stop(Exec *e, void (*stopped)(void *userdata), void *userdata)
{
        e->stopped = stopped;
        e->stopped_userdata = userdata;
        runs_stop(e);
        jobs_stop(e);
}

void exec_settle(Exec *e)
{
        AgentContext *context = e->context;

        if (e->n_programs == 0 && e->n_jobs == 0 && context->exec_idle)
                context->exec_idle(context->agent);
}

size_t exec_count(const Exec *e)
{
        return e->n_programs;
}

size_t exec_jobs(const Exec *e)
{
        return e->n_jobs;
}

Exec *exec_free(Exec *e)
{
        if (!e)
                return NULL;
        runs_free(e);
        jobs_free(e);
        user_done(&e->own);
        free(e);
        return NULL;
}

json_object *exec_call_id(const Call *call)
{
        const char *id = call_id_text(call);

        /* Of json-c's kinds of values this is the one that keeps the text that it was made of. */
        return id ? json_object_new_double_s(0, id) : NULL;
}

void exec_fail_start(Call *call, const char *what, int error)
{
        switch (error) {
        case -EBUSY:
                call_fail(call, REASON_BUSY, 0,
                          "As many programs are running as max-programs allows");
                break;
        case -EUSERS:
                call_fail(call, REASON_BUSY, 0,
                          "As many users are being looked up as may be at once (%u): the name "
                          "service does not answer",
                          ACCOUNT_LOOKUPS_MAX);
                break;
        case -EOPNOTSUPP:
                call_fail(call, REASON_UNSUPPORTED, 0,
                          "Here programs have no limits, properties or scope of that kind");
                break;
        default:
                call_fail(call, REASON_FAILED, -error, "%s cannot be started: %s",
                          what ? what : "The program", strerror(-error));
                break;
        }
}

static void add_or_null(Members *m, const char *key, uint64_t value)
{
        if (value == UINT64_MAX)
                members_add_null(m, key);
        else
                members_add_unsigned(m, key, value);
}

json_object *exec_end_to_json(const ProgramEnd *end)
{
        _cleanup_free_ char *name = NULL;
        Members m;

        members_init(&m);
        if (end->outcome == SPAWN_EXITED) {
                members_add_unsigned(&m, "exit_status", (uint64_t)end->status);
        } else if (end->outcome == SPAWN_SIGNALED) {
                name = signal_to_text(end->status);
                members_add_value(&m, "signal", name ? json_object_new_string(name) : NULL);
        }
        members_add_unsigned(&m, "duration_us", end->duration);
        add_or_null(&m, "cpu_us", end->cpu);
        add_or_null(&m, "memory_peak_bytes", end->memory_peak);
        return members_take(&m);
}

json_object *exec_output_to_json(json_object *to, ProgramStream stream, const char *data, size_t n)
{
        static const OctetsKeys keys = { "data", "base64" };
        Members m = { .object = to, .failed = !to };

        members_add_text(&m, "stream", stream == PROGRAM_STDOUT ? "stdout" : "stderr");
        if (!m.failed && octets_add(m.object, &keys, data, n) < 0)
                m.failed = true;
        return members_take(&m);
}

/*
 * The program that `call` or `job` names, of which there must be one. NULL, and the call is ended;
 * also where it has ended already.
 */
static Program *program_of_params(Call *call, json_object *params, const Exec *e)
{
        json_object *id = NULL;
        bool by_call = json_object_object_get_ex(params, "call", &id);
        bool by_job = json_object_object_get_ex(params, "job", NULL);
        Program *p = NULL;
        const Call *other;
        const Job *job;

        if (by_call == by_job) {
                call_fail_params(call, "one of the parameters `call` and `job` must say whom");
                return NULL;
        }
        if (by_job) {
                job = job_of_params(call, params, e);
                if (!job)
                        return NULL;
                p = job_program(job);
                if (!p)
                        call_fail(call, REASON_NOT_FOUND, ESRCH, "The job has ended");
                return p;
        }
        other = call_find(call, id);
        p = other ? run_program_of(other) : NULL;
        if (!p)
                call_fail(call, REASON_NOT_FOUND, 0,
                          "No exec.run with this id is running on this connection");
        return p;
}

static void exec_input(Call *call, json_object *params, void *userdata)
{
        static const OctetsKeys keys = { "data", "base64" };
        const char *key = keys.text, *problem = "is missing";
        const AgentContext *context = userdata;
        Buffer data = BUFFER_NULL;
        Program *p;
        int r;

        r = octets_read(params, &keys, &data, &key, &problem);
        if (r == -ENOMEM) {
                call_reply(call, NULL);
        } else if (r <= 0) {
                call_fail_params(call, "parameter `%s` %s", key, problem);
        } else {
                p = program_of_params(call, params, context->exec);
                if (p)
                        program_input(p, call, buffer_peek(&data), data.size);
        }
        buffer_done(&data);
}

static void exec_close_input(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        Program *p = program_of_params(call, params, context->exec);

        if (!p)
                return;
        program_close_input(p);
        call_reply_text(call, "{}", strlen("{}"));
}

static void exec_resize(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        unsigned rows = 0, columns = 0;
        Program *p;
        int r;

        if (exec_read_size(call, params, &rows, &columns) < 0)
                return;
        p = program_of_params(call, params, context->exec);
        if (!p)
                return;
        r = program_resize(p, rows, columns);
        if (r == -ENOTTY)
                call_fail(call, REASON_UNSUPPORTED, ENOTTY,
                          "The program has no terminal: `tty` of "
                          "exec.run and exec.start asks for one");
        else if (r < 0)
                call_fail(call, r == -ESRCH ? REASON_NOT_FOUND : REASON_FAILED, -r,
                          r == -ESRCH ? "The program has ended, or has not begun yet"
                                      : "The terminal's size cannot be set");
        else
                call_reply_text(call, "{}", strlen("{}"));
}

static int read_signal(Call *call, json_object *params)
{
        json_object *value = NULL;
        int number = -EINVAL;

        (void)json_object_object_get_ex(params, "signal", &value);
        if (json_object_is_type(value, json_type_string) ||
            json_object_is_type(value, json_type_int))
                number = signal_from_text(json_object_get_string(value));
        if (number < 0)
                call_fail_params(call, "parameter `signal` must be a signal's name or number: "
                                       "\"TERM\", \"SIGTERM\", 15");
        return number;
}

static void exec_signal(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        int number = read_signal(call, params), r;
        Program *p;

        if (number < 0)
                return;
        p = program_of_params(call, params, context->exec);
        if (!p)
                return;
        r = program_signal(p, number);
        if (r == -ESRCH)
                call_fail(call, REASON_NOT_FOUND, ESRCH,
                          "The program has ended, or has not begun yet");
        else if (r < 0)
                call_fail(call, REASON_FAILED, -r, "The signal cannot be sent: %s", strerror(-r));
        else
                call_reply_text(call, "{}", strlen("{}"));
}

/* A port that is confined to a folder is not for running programs. */
static bool is_confined(Call *call)
{
        const ListenSettings *port = call_port_settings(call);

        if (!port || !port->root)
                return false;
        call_fail(call, REASON_NOT_ALLOWED, 0,
                  "No programs are run for this port: `root` confines it to files");
        return true;
}

/* Every method of this file's table, behind that question. */
static void exec_call(Call *call, json_object *params, void *userdata)
{
        const MethodFunction *f = call_method(call)->data;

        if (!is_confined(call))
                (*f)(call, params, userdata);
}

/* Methods */

#define OPT FIELD_OPTIONAL

#define PROGRAM_FIELDS                                                                           \
        { "argv", FIELD_ARRAY, OPT,                                                              \
          "The program and its arguments; without a slash it is looked "                         \
          "for in PATH",                                                                         \
          NULL },                                                                                \
                { "login", FIELD_BOOLEAN, OPT, "Run the user's login shell, instead of argv",    \
                  NULL },                                                                        \
                { "env", FIELD_OBJECT, OPT, "Variables, added to a login-like environment",      \
                  NULL },                                                                        \
                { "clear_env", FIELD_BOOLEAN, OPT, "Let env be the whole environment", NULL },   \
                { "cwd", FIELD_STRING, OPT, "The working directory; by default the user's home", \
                  NULL },                                                                        \
                { "user", FIELD_STRING, OPT, "Whom to run as: a name or a number", NULL },       \
                { "stdin", FIELD_STRING, OPT | FIELD_NUL, "Text for standard input", NULL },     \
                { "stdin_base64", FIELD_STRING, OPT, "The same for bytes that are no text",      \
                  NULL },                                                                        \
                { "input", FIELD_BOOLEAN, OPT, "Keep standard input open for what follows",      \
                  NULL },                                                                        \
                { "timeout_ms", FIELD_INTEGER, OPT, "End the program after so long", NULL },     \
                { "kill_timeout_ms", FIELD_INTEGER, OPT, "From TERM to KILL, where it is ended", \
                  NULL },                                                                        \
                { "tty", FIELD_BOOLEAN, OPT, "Give it a terminal", NULL },                       \
                { "rows", FIELD_INTEGER, OPT, "The terminal's height", NULL },                   \
                { "cols", FIELD_INTEGER, OPT, "The terminal's width", NULL },                    \
                { "term", FIELD_STRING, OPT, "The terminal's kind, as TERM", NULL },             \
                { "memory_max", FIELD_INTEGER, OPT, "Bytes of memory that all of it may use",    \
                  NULL },                                                                        \
                { "tasks_max", FIELD_INTEGER, OPT, "Processes and threads that it may become",   \
                  NULL },                                                                        \
                { "cpu_weight", FIELD_INTEGER, OPT, "Its share of the processors, 1 to 10000",   \
                  NULL },                                                                        \
                { "scope", FIELD_STRING, OPT, "Where it runs: auto, unit or agent", NULL },      \
        {                                                                                        \
                "properties", FIELD_OBJECT, OPT, "Properties of the transient unit", NULL        \
        }

#define END_FIELDS                                                                               \
        { "exit_status", FIELD_INTEGER, OPT, "Of a program that exited", NULL },                 \
                { "signal", FIELD_STRING, OPT, "Of one that was killed: SIGTERM", NULL },        \
                { "duration_us", FIELD_INTEGER, OPT, "How long it ran, in microseconds", NULL }, \
                { "cpu_us", FIELD_INTEGER, OPT | FIELD_NULLABLE,                                 \
                  "Processor time of all that it was; null where it is not known", NULL },       \
        {                                                                                        \
                "memory_peak_bytes", FIELD_INTEGER, OPT | FIELD_NULLABLE,                        \
                        "The most memory that it used at once; null where it is not known", NULL \
        }

#define WHOM_FIELDS                                                                            \
        { "call", FIELD_ANY, OPT | FIELD_NULLABLE, "The id of an exec.run of this connection", \
          NULL },                                                                              \
        {                                                                                      \
                "job", FIELD_INTEGER, OPT, "Or a job of exec.start", NULL                      \
        }

static const Field run_params[] = {
        PROGRAM_FIELDS,
        { "output", FIELD_STRING, OPT, "capture (the default), stream or discard", NULL },
        { "max_output", FIELD_INTEGER, OPT, "Bytes captured of each stream", NULL },
        { "raw", FIELD_BOOLEAN, OPT, "Carry input and output in frames", NULL },
        { "keep", FIELD_BOOLEAN, OPT, "Let it go on when the connection is lost", NULL },
        {},
};

static const Field run_result[] = {
        END_FIELDS,
        { "stdout_bytes", FIELD_INTEGER, OPT, "How many bytes it wrote", NULL },
        { "stderr_bytes", FIELD_INTEGER, OPT, "How many bytes it wrote", NULL },
        { "truncated", FIELD_BOOLEAN, OPT, "Whether that was more than is captured", NULL },
        { "stdout", FIELD_STRING, OPT | FIELD_NUL, "What was captured, where it is UTF-8", NULL },
        { "stdout_base64", FIELD_STRING, OPT, "What was captured, where it is not", NULL },
        { "stderr", FIELD_STRING, OPT | FIELD_NUL, "What was captured, where it is UTF-8", NULL },
        { "stderr_base64", FIELD_STRING, OPT, "What was captured, where it is not", NULL },
        { "raw", FIELD_BOOLEAN, OPT, "true: the first answer of a raw call; frames follow", NULL },
        {},
};

static const Field start_params[] = { PROGRAM_FIELDS, {} };

static const Field start_result[] = {
        { "job", FIELD_INTEGER, 0, "The number of the job", NULL },
        {},
};

static const Field attach_params[] = {
        { "job", FIELD_INTEGER, 0, "The job", NULL },
        { "stdout_cursor", FIELD_INTEGER, OPT, "From which byte on; by default the first", NULL },
        { "stderr_cursor", FIELD_INTEGER, OPT, "From which byte on; by default the first", NULL },
        { "raw", FIELD_BOOLEAN, OPT, "Carry input and output in frames", NULL },
        { "input", FIELD_BOOLEAN, OPT, "With raw: have a channel for standard input", NULL },
        {},
};

#define JOB_END_FIELDS                                                                  \
        END_FIELDS, { "job", FIELD_INTEGER, 0, "The job", NULL },                       \
                { "stdout_cursor", FIELD_INTEGER, 0, "How many bytes it wrote", NULL }, \
        {                                                                               \
                "stderr_cursor", FIELD_INTEGER, 0, "How many bytes it wrote", NULL      \
        }

static const Field attach_result[] = {
        JOB_END_FIELDS,
        { "stdout_lost", FIELD_INTEGER, 0, "Bytes asked for that are no more kept", NULL },
        { "stderr_lost", FIELD_INTEGER, 0, "Bytes asked for that are no more kept", NULL },
        { "raw", FIELD_BOOLEAN, OPT, "true: the first answer of a raw call; frames follow", NULL },
        {},
};

static const Field wait_params[] = {
        { "job", FIELD_INTEGER, 0, "The job", NULL },
        { "timeout_ms", FIELD_INTEGER, OPT, "How long to wait", NULL },
        {},
};

static const Field wait_result[] = { JOB_END_FIELDS, {} };

static const Field job_fields[] = {
        JOB_END_FIELDS,
        { "state", FIELD_STRING, 0, "running, finished, or failed: it could not be started", NULL },
        { "argv", FIELD_ARRAY, 0, "The program and its arguments", NULL },
        { "user", FIELD_STRING, 0, "Whom it runs as", NULL },
        { "tty", FIELD_BOOLEAN, 0, "Whether it has a terminal", NULL },
        { "input", FIELD_BOOLEAN, 0, "Whether it was started with input", NULL },
        { "started_us", FIELD_INTEGER, 0, "When it was started: microseconds since 1970", NULL },
        { "pid", FIELD_INTEGER, FIELD_NULLABLE, "Its process, while it runs", NULL },
        { "unit", FIELD_STRING, FIELD_NULLABLE, "Its systemd unit, while it runs in one", NULL },
        { "problem", FIELD_STRING, OPT, "Why it could not be started", NULL },
        {},
};

static const Field list_result[] = {
        { "jobs", FIELD_ARRAY, 0, "The jobs, in the order of their start", job_fields },
        {},
};

static const Field job_params[] = { { "job", FIELD_INTEGER, 0, "The job", NULL }, {} };

static const Field whom_params[] = { WHOM_FIELDS, {} };

static const Field input_params[] = {
        WHOM_FIELDS,
        { "data", FIELD_STRING, OPT | FIELD_NUL, "Text", NULL },
        { "base64", FIELD_STRING, OPT, "The same for bytes that are no text", NULL },
        {},
};

static const Field resize_params[] = {
        WHOM_FIELDS,
        { "rows", FIELD_INTEGER, 0, "The terminal's height", NULL },
        { "cols", FIELD_INTEGER, 0, "The terminal's width", NULL },
        {},
};

static const Field signal_params[] = {
        WHOM_FIELDS,
        { "signal", FIELD_ANY, 0, "A signal's name or number", NULL },
        {},
};

#define ROW(f)                                            \
        .run = exec_call, .data = &(const MethodFunction) \
        {                                                 \
                f                                         \
        }
#define REASON(r) (1U << REASON_##r)
#define START_REASONS                                                               \
        (REASON(UNSUPPORTED) | REASON(UNAVAILABLE) | REASON(BUSY) | REASON(LIMIT) | \
         REASON(NOT_FOUND) | REASON(FAILED))
#define END_REASONS (REASON(TIMEOUT) | REASON(CANCELLED))
#define WHOM_REASONS REASON(NOT_FOUND)

const Method exec_methods[] = {
        { .name = "exec.attach",
          ROW(exec_attach),
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary =
                  "Reads a job's output from any place on, goes on with it live, and tells its end",
          .params = attach_params,
          .result = attach_result,
          .reasons = START_REASONS | END_REASONS },
        { .name = "exec.close_input",
          ROW(exec_close_input),
          .flags = METHOD_PRIVILEGED,
          .summary = "Ends a program's standard input",
          .params = whom_params,
          .reasons = WHOM_REASONS },
        { .name = "exec.input",
          ROW(exec_input),
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Writes to a program's standard input",
          .params = input_params,
          .reasons = WHOM_REASONS | REASON(BUSY) | REASON(CANCELLED) | REASON(FAILED) },
        { .name = "exec.list",
          ROW(exec_list),
          .flags = METHOD_PRIVILEGED,
          .summary = "Lists the jobs",
          .result = list_result },
        { .name = "exec.remove",
          ROW(exec_remove),
          .flags = METHOD_PRIVILEGED,
          .summary = "Forgets a job that has ended",
          .params = job_params,
          .reasons = WHOM_REASONS | REASON(BUSY) },
        { .name = "exec.resize",
          ROW(exec_resize),
          .flags = METHOD_PRIVILEGED,
          .summary = "Sets the size of a program's terminal",
          .params = resize_params,
          .reasons = WHOM_REASONS | REASON(UNSUPPORTED) | REASON(FAILED) },
        { .name = "exec.run",
          ROW(exec_run),
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Runs a program and tells how it ended",
          .params = run_params,
          .result = run_result,
          .reasons = START_REASONS | END_REASONS },
        { .name = "exec.signal",
          ROW(exec_signal),
          .flags = METHOD_PRIVILEGED,
          .summary = "Sends a signal to a program",
          .params = signal_params,
          .reasons = WHOM_REASONS | REASON(FAILED) },
        { .name = "exec.start",
          ROW(exec_start),
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Starts a program that goes on without the connection: a job",
          .params = start_params,
          .result = start_result,
          .reasons = START_REASONS | END_REASONS },
        { .name = "exec.wait",
          ROW(exec_wait),
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Waits for a job's end and tells how it ended",
          .params = wait_params,
          .result = wait_result,
          .reasons = START_REASONS | END_REASONS },
        {},
};
