/* SPDX-License-Identifier: MIT */

/* exec.run: a program that belongs to a call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "methods/exec-capture.h"
#include "methods/exec-internal.h"
#include "methods/members.h"
#include "rpc/frame.h"
#include "rpc/octets.h"
#include "rpc/raw.h"

#define RAW_READ_SIZE ((size_t)256 * 1024)

typedef struct Run Run;
typedef struct RunStream RunStream;

struct RunStream {
        Capture capture; /* of all kinds of output: the number of bytes */
        uint8_t held;    /* of a stream: the beginning of a character, in `cut` */
        char cut[4];
        bool ended; /* of a raw call: its channel */
};

struct Run {
        ListLink link; /* in runs */
        Call *call;    /* NULL once its caller has gone */
        Program *program;
        ExecOutput output;
        bool keep;
        bool cancelled;
        size_t max_output;
        uint64_t timeout;
        RunStream streams[PROGRAM_STREAM_MAX];
};

static Run *run_free(Run *run)
{
        if (!run)
                return NULL;
        list_remove(&run->link);
        (void)program_free(run->program);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                capture_done(&run->streams[i].capture);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(Run, run_free)

void runs_free(Exec *e)
{
        /* Those that are left have no call: sessions are gone by now. */
        list_foreach_safe (i, &e->runs)
                (void)run_free(CONTAINER_OF(i, Run, link));
}

void runs_stop(Exec *e)
{
        list_foreach (i, &e->runs) {
                Run *run = CONTAINER_OF(i, Run, link);

                if (!run->call)
                        program_stop(run->program);
        }
}

/* Output */

/* Nobody wants it, but the program is not to wait. */
static void run_drop(Run *run, ProgramStream stream)
{
        run->streams[stream].capture.total +=
                program_read(run->program, stream, exec_scratch, EXEC_SCRATCH_SIZE);
}

static void run_notify(Run *run, ProgramStream stream, const char *data, size_t n)
{
        json_object *to = json_object_new_object();

        if (to && json_object_object_add(to, "call", exec_call_id(run->call)) < 0) {
                json_object_put(to);
                to = NULL;
        }
        call_notify(run->call, "exec.output", exec_output_to_json(to, stream, data, n));
}

/* Text goes out in whole characters: one that the read has cut waits for its rest. */
static void run_stream(Run *run, ProgramStream stream)
{
        RunStream *c = &run->streams[stream];
        size_t n, whole;

        memcpy(exec_scratch, c->cut, c->held);
        n = program_read(run->program, stream, exec_scratch + c->held, EXEC_SCRATCH_SIZE - c->held);
        if (n == 0)
                return;
        c->capture.total += n;
        n += c->held;
        whole = octets_whole(exec_scratch, n);
        c->held = (uint8_t)(n - whole);
        memcpy(c->cut, exec_scratch + whole, c->held);
        if (whole > 0)
                run_notify(run, stream, exec_scratch, whole);
}

static uint8_t channel_of(ProgramStream stream)
{
        return stream == PROGRAM_STDOUT ? FRAME_STDOUT : FRAME_STDERR;
}

static void run_end_channel(Run *run, ProgramStream stream)
{
        if (run->streams[stream].ended)
                return;
        run->streams[stream].ended = true;
        call_raw_end(run->call, channel_of(stream));
}

typedef struct RawPull RawPull;

struct RawPull {
        Call *call;
        uint8_t channel;
};

static ssize_t run_pull_raw(int fd, size_t n, void *userdata)
{
        const RawPull *to = userdata;

        return call_raw_splice(to->call, to->channel, fd, n);
}

static void run_raw(Run *run, ProgramStream stream)
{
        RawPull to = { run->call, channel_of(stream) };

        run->streams[stream].capture.total +=
                program_pull(run->program, stream, RAW_READ_SIZE, run_pull_raw, &to);
}

static void run_on_writable(Call *call, void *userdata)
{
        Run *run = userdata;

        program_resume(run->program);
}

static bool run_on_output(Program *p, ProgramStream stream, void *userdata)
{
        Run *run = userdata;

        if (!run->call || run->cancelled || run->output == EXEC_OUTPUT_DISCARD) {
                run_drop(run, stream);
                return true;
        }
        if (run->output == EXEC_OUTPUT_CAPTURE) {
                capture_read(&run->streams[stream].capture, p, stream, run->max_output);
                return true;
        }
        /* A reader that is slow slows the program. */
        if (call_is_congested(run->call)) {
                call_set_writable(run->call, run_on_writable, run);
                return false;
        }
        if (run->output == EXEC_OUTPUT_STREAM)
                run_stream(run, stream);
        else
                run_raw(run, stream);
        return true;
}

static void run_on_output_ended(Program *p, ProgramStream stream, void *userdata)
{
        Run *run = userdata;
        RunStream *c = &run->streams[stream];

        if (!run->call || run->cancelled)
                return;
        if (run->output == EXEC_OUTPUT_STREAM && c->held > 0)
                run_notify(run, stream, c->cut, c->held);
        c->held = 0;
        if (run->output == EXEC_OUTPUT_RAW)
                run_end_channel(run, stream);
}

/* Input of a raw call */

static size_t run_raw_data(Call *call, uint8_t channel, const char *data, size_t n, void *userdata)
{
        Run *run = userdata;

        return program_offer(run->program, data, n);
}

static void run_raw_end(Call *call, uint8_t channel, void *userdata)
{
        Run *run = userdata;

        program_close_input(run->program);
}

static const RawOwner run_raw_owner = {
        .data = run_raw_data,
        .end = run_raw_end,
};

static void run_on_input_wanted(Program *p, void *userdata)
{
        Run *run = userdata;

        if (run->call && run->output == EXEC_OUTPUT_RAW)
                call_raw_resume(run->call);
}

/* The end */

static const OctetsKeys keys_of[] = {
        [PROGRAM_STDOUT] = { "stdout", "stdout_base64" },
        [PROGRAM_STDERR] = { "stderr", "stderr_base64" },
};

/* The result, but for what was captured. NULL without memory. */
static json_object *run_result(Run *run, const ProgramEnd *end)
{
        static const char *const totals[] = { "stdout_bytes", "stderr_bytes" };
        bool truncated = false;
        Members m = { .object = exec_end_to_json(end) };

        m.failed = !m.object;
        for (size_t i = 0; i < PROGRAM_STREAM_MAX && run->output != EXEC_OUTPUT_DISCARD; i++) {
                const Capture *c = &run->streams[i].capture;

                members_add_unsigned(&m, totals[i], c->total);
                truncated = truncated || c->total > c->size;
        }
        if (run->output == EXEC_OUTPUT_CAPTURE)
                members_add_boolean(&m, "truncated", truncated);
        return members_take(&m);
}

/* Captured output may be large: the reply is written as text, into memory of just its size, and not
 * by way of JSON values. result: taken over. */
static int run_write_reply(Run *run, json_object *result, Buffer *json)
{
        _cleanup_json_ json_object *object = result;
        size_t length = 0, size;
        const char *text;
        int r;

        text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
        if (!text)
                return -ENOMEM;
        size = length;
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++) {
                capture_finish(&run->streams[i].capture);
                size += capture_length(&run->streams[i].capture, &keys_of[i]);
        }
        if (!buffer_reserve(json, size))
                return -ENOMEM;
        /* Before the object's last brace, since it has members. */
        r = buffer_append(json, text, length - 1);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX && r >= 0; i++)
                r = capture_write(&run->streams[i].capture, &keys_of[i], json);
        return r < 0 ? r : buffer_append(json, "}", 1);
}

static void run_answer(Run *run, Call *call, const ProgramEnd *end)
{
        json_object *result = run_result(run, end);
        Buffer json = BUFFER_NULL;

        if (run->output != EXEC_OUTPUT_CAPTURE || !result)
                call_reply(call, result);
        else if (run_write_reply(run, result, &json) >= 0)
                call_reply_text(call, buffer_peek(&json), json.size);
        else
                call_reply(call, NULL);
        buffer_done(&json);
}

/* It was ended, but what it said until then is not lost. */
static void run_answer_timeout(Run *run, Call *call, const ProgramEnd *end)
{
        json_object *data = end->outcome == SPAWN_FAILED ? NULL : run_result(run, end);
        Buffer json = BUFFER_NULL;
        char timeout[64];

        if (data && run->output == EXEC_OUTPUT_CAPTURE) {
                if (run_write_reply(run, TAKE_PTR(data), &json) >= 0 &&
                    buffer_append(&json, "", 1) >= 0)
                        data = json_tokener_parse(buffer_peek(&json));
                buffer_done(&json);
        }
        text_from_usec(timeout, run->timeout);
        call_fail_data(call, REASON_TIMEOUT, 0, data,
                       "The program was ended: it took longer than %s", timeout);
}

static void run_on_end(Program *p, const ProgramEnd *end, void *userdata)
{
        _cleanup_(run_freep) Run *run = userdata;
        Call *call = run->call;

        if (!call)
                return;
        /* Those too that were never open. */
        for (size_t i = 0; i < PROGRAM_STREAM_MAX && run->output == EXEC_OUTPUT_RAW; i++)
                run_end_channel(run, (ProgramStream)i);
        run->call = NULL;
        if (run->cancelled)
                call_fail(call, REASON_CANCELLED, 0, "Cancelled: the program was ended");
        else if (end->timed_out)
                run_answer_timeout(run, call, end);
        else if (end->outcome == SPAWN_FAILED)
                call_fail(call, end->reason, end->error, "%s",
                          end->problem ?: strerror(end->error));
        else
                run_answer(run, call, end);
}

static const ProgramOwner run_owner = {
        .output = run_on_output,
        .output_ended = run_on_output_ended,
        .input_wanted = run_on_input_wanted,
        .ended = run_on_end,
};

static void run_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Run *run = userdata;

        if (why == CALL_CANCELLED) {
                run->cancelled = true;
                program_stop(run->program);
        } else {
                /* Nobody will wait for its end any more. */
                run->call = NULL;
                if (why != CALL_GONE || !run->keep)
                        program_stop(run->program);
                else
                        /* It is not to wait for what nobody can send any more. */
                        program_close_input(run->program);
        }
        program_resume(run->program);
        if (why != CALL_CANCELLED)
                call_fail_ended(call, why, "the program is being ended");
}

Program *run_program_of(const Call *call)
{
        Run *run = call_holder(call, run_on_cancel);

        return run ? run->program : NULL;
}

static int run_begin_raw(Run *run, unsigned channels_in)
{
        json_object *answer = json_object_new_object();

        if (!answer || json_object_object_add(answer, "raw", json_object_new_boolean(true)) < 0) {
                json_object_put(answer);
                call_reply(run->call, NULL);
                return -ENOMEM;
        }
        return call_raw_begin(run->call, answer, channels_in, &run_raw_owner, run);
}

/* 0; or the call has ended. */
static int run_start(Exec *e, Run *run, ExecSettings *settings)
{
        _cleanup_free_ char *what = NULL;
        int r;

        if (run->output == EXEC_OUTPUT_RAW) {
                r = run_begin_raw(run, settings->more_input ? 1U << FRAME_STDIN : 0);
                if (r < 0)
                        return r;
        }
        what = strdup(settings->argv ? settings->argv[0] : "the login shell");
        r = program_new(e, settings, "exec", &run_owner, run, &run->program);
        if (r < 0)
                exec_fail_start(run->call, what, r);
        return r;
}

void exec_run(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        _cleanup_exec_settings_ ExecSettings settings = { 0 };
        _cleanup_(run_freep) Run *run = NULL;

        if (exec_settings_read(call, params, context, &settings) < 0)
                return;
        run = malloc(sizeof(*run));
        if (!run) {
                call_reply(call, NULL);
                return;
        }
        *run = (Run){
                .call = call,
                .output = settings.output,
                .keep = settings.keep,
                .max_output = settings.max_output,
                .timeout = settings.timeout,
        };
        list_append(&context->exec->runs, &run->link);
        call_set_cancel(call, run_on_cancel, run);
        if (run_start(context->exec, run, &settings) < 0)
                return;
        (void)TAKE_PTR(run);
}
