/* SPDX-License-Identifier: MIT */

/* exec.start and what follows it: programs that belong to no connection. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"
#include "methods/exec-internal.h"
#include "methods/exec-job.h"
#include "methods/members.h"

#define TIMER_ACCURACY_USEC UINT64_C(1000000)

typedef struct Waiter Waiter;

/* A call of exec.wait. */
struct Waiter {
        ListLink link;
        Call *call;
        sd_event_source *timer;
};

static Job *job_find(const Exec *e, uint64_t id)
{
        list_foreach (i, &e->jobs) {
                Job *job = CONTAINER_OF(i, Job, link);

                if (job->id == id)
                        return job;
        }
        return NULL;
}

Program *job_program(const Job *job)
{
        return job->program;
}

static Waiter *waiter_free(Waiter *w)
{
        list_remove(&w->link);
        sd_event_source_disable_unref(w->timer);
        free(w);
        return NULL;
}

/* Only one that nobody waits for, or reads. */
static Job *job_free(Job *job)
{
        if (!job)
                return NULL;
        list_remove(&job->link);
        (void)program_free(job->program);
        job->exec->n_jobs--;
        exec_settle(job->exec);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                ring_done(&job->output[i]);
        json_object_put(job->argv);
        free(job->user);
        free(job->end.problem);
        free(job);
        return NULL;
}
DEFINE_CLEANUP(Job, job_free)

void jobs_free(Exec *e)
{
        /* Sessions are gone by now, and with them who waited or read. */
        list_foreach_safe (i, &e->jobs)
                (void)job_free(CONTAINER_OF(i, Job, link));
        e->job_timer = sd_event_source_disable_unref(e->job_timer);
}

void jobs_stop(Exec *e)
{
        list_foreach (i, &e->jobs) {
                Job *job = CONTAINER_OF(i, Job, link);

                if (job->program)
                        program_stop(job->program);
        }
}

/* Finished jobs */

/* The one that has been finished longest and that nobody reads, or NULL. */
static Job *jobs_oldest_finished(Exec *e)
{
        Job *oldest = NULL;

        list_foreach (i, &e->jobs) {
                Job *job = CONTAINER_OF(i, Job, link);

                if (job->finished_at > 0 && list_is_empty(&job->readers) &&
                    (!oldest || job->finished_at < oldest->finished_at))
                        oldest = job;
        }
        return oldest;
}

static int jobs_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Looks again when the time of the next one is over. */
static void jobs_arm(Exec *e)
{
        uint64_t keep = e->context->config->agent.job_keep;
        const Job *job = jobs_oldest_finished(e);
        int r;

        if (!job || keep == TEXT_INFINITY)
                return;
        if (!e->job_timer) {
                r = sd_event_add_time(e->context->event, &e->job_timer, CLOCK_MONOTONIC,
                                      job->finished_at + keep, TIMER_ACCURACY_USEC, jobs_on_timer,
                                      e);
        } else {
                r = sd_event_source_set_time(e->job_timer, job->finished_at + keep);
                if (r >= 0)
                        r = sd_event_source_set_enabled(e->job_timer, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                log_error("finished jobs stay for longer than job-keep says: %s", strerror(-r));
}

/* Forgets those whose time is over. Nobody may hold a job. */
static void jobs_expire(Exec *e)
{
        uint64_t keep = e->context->config->agent.job_keep, now = 0;
        Job *job;

        (void)sd_event_now(e->context->event, CLOCK_MONOTONIC, &now);
        while (keep != TEXT_INFINITY && (job = jobs_oldest_finished(e)) &&
               now >= job->finished_at && now - job->finished_at >= keep)
                (void)job_free(job);
}

static int jobs_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Exec *e = userdata;

        jobs_expire(e);
        jobs_arm(e);
        return 0;
}

/* False where there is none to be had. */
static bool jobs_make_room(Exec *e)
{
        jobs_expire(e);
        while (e->n_jobs >= e->context->config->agent.max_jobs) {
                Job *job = jobs_oldest_finished(e);

                if (!job)
                        return false;
                (void)job_free(job);
        }
        return true;
}

void job_left(const Job *job)
{
        if (job->program)
                program_resume(job->program);
        else
                jobs_arm(job->exec);
}

/* The program */

/* How much more can be kept before something is lost that a reader has not read yet. */
static size_t job_room(const Job *job, ProgramStream stream)
{
        const Ring *ring = &job->output[stream];
        uint64_t oldest = UINT64_MAX;

        list_foreach (i, &job->readers)
                oldest = MIN_OF(oldest, job_reader_cursor(i, stream));
        if (oldest == UINT64_MAX)
                return SIZE_MAX;
        return ring->limit - (size_t)MIN_OF(ring->end - oldest, (uint64_t)ring->limit);
}

static bool job_on_output(Program *p, ProgramStream stream, void *userdata)
{
        Job *job = userdata;
        size_t room = job_room(job, stream), n;

        /* Whoever reads it along slows it down. */
        if (room == 0)
                return false;
        n = program_read(p, stream, exec_scratch, MIN_OF(room, EXEC_SCRATCH_SIZE));
        ring_write(&job->output[stream], exec_scratch, n);
        if (n > 0)
                job_readers_go_on(job);
        return true;
}

static void job_on_input_wanted(Program *p, void *userdata)
{
        job_readers_want_input(userdata);
}

/* What the job came to, as exec.wait's result. NULL without memory. */
static json_object *job_result(const Job *job)
{
        Members m = { .object = exec_end_to_json(&job->end) };

        m.failed = !m.object;
        members_add_unsigned(&m, "job", job->id);
        members_add_unsigned(&m, "stdout_cursor", job->output[PROGRAM_STDOUT].end);
        members_add_unsigned(&m, "stderr_cursor", job->output[PROGRAM_STDERR].end);
        return members_take(&m);
}

void job_answer(const Job *job, Call *call, json_object *more)
{
        const ProgramEnd *end = &job->end;
        _cleanup_json_ json_object *result = job_result(job);

        if (result && more) {
                json_object_object_foreach(more, key, value)(void)
                        json_object_object_add(result, key, json_object_get(value));
        }
        if (!result)
                call_reply(call, NULL);
        else if (end->outcome == SPAWN_FAILED)
                call_fail_data(call, end->reason, end->error, TAKE_PTR(result), "%s",
                               end->problem ?: strerror(end->error));
        else if (end->timed_out)
                call_fail_data(call, REASON_TIMEOUT, 0, TAKE_PTR(result),
                               "The program was ended: it took longer than its timeout_ms");
        else
                call_reply(call, TAKE_PTR(result));
        json_object_put(more);
}

/* The program is there: whoever has asked for it is told its number. */
static void job_answer_start(Job *job)
{
        Call *call = TAKE_PTR(job->start);
        Members m;

        if (!call)
                return;
        members_init(&m);
        members_add_unsigned(&m, "job", job->id);
        call_reply(call, members_take(&m));
}

static void job_on_start(Program *p, void *userdata)
{
        job_answer_start(userdata);
}

/* It ended before it was seen to begin. True where it never did, and was not even a job. */
static bool job_fail_start(Job *job)
{
        const ProgramEnd *end = &job->end;
        Call *call = job->start;

        if (!call || (end->outcome != SPAWN_FAILED && !end->timed_out)) {
                job_answer_start(job);
                return false;
        }
        job->start = NULL;
        if (end->timed_out)
                call_fail(call, REASON_TIMEOUT, 0,
                          "The program was ended: it had not begun within its timeout_ms");
        else
                call_fail(call, end->reason, end->error, "%s",
                          end->problem ?: strerror(end->error));
        return true;
}

static void job_on_end(Program *p, const ProgramEnd *end, void *userdata)
{
        Job *job = userdata;
        uint64_t now = 0;
        bool failed;

        (void)sd_event_now(job->exec->context->event, CLOCK_MONOTONIC, &now);
        job->end = *end;
        job->end.problem = end->problem ? strdup(end->problem) : NULL;
        job->finished_at = MAX_OF(now, UINT64_C(1));
        job->program = program_free(p);
        failed = job_fail_start(job);
        while (!list_is_empty(&job->waiters)) {
                Waiter *w = CONTAINER_OF(job->waiters.next, Waiter, link);
                Call *call = w->call;

                (void)waiter_free(w);
                job_answer(job, call, NULL);
        }
        job_readers_go_on(job);
        /* Who has found it in the list meanwhile may still be reading. */
        if (failed && list_is_empty(&job->readers))
                (void)job_free(job);
        else
                jobs_arm(job->exec);
}

static const ProgramOwner job_owner = {
        .started = job_on_start,
        .output = job_on_output,
        .input_wanted = job_on_input_wanted,
        .ended = job_on_end,
};

/* The methods */

static int job_new(Exec *e, const ExecSettings *settings, Job **ret)
{
        static const char login[] = "login shell";
        Job *job;

        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        job->exec = e;
        list_init(&job->waiters);
        list_init(&job->readers);
        list_append(&e->jobs, &job->link);
        e->n_jobs++;
        job->id = ++e->last_job;
        job->has_input = settings->more_input;
        job->terminal = settings->terminal;
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                ring_init(&job->output[i], e->context->config->agent.job_output);
        (void)clock_gettime(CLOCK_REALTIME, &job->started);
        if (!settings->argv) {
                job->argv = json_object_new_array();
                if (members_array_take(job->argv, json_object_new_string(login)) < 0)
                        goto fail;
        } else {
                json_object *argv = NULL;

                (void)json_object_object_get_ex(settings->params, "argv", &argv);
                job->argv = json_object_get(argv);
        }
        job->user = strdup(settings->user ?: e->own.name ?: "root");
        if (!job->user)
                goto fail;
        *ret = job;
        return 0;

fail:
        (void)job_free(job);
        return -ENOMEM;
}

static void start_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Job *job = userdata;

        job->start = NULL;
        if (why == CALL_CANCELLED)
                program_stop(job->program);
        call_fail_ended(call, why,
                        why == CALL_GONE ? "the job goes on" : "the program is being ended");
}

void exec_start(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        _cleanup_exec_settings_ ExecSettings settings = { 0 };
        _cleanup_(job_freep) Job *job = NULL;
        _cleanup_free_ char *what = NULL;
        char identity[32];
        int r;

        if (exec_settings_read(call, params, context, &settings) < 0)
                return;
        if (!jobs_make_room(context->exec)) {
                call_fail(call, REASON_LIMIT, 0,
                          "%zu jobs are there, as many as max-jobs allows, and none of them has "
                          "finished",
                          context->exec->n_jobs);
                return;
        }
        r = job_new(context->exec, &settings, &job);
        if (r < 0) {
                call_reply(call, NULL);
                return;
        }
        what = strdup(settings.argv ? settings.argv[0] : "the login shell");
        (void)snprintf(identity, sizeof(identity), "job-%" PRIu64, job->id);
        r = program_new(context->exec, &settings, identity, &job_owner, job, &job->program);
        if (r < 0) {
                exec_fail_start(call, what, r);
                return;
        }
        /* Answered when it has been executed, or cannot be. */
        job->start = call;
        call_set_cancel(call, start_on_cancel, job);
        (void)TAKE_PTR(job);
}

static void waiter_on_cancel(Call *call, CallEnd why, void *userdata)
{
        (void)waiter_free(userdata);
        call_fail_ended(call, why,
                        why == CALL_SHUTDOWN ? "the job is being ended" : "the job goes on");
}

static int waiter_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        Call *call = w->call;

        (void)waiter_free(w);
        call_fail(call, REASON_TIMEOUT, 0, "The job has not ended within timeout_ms: it goes on");
        return 0;
}

Job *job_of_params(Call *call, json_object *params, const Exec *e)
{
        json_object *id = NULL;
        Job *job = NULL;

        (void)json_object_object_get_ex(params, "job", &id);
        if (json_object_get_int64(id) >= 0)
                job = job_find(e, json_object_get_uint64(id));
        if (!job)
                call_fail(call, REASON_NOT_FOUND, 0, "There is no job %s",
                          json_object_get_string(id));
        return job;
}

void exec_wait(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        uint64_t timeout = 0;
        Waiter *w;
        Job *job;
        int r = 0;

        if (exec_read_number(call, params, "timeout_ms", 0, INT64_MAX / 1000, &timeout) < 0)
                return;
        job = job_of_params(call, params, context->exec);
        if (!job)
                return;
        if (job->finished_at > 0) {
                job_answer(job, call, NULL);
                return;
        }
        w = calloc(1, sizeof(*w));
        if (!w) {
                call_reply(call, NULL);
                return;
        }
        w->call = call;
        list_append(&job->waiters, &w->link);
        if (json_object_object_get_ex(params, "timeout_ms", NULL))
                r = sd_event_add_time_relative(context->event, &w->timer, CLOCK_MONOTONIC,
                                               timeout * 1000, 0, waiter_on_timeout, w);
        if (r < 0) {
                (void)waiter_free(w);
                call_reply(call, NULL);
                return;
        }
        call_set_cancel(call, waiter_on_cancel, w);
}

static json_object *job_to_json(const Job *job)
{
        const char *state = job->finished_at == 0              ? "running"
                            : job->end.outcome == SPAWN_FAILED ? "failed"
                                                               : "finished";
        pid_t pid = job->program ? program_pid(job->program) : 0;
        const char *unit = job->program ? program_unit(job->program) : NULL;
        Members m;

        members_init(&m);
        if (job->finished_at > 0 && job->end.outcome != SPAWN_FAILED) {
                members_done(&m);
                m.object = exec_end_to_json(&job->end);
                m.failed = !m.object;
        }
        members_add_unsigned(&m, "job", job->id);
        members_add_text(&m, "state", state);
        members_add_value(&m, "argv", json_object_get(job->argv));
        members_add_text(&m, "user", job->user);
        members_add_boolean(&m, "tty", job->terminal);
        members_add_boolean(&m, "input", job->has_input);
        members_add_unsigned(&m, "started_us",
                             (uint64_t)job->started.tv_sec * 1000000 +
                                     (uint64_t)job->started.tv_nsec / 1000);
        if (pid > 0)
                members_add_unsigned(&m, "pid", (uint64_t)pid);
        else
                members_add_null(&m, "pid");
        members_add_text(&m, "unit", unit);
        members_add_unsigned(&m, "stdout_cursor", job->output[PROGRAM_STDOUT].end);
        members_add_unsigned(&m, "stderr_cursor", job->output[PROGRAM_STDERR].end);
        if (job->finished_at > 0 && job->end.outcome == SPAWN_FAILED)
                members_add_text(&m, "problem", job->end.problem ?: strerror(job->end.error));
        return members_take(&m);
}

void exec_list(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        json_object *list = json_object_new_array();
        Members m;
        int r = 0;

        jobs_expire(context->exec);
        list_foreach (i, &context->exec->jobs) {
                r = members_array_take(list, job_to_json(CONTAINER_OF(i, Job, link)));
                if (r < 0)
                        break;
        }
        members_init(&m);
        members_add_value(&m, "jobs", list);
        m.failed = m.failed || r < 0;
        call_reply(call, members_take(&m));
}

void exec_remove(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        Job *job = job_of_params(call, params, context->exec);

        if (!job)
                return;
        if (job->finished_at == 0)
                call_fail(call, REASON_BUSY, 0,
                          "Job %" PRIu64 " is running: exec.signal can end it", job->id);
        else if (!list_is_empty(&job->readers))
                call_fail(call, REASON_BUSY, 0, "Job %" PRIu64 " is being read by exec.attach",
                          job->id);
        else {
                (void)job_free(job);
                call_reply_text(call, "{}", strlen("{}"));
        }
}
