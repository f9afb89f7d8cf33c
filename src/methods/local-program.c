/* SPDX-License-Identifier: MIT */

/* `[method NAME]` with `command`: a program for each call. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"
#include "methods/local-internal.h"
#include "methods/members.h"
#include "proc/environment.h"
#include "proc/lines.h"
#include "proc/properties.h"

#define READ_SIZE ((size_t)32 * 1024)
#define TIMER_ACCURACY UINT64_C(10000)

typedef struct Run Run;

/* Why a program is being ended before it does so itself. */
typedef enum RunStop {
        RUN_STOP_NOT,
        RUN_STOP_CANCELLED,
        RUN_STOP_TIMEOUT,
        RUN_STOP_LIMIT,
} RunStop;

/* One program. It ends its call when it has ended itself, so that whoever has the reply knows it
 * gone; a call that must end sooner leaves it behind, counted until it has ended too. */
struct Run {
        ListLink link;             /* in runs */
        LocalRuns *runs;           /* NULL once it has ended */
        const LocalMethod *method; /* valid as long as the call is */
        Call *call;                /* NULL once it has ended */
        Spawn *spawn;
        Lines *lines;
        RunStop stop;
        int in_fd; /* the program's standard input, its writing end */
        int out_fd;
        sd_event_source *in_source;
        sd_event_source *out_source;
        sd_event_source *timer;
        Buffer in;
        Buffer out;
};

static void run_close_input(Run *run)
{
        run->in_source = sd_event_source_disable_unref(run->in_source);
        run->in_fd = fd_close(run->in_fd);
        buffer_done(&run->in);
}

static void run_close_output(Run *run)
{
        run->out_source = sd_event_source_disable_unref(run->out_source);
        run->out_fd = fd_close(run->out_fd);
}

/* It has ended, and makes room for the next one. */
static void run_unlink(Run *run)
{
        if (!run->runs)
                return;
        list_remove(&run->link);
        run->runs->n--;
        run->runs = NULL;
}

static Run *run_free(Run *run)
{
        if (!run)
                return NULL;
        run_unlink(run);
        run->timer = sd_event_source_disable_unref(run->timer);
        run_close_input(run);
        run_close_output(run);
        buffer_done(&run->out);
        (void)spawn_free(run->spawn);
        (void)lines_release(run->lines);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(Run, run_free)

LocalRuns *local_runs_unref(LocalRuns *r)
{
        if (!r || --r->n_ref > 0)
                return NULL;
        /* Those with a call are none of these: the call keeps the method, and that keeps us. */
        list_foreach_safe (i, &r->list)
                (void)run_free(CONTAINER_OF(i, Run, link));
        free(r);
        return NULL;
}

static void run_stop(Run *run, RunStop why)
{
        if (run->stop != RUN_STOP_NOT)
                return;
        run->stop = why;
        run->timer = sd_event_source_disable_unref(run->timer);
        run_close_input(run);
        run_close_output(run);
        buffer_done(&run->out);
        spawn_stop(run->spawn);
}

static int run_write_input(Run *run)
{
        while (run->in.size > 0) {
                ssize_t n = write(run->in_fd, buffer_peek(&run->in), run->in.size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                buffer_consume(&run->in, (size_t)n);
        }
        return 0;
}

static int run_on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Run *run = userdata;

        /* A program need not read what it does not want (EPIPE): its end is what counts. */
        if (run_write_input(run) != -EAGAIN)
                run_close_input(run);
        return 0;
}

/* Reads what there is, but no more than `budget` pieces. False where the limit was reached. */
static bool run_read_output(Run *run, unsigned budget)
{
        size_t limit = run->method->max_message;

        while (run->out_fd >= 0 && budget-- > 0) {
                char *p = buffer_reserve(&run->out, READ_SIZE);
                ssize_t n;

                if (!p)
                        return false;
                n = read(run->out_fd, p, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n <= 0) {
                        run_close_output(run);
                        break;
                }
                buffer_commit(&run->out, (size_t)n);
                if (run->out.size > limit)
                        return false;
        }
        return true;
}

static int run_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Run *run = userdata;

        if (!run_read_output(run, 1))
                run_stop(run, RUN_STOP_LIMIT);
        return 0;
}

static int run_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        run_stop(userdata, RUN_STOP_TIMEOUT);
        return 0;
}

static void run_on_cancel(Call *call, CallEnd why, void *userdata)
{
        Run *run = userdata;

        run_stop(run, RUN_STOP_CANCELLED);
        if (why == CALL_CANCELLED)
                return;
        /* Nobody will wait for its end any more. The run may go with the call. */
        run->call = NULL;
        call_fail_ended(call, why, "the program is being ended");
}

/* `data` of an error: the end of standard error. NULL without memory, which costs no more than
 * that. */
static json_object *run_data(Run *run, const char *key, json_object *value)
{
        const char *tail = "";
        size_t n = 0;
        Members m;

        if (run->lines)
                n = lines_tail(run->lines, &tail);
        members_init(&m);
        if (key)
                members_add_value(&m, key, value);
        members_add_value(&m, "stderr", members_text(tail, n));
        return members_take(&m);
}

static json_object *signal_to_json(int number)
{
        const char *name = sigabbrev_np(number);
        _cleanup_free_ char *text = NULL;

        text = name                 ? text_format("SIG%s", name)
               : number >= SIGRTMIN ? text_format("SIGRTMIN+%d", number - SIGRTMIN)
                                    : text_format("SIG%d", number);
        return text ? json_object_new_string(text) : NULL;
}

/* Whether the output is one JSON text and nothing else but space; where it lies. */
static ScanResult output_scan(Buffer *out, char **ret, size_t *ret_length)
{
        static const ScanKeys no_keys = { .params = SCAN_KEYS_MAX };
        const ScanLimits limits = {
                .bytes = out->size,
                .values = UINT32_MAX,        /* nothing is built of them here */
                .depth = SCAN_DEPTH_MAX - 1, /* the reply around it is the last level */
        };
        char *data = out->data + out->begin;
        size_t used = 0;
        ScanResult r;
        Scan scan;

        scan_init(&scan, &no_keys, &limits);
        r = scan_feed(&scan, data, out->size, &used);
        if (r == SCAN_MORE)
                r = scan_finish(&scan);
        if (r == SCAN_DONE) {
                *ret_length = scan_length(&scan);
                *ret = data + used - *ret_length;
                while (used < out->size && strchr(" \t\r\n", data[used]) && data[used] != '\0')
                        used++;
                if (used < out->size)
                        r = SCAN_BAD_SYNTAX;
        } else if (r == SCAN_MORE) {
                r = SCAN_BAD_SYNTAX;
        }
        scan_done(&scan);
        return r;
}

static void run_reply_json(Run *run, Call *call)
{
        const char *command = run->method->settings->program.command[0];
        char *json;
        size_t length;
        ScanResult r;

        r = run->out.size > 0 ? output_scan(&run->out, &json, &length) : SCAN_MORE;
        switch (r) {
        case SCAN_DONE:
                local_make_one_line(json, length);
                call_reply_text(call, json, length);
                break;
        case SCAN_TOO_DEEP:
                call_fail_data(call, REASON_LIMIT, 0, run_data(run, NULL, NULL),
                               "The output of %s is nested deeper than %u", command,
                               SCAN_DEPTH_MAX - 1);
                break;
        default:
                call_fail_data(call, REASON_FAILED, 0, run_data(run, NULL, NULL),
                               "The output of %s is not JSON%s", command,
                               r == SCAN_MORE       ? ": there is none"
                               : r == SCAN_BAD_UTF8 ? ": invalid UTF-8"
                                                    : "");
                break;
        }
}

static void run_reply_text(Run *run, Call *call)
{
        const char *text = buffer_peek(&run->out) ?: "";

        if (text_is_utf8(text, run->out.size))
                call_reply(call, json_object_new_string_len(text, (int)run->out.size));
        else
                call_fail_data(call, REASON_FAILED, 0, run_data(run, NULL, NULL),
                               "The output of %s is not UTF-8",
                               run->method->settings->program.command[0]);
}

/* Of a program that ended by itself. */
static void run_answer(Run *run, Call *call, const SpawnEnd *end)
{
        const MethodSettings *settings = run->method->settings;
        const char *command = settings->program.command[0];

        if (end->outcome == SPAWN_FAILED)
                call_fail(call, REASON_FAILED, end->error, "%s",
                          end->problem ?: "The program cannot be started");
        else if (end->outcome == SPAWN_SIGNALED)
                call_fail_data(call, REASON_FAILED, 0,
                               run_data(run, "signal", signal_to_json(end->status)),
                               "%s was killed by signal %d", command, end->status);
        else if (end->status != 0)
                call_fail_data(call, REASON_FAILED, 0,
                               run_data(run, "exit_status", json_object_new_int(end->status)),
                               "%s ended with exit status %d", command, end->status);
        else if (settings->output == METHOD_OUTPUT_TEXT)
                run_reply_text(run, call);
        else
                run_reply_json(run, call);
}

static void run_answer_stopped(Run *run, Call *call)
{
        const MethodSettings *settings = run->method->settings;
        const char *command = settings->program.command[0];
        char timeout[64];

        switch (run->stop) {
        case RUN_STOP_TIMEOUT:
                text_from_usec(timeout, settings->timeout);
                call_fail_data(call, REASON_TIMEOUT, 0, run_data(run, NULL, NULL),
                               "%s was ended: it took longer than %s", command, timeout);
                break;
        case RUN_STOP_LIMIT:
                call_fail_data(call, REASON_LIMIT, 0, run_data(run, NULL, NULL),
                               "%s was ended: its output is over max-message, %zu bytes", command,
                               run->method->max_message);
                break;
        default:
                call_fail(call, REASON_CANCELLED, 0, "Cancelled: %s was ended", command);
                break;
        }
}

static void run_on_end(Spawn *p, const SpawnEnd *end, void *userdata)
{
        _cleanup_(run_freep) Run *run = userdata;

        /* With the last of its calls the method goes, and what it counts. */
        run_unlink(run);
        if (!run->call)
                return;
        /* What it wrote last is in the pipe still; what others that hold the pipe would write is
         * not waited for, since they are being ended. */
        if (run->stop == RUN_STOP_NOT && !run_read_output(run, UINT32_MAX))
                run->stop = RUN_STOP_LIMIT;
        if (run->stop == RUN_STOP_NOT)
                run_answer(run, TAKE_PTR(run->call), end);
        else
                run_answer_stopped(run, TAKE_PTR(run->call));
}

/* What is added to the environment. */
static int run_make_extra(const Call *call, char ***ret)
{
        _cleanup_text_list_ char **extra = NULL;
        int r;

        r = text_list_take(&extra, text_format("GUESTWIRE_METHOD=%s", call_name(call)));
        if (r >= 0)
                r = environment_add_peer(&extra, call_peer(call));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(extra);
        return 0;
}

/* A pipe of which our end (0 or 1) does not block. */
static int pipe_new(unsigned our_end, int *ret_ours, int *ret_theirs)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        /* The other end is another open file description: the program's does block. */
        if (fcntl(fds[our_end], F_SETFL, O_NONBLOCK) < 0) {
                int r = -errno;

                fd_close(fds[0]);
                fd_close(fds[1]);
                return r;
        }
        *ret_ours = fds[our_end];
        *ret_theirs = fds[1 - our_end];
        return 0;
}

/* The parameters, as an object in one line. What fits into the pipe is there before the program
 * is, and costs no event. */
static int run_prepare_input(Run *run, json_object *params, int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        const char *json = "{}";
        size_t length = strlen(json);
        int r;

        if (params)
                json = json_object_to_json_string_length(
                        params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        if (!json)
                return -ENOMEM;
        r = pipe_new(1, &run->in_fd, &fd);
        if (r < 0)
                return r;
        r = buffer_append(&run->in, json, length);
        if (r >= 0)
                r = buffer_append(&run->in, "\n", 1);
        if (r >= 0)
                r = run_write_input(run);
        if (r == -EAGAIN)
                r = sd_event_add_io(run->method->context->event, &run->in_source, run->in_fd,
                                    EPOLLOUT, run_on_input, run);
        else if (r >= 0)
                run_close_input(run);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int run_prepare_output(Run *run, int *ret_fd)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = pipe_new(0, &run->out_fd, &fd);
        if (r < 0)
                return r;
        r = sd_event_add_io(run->method->context->event, &run->out_source, run->out_fd, EPOLLIN,
                            run_on_output, run);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int run_prepare_errors(Run *run, int *ret_fd)
{
        const char *name = call_name(run->call);
        LogFields fields = { 0 };

        log_fields_add(&fields, "GUESTWIRE_METHOD", "%s", name);
        return lines_new(run->method->context->event, name, &fields, &run->lines, ret_fd);
}

static int run_spawn(Run *run, const int fds[3])
{
        const ProgramSettings *program = &run->method->settings->program;
        _cleanup_text_list_ char **environment = NULL, **extra = NULL, **properties = NULL;
        const AgentContext *context = run->method->context;
        int r;

        r = run_make_extra(run->call, &extra);
        if (r >= 0)
                r = properties_new(context->spawner, program->scope, &context->config->agent,
                                   program, &properties);
        if (r < 0)
                return r;
        environment = environment_new(program, (const char *const *)extra);
        if (!environment)
                return -ENOMEM;
        return spawn_start(context->spawner,
                           &(SpawnSettings){
                                   .argv = program->command,
                                   .environment = environment,
                                   .directory = program->directory ?: "/",
                                   .change_user = program->has_user,
                                   .uid = program->uid,
                                   .gid = program->gid,
                                   .groups = program->groups,
                                   .n_groups = program->n_groups,
                                   .fds = { fds[0], fds[1], fds[2] },
                                   .kill_timeout = program->kill_timeout,
                                   .scope = program->scope,
                                   .limits = properties_limits(program),
                                   .identity = run->method->settings->name,
                                   .properties = properties,
                           },
                           run_on_end, run, &run->spawn);
}

static int run_start(Run *run, json_object *params)
{
        _cleanup_close_ int in = -EBADF, out = -EBADF, errors = -EBADF;
        uint64_t timeout = run->method->settings->timeout;
        int r;

        r = run_prepare_input(run, params, &in);
        if (r >= 0)
                r = run_prepare_output(run, &out);
        if (r >= 0)
                r = run_prepare_errors(run, &errors);
        if (r >= 0 && timeout != TEXT_INFINITY)
                r = sd_event_add_time_relative(run->method->context->event, &run->timer,
                                               CLOCK_MONOTONIC, timeout, TIMER_ACCURACY,
                                               run_on_timeout, run);
        if (r >= 0)
                r = run_spawn(run, (const int[]){ in, out, errors });
        return r;
}

void local_program_run(Call *call, json_object *params, void *userdata)
{
        const LocalMethod *m = call_method(call)->data;
        const ProgramSettings *program = &m->settings->program;
        _cleanup_(run_freep) Run *run = NULL;
        int r;

        if (m->runs->n >= program->max_instances) {
                call_fail(call, REASON_BUSY, 0,
                          "%s is running already, as often as max-instances allows",
                          program->command[0]);
                return;
        }
        run = malloc(sizeof(*run));
        if (!run) {
                call_reply(call, NULL);
                return;
        }
        *run = (Run){
                .runs = m->runs,
                .method = m,
                .call = call,
                .in_fd = -EBADF,
                .out_fd = -EBADF,
        };
        list_append(&m->runs->list, &run->link);
        m->runs->n++;

        r = run_start(run, params);
        if (r < 0) {
                run_unlink(run);
                call_fail(call, REASON_FAILED, -r, "%s cannot be started: %s", program->command[0],
                          strerror(-r));
                return;
        }
        call_set_cancel(call, run_on_cancel, run);
        (void)TAKE_PTR(run);
}
