/* SPDX-License-Identifier: MIT */

/* exec.attach: who reads a job's output, from wherever he likes, and goes on with it live. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "methods/exec-internal.h"
#include "methods/exec-job.h"
#include "methods/members.h"
#include "rpc/frame.h"
#include "rpc/octets.h"
#include "rpc/raw.h"

typedef struct Reader Reader;

struct Reader {
        ListLink link; /* in the job's readers */
        Job *job;
        Call *call;
        bool raw;
        uint64_t cursor[PROGRAM_STREAM_MAX];
        uint64_t lost[PROGRAM_STREAM_MAX];
};

static const char *const cursor_keys[] = { "stdout_cursor", "stderr_cursor" };
static const char *const lost_keys[] = { "stdout_lost", "stderr_lost" };
static const uint8_t channels[] = { FRAME_STDOUT, FRAME_STDERR };

static Reader *reader_free(Reader *r)
{
        list_remove(&r->link);
        free(r);
        return NULL;
}

uint64_t job_reader_cursor(const ListLink *reader, ProgramStream stream)
{
        return CONTAINER_OF(reader, const Reader, link)->cursor[stream];
}

/* The beginning of a notification: which job, and where in the stream. NULL without memory. */
static json_object *reader_place(const Reader *r, ProgramStream stream)
{
        Members m;

        members_init(&m);
        members_add_unsigned(&m, "job", r->job->id);
        members_add_unsigned(&m, "cursor", r->cursor[stream]);
        return members_take(&m);
}

/* What the ring has dropped since: said once, before what comes after the gap. */
static void reader_skip_lost(Reader *r, ProgramStream stream)
{
        uint64_t begin = ring_begin(&r->job->output[stream]), lost;
        Members m;

        if (r->cursor[stream] >= begin)
                return;
        lost = begin - r->cursor[stream];
        r->cursor[stream] = begin;
        r->lost[stream] += lost;
        if (r->raw)
                return;
        m = (Members){ .object = reader_place(r, stream) };
        m.failed = !m.object;
        members_add_text(&m, "stream", stream == PROGRAM_STDOUT ? "stdout" : "stderr");
        members_add_unsigned(&m, "lost", lost);
        call_notify(r->call, "exec.output", members_take(&m));
}

/* Copies what there is from the reader's place on. */
static size_t reader_peek(const Reader *r, ProgramStream stream, char *to, size_t n)
{
        const Ring *ring = &r->job->output[stream];
        uint64_t cursor = r->cursor[stream];
        const char *data = NULL;
        size_t got = 0, piece;

        while (got < n && (piece = ring_peek(ring, cursor, &data)) > 0) {
                piece = MIN_OF(piece, n - got);
                memcpy(to + got, data, piece);
                got += piece;
                cursor += piece;
        }
        return got;
}

/* The next piece. False where there is none, or none yet. */
static bool reader_send(Reader *r, ProgramStream stream)
{
        const Ring *ring = &r->job->output[stream];
        size_t n;
        char *p;

        reader_skip_lost(r, stream);
        if (r->cursor[stream] == ring->end)
                return false;
        if (r->raw) {
                n = MIN_OF(ring->end - r->cursor[stream], (uint64_t)EXEC_SCRATCH_SIZE);
                p = call_raw_reserve(r->call, channels[stream], n);
                if (!p)
                        return false;
                call_raw_commit(r->call, reader_peek(r, stream, p, n));
                r->cursor[stream] += n;
                return true;
        }
        n = reader_peek(r, stream, exec_scratch, EXEC_SCRATCH_SIZE);
        /* Of a finished job nothing will complete the last character. */
        if (r->job->program || r->cursor[stream] + n < ring->end)
                n = octets_whole(exec_scratch, n);
        if (n == 0)
                return false;
        call_notify(r->call, "exec.output",
                    exec_output_to_json(reader_place(r, stream), stream, exec_scratch, n));
        r->cursor[stream] += n;
        return true;
}

static json_object *reader_lost(const Reader *r)
{
        Members m;

        members_init(&m);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                members_add_unsigned(&m, lost_keys[i], r->lost[i]);
        return members_take(&m);
}

static void reader_on_writable(Call *call, void *userdata);

/* Passes on what there is, as far as the caller reads it. The job's end ends the call: then r is
 * no more. */
static void reader_go_on(Reader *r)
{
        const Job *job = r->job;
        Call *call = r->call;

        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                do
                        if (call_is_congested(call)) {
                                call_set_writable(call, reader_on_writable, r);
                                return;
                        }
                while (reader_send(r, (ProgramStream)i));
        if (job->finished_at == 0)
                return;
        for (size_t i = 0; i < PROGRAM_STREAM_MAX && r->raw; i++)
                call_raw_end(call, channels[i]);
        {
                json_object *lost = reader_lost(r);

                (void)reader_free(r);
                job_answer(job, call, lost);
        }
        job_left(job);
}

static void reader_on_writable(Call *call, void *userdata)
{
        Reader *r = userdata;
        Job *job = r->job;

        reader_go_on(r);
        job_left(job);
}

void job_readers_go_on(Job *job)
{
        list_foreach_safe (i, &job->readers)
                reader_go_on(CONTAINER_OF(i, Reader, link));
}

void job_readers_want_input(Job *job)
{
        list_foreach (i, &job->readers) {
                Reader *r = CONTAINER_OF(i, Reader, link);

                if (r->raw)
                        call_raw_resume(r->call);
        }
}

static void reader_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Reader *r = userdata;
        const Job *job = r->job;

        (void)reader_free(r);
        job_left(job);
        call_fail_ended(call, why,
                        why == CALL_SHUTDOWN ? "the job is being ended" : "the job goes on");
}

static size_t reader_raw_data(Call *call, uint8_t channel, const char *data, size_t n,
                              void *userdata)
{
        Reader *r = userdata;

        return r->job->program ? program_offer(r->job->program, data, n) : n;
}

static void reader_raw_end(Call *call, uint8_t channel, void *userdata)
{
        Reader *r = userdata;

        if (r->job->program)
                program_close_input(r->job->program);
}

static const RawOwner reader_raw_owner = {
        .data = reader_raw_data,
        .end = reader_raw_end,
};

/* Where to begin. What is no more is counted as lost; what is not yet there is an error. */
static int reader_read_cursors(Reader *r, json_object *params)
{
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++) {
                const Ring *ring = &r->job->output[i];
                int n;

                n = exec_read_number(r->call, params, cursor_keys[i], 0, ring->end, &r->cursor[i]);
                if (n < 0)
                        return n;
        }
        return 0;
}

static json_object *reader_answer(const Reader *r)
{
        Members m = { .object = reader_lost(r) };

        m.failed = !m.object;
        members_add_boolean(&m, "raw", true);
        members_add_unsigned(&m, "job", r->job->id);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                members_add_unsigned(&m, cursor_keys[i], r->cursor[i]);
        return members_take(&m);
}

/* 0, or the call has ended. */
static int reader_begin_raw(Reader *r, bool input)
{
        json_object *answer;

        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                reader_skip_lost(r, (ProgramStream)i);
        answer = reader_answer(r);
        if (!answer) {
                call_reply(r->call, NULL);
                return -ENOMEM;
        }
        return call_raw_begin(r->call, answer, input ? 1U << FRAME_STDIN : 0, &reader_raw_owner, r);
}

static bool get_boolean(json_object *params, const char *name)
{
        json_object *value = NULL;

        (void)json_object_object_get_ex(params, name, &value);
        return json_object_get_boolean(value);
}

void exec_attach(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        Job *job = job_of_params(call, params, context->exec);
        bool input = get_boolean(params, "input");
        Reader *r;

        if (!job)
                return;
        if (input && (!job->has_input || !get_boolean(params, "raw"))) {
                call_fail_params(call, job->has_input
                                               ? "parameter `input` needs `raw`; otherwise "
                                                 "exec.input writes"
                                               : "parameter `input`: the job was started without");
                return;
        }
        r = calloc(1, sizeof(*r));
        if (!r) {
                call_reply(call, NULL);
                return;
        }
        r->job = job;
        r->call = call;
        r->raw = get_boolean(params, "raw");
        list_append(&job->readers, &r->link);
        if (reader_read_cursors(r, params) < 0 || (r->raw && reader_begin_raw(r, input) < 0)) {
                (void)reader_free(r);
                return;
        }
        call_set_cancel(call, reader_on_cancel, r);
        reader_go_on(r);
}
