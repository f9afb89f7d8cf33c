/* SPDX-License-Identifier: MIT */
#include "methods/exec-program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "methods/exec-internal.h"
#include "methods/exec-program-internal.h"
#include "proc/terminal.h"

#define TIMER_ACCURACY_USEC UINT64_C(10000)
/* Of a terminal nobody can say how much it holds. */
#define TERMINAL_LEFT_MAX ((size_t)1024 * 1024)

static void output_close(Output *o)
{
        Program *p = o->program;

        if (o->fd < 0)
                return;
        o->source = sd_event_source_disable_unref(o->source);
        o->fd = fd_close(o->fd);
        if (p->owner->output_ended)
                p->owner->output_ended(p, (ProgramStream)(o - p->outputs), p->userdata);
}

/* It makes room for the next one. */
static void program_unlink(Program *p)
{
        Exec *e = TAKE_PTR(p->exec);

        if (!e)
                return;
        if (--e->n_programs == 0 && e->stopped)
                e->stopped(e->stopped_userdata);
        exec_settle(e);
}

Program *program_free(Program *p)
{
        if (!p)
                return NULL;
        program_unlink(p);
        p->lookup_source = sd_event_source_disable_unref(p->lookup_source);
        (void)account_lookup_free(p->lookup);
        (void)spawn_free(p->spawn);
        (void)exec_input_free(p->input);
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++) {
                sd_event_source_disable_unref(p->outputs[i].source);
                fd_close(p->outputs[i].fd);
        }
        sd_event_source_disable_unref(p->timer);
        sd_event_source_disable_unref(p->later);
        exec_settings_done(&p->settings);
        free(p->identity);
        free(p->end.problem);
        free(p);
        return NULL;
}

/*
 * A terminal that no program has open may be opened again, by one that is its session's. And our
 * end must stay: the terminal would be hung up with it, and the program, which closes its streams
 * some time before it ends, would be killed for that. Until then only news are news.
 */
static void output_set_closed(Output *o, bool closed)
{
        if (o->closed == closed || !o->source)
                return;
        o->closed = closed;
        (void)sd_event_source_set_io_events(o->source, closed ? EPOLLIN | EPOLLET : EPOLLIN);
}

size_t program_pull(Program *p, ProgramStream stream, size_t n, ProgramPull pull, void *userdata)
{
        Output *o = &p->outputs[stream];
        ssize_t got;

        if (o->fd < 0 || o->over)
                return 0;
        if (p->has_ended)
                n = MIN_OF(n, o->left);
        do
                got = n > 0 ? pull(o->fd, n, userdata) : 0;
        while (got == -EINTR);
        if (got > 0) {
                output_set_closed(o, false);
                o->left -= p->has_ended ? (size_t)got : 0;
                o->over = p->has_ended && o->left == 0;
                return (size_t)got;
        }
        /* Once the program has ended nobody else's output is waited for. */
        if (p->has_ended)
                o->over = true;
        else if (p->terminal && got == -EIO)
                output_set_closed(o, true);
        else
                o->over = got != -EAGAIN;
        return 0;
}

static ssize_t pull_read(int fd, size_t n, void *userdata)
{
        ssize_t got = read(fd, userdata, n);

        return got < 0 ? -errno : got;
}

size_t program_read(Program *p, ProgramStream stream, char *to, size_t n)
{
        return program_pull(p, stream, n, pull_read, to);
}

/* False where the owner can take none now. */
static bool output_pass_on(Output *o)
{
        Program *p = o->program;

        o->paused = !p->owner->output(p, (ProgramStream)(o - p->outputs), p->userdata);
        if (o->over)
                output_close(o);
        return !o->paused;
}

/* Passes on what the program has left behind, and then tells its end. May free p. */
static void program_finish(Program *p)
{
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++) {
                Output *o = &p->outputs[i];

                while (o->fd >= 0 && !o->paused)
                        (void)output_pass_on(o);
        }
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                if (p->outputs[i].fd >= 0)
                        return;
        p->owner->ended(p, &p->end, p->userdata);
}

static int program_on_later(sd_event_source *source, void *userdata)
{
        program_finish(userdata);
        return 0;
}

/* In a turn of its own: whoever asks may be in the middle of something. */
static void program_finish_later(Program *p)
{
        int r;

        if (!p->later)
                r = sd_event_add_defer(p->event, &p->later, program_on_later, p);
        else
                r = sd_event_source_set_enabled(p->later, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("cannot go on with a program's output: %s", strerror(-r));
}

static void output_take_up(Output *o)
{
        int left = 0;

        if (o->fd < 0)
                return;
        o->source = sd_event_source_disable_unref(o->source);
        if (o->program->terminal)
                o->left = TERMINAL_LEFT_MAX;
        else if (ioctl(o->fd, FIONREAD, &left) == 0 && left > 0)
                o->left = (size_t)left;
        else
                output_close(o);
}

static void program_set_ended(Program *p)
{
        p->timer = sd_event_source_disable_unref(p->timer);
        p->has_ended = true;
        p->input = exec_input_free(p->input);
        program_unlink(p);
        /* What the program wrote is in the pipe; what others that hold the pipe would write is not
         * waited for, since they are being ended. */
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                output_take_up(&p->outputs[i]);
}

void program_on_start(Spawn *spawn, void *userdata)
{
        Program *p = userdata;

        p->owner->started(p, p->userdata);
}

void program_on_end(Spawn *spawn, const SpawnEnd *end, void *userdata)
{
        Program *p = userdata;

        p->end.outcome = end->outcome;
        p->end.status = end->status;
        p->end.reason = REASON_FAILED;
        p->end.error = end->error;
        p->end.problem = end->problem ? strdup(end->problem) : NULL;
        p->end.duration = end->duration;
        p->end.cpu = end->cpu;
        p->end.memory_peak = end->memory_peak;
        p->spawn = spawn_free(spawn);
        program_set_ended(p);
        program_finish(p);
}

int program_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Output *o = userdata;

        return output_pass_on(o) ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

void program_resume(Program *p)
{
        bool any = false;

        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++) {
                Output *o = &p->outputs[i];

                if (!o->paused)
                        continue;
                any = true;
                o->paused = false;
                if (o->source)
                        (void)sd_event_source_set_enabled(o->source, SD_EVENT_ON);
        }
        if (any && p->has_ended)
                program_finish_later(p);
}

static int program_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Program *p = userdata;

        p->end.timed_out = true;
        program_stop(p);
        return 0;
}

static void program_on_input_wanted(void *userdata)
{
        Program *p = userdata;

        if (p->owner->input_wanted)
                p->owner->input_wanted(p, p->userdata);
}

/* It will not be started. problem is taken over, and may be NULL. */
static void program_set_failed(Program *p, Reason reason, int error, char *problem)
{
        p->lookup_source = sd_event_source_disable_unref(p->lookup_source);
        p->lookup = account_lookup_free(p->lookup);
        p->end.outcome = SPAWN_FAILED;
        p->end.reason = reason;
        p->end.error = error;
        p->end.problem = problem;
        program_set_ended(p);
}

static int program_on_lookup(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        _cleanup_account_ Account account = ACCOUNT_NULL;
        Program *p = userdata;
        const char *user = p->settings.user;
        int r;

        r = account_lookup_finish(p->lookup, &account);
        if (r == -EAGAIN)
                return 0;
        if (r == -ENOENT) {
                program_set_failed(p, REASON_NOT_FOUND, 0,
                                   text_format("there is no user %s", user));
        } else if (r < 0) {
                program_set_failed(p, REASON_UNAVAILABLE, -r,
                                   text_format("user %s cannot be looked up: %s", user,
                                               strerror(-r)));
        } else {
                p->lookup_source = sd_event_source_disable_unref(p->lookup_source);
                p->lookup = account_lookup_free(p->lookup);
                r = program_launch(p, &account);
                if (r >= 0)
                        return 0;
                program_set_failed(p, r == -EOPNOTSUPP ? REASON_UNSUPPORTED : REASON_FAILED, -r,
                                   NULL);
        }
        program_finish(p);
        return 0;
}

/* Whether it is to run as somebody else. */
static bool program_changes_user(const Program *p)
{
        const char *user = p->settings.user;
        const User *own = &p->exec->own;
        uint32_t number;

        if (!user || (own->name && strcmp(own->name, user) == 0))
                return false;
        return text_to_u32(user, &number) < 0 || number != geteuid();
}

static int program_begin(Program *p)
{
        const ExecSettings *s = &p->settings;
        int r = 0;

        if (s->more_input || s->input.size > 0)
                r = exec_input_new(p->event, &p->settings.input, s->more_input,
                                   program_on_input_wanted, p, &p->input);
        if (r >= 0 && s->timeout != TEXT_INFINITY)
                r = sd_event_add_time_relative(p->event, &p->timer, CLOCK_MONOTONIC, s->timeout,
                                               TIMER_ACCURACY_USEC, program_on_timeout, p);
        if (r < 0)
                return r;
        if (!program_changes_user(p))
                return program_launch(p, NULL);
        r = account_lookup_start(p->settings.user, &p->lookup);
        if (r < 0)
                return r == -EBUSY ? -EUSERS : r;
        return sd_event_add_io(p->event, &p->lookup_source, account_lookup_get_fd(p->lookup),
                               EPOLLIN, program_on_lookup, p);
}

int program_new(Exec *e, ExecSettings *settings, const char *identity, const ProgramOwner *owner,
                void *userdata, Program **ret)
{
        _cleanup_(program_freep) Program *p = NULL;
        int r;

        p = calloc(1, sizeof(*p));
        if (!p) {
                exec_settings_done(settings);
                return -ENOMEM;
        }
        p->exec = e;
        p->event = e->context->event;
        p->owner = owner;
        p->userdata = userdata;
        p->settings = *settings;
        p->terminal = settings->terminal;
        *settings = (ExecSettings){ 0 };
        for (size_t i = 0; i < PROGRAM_STREAM_MAX; i++)
                p->outputs[i] = (Output){ .program = p, .fd = -EBADF };
        if (e->n_programs++ >= e->context->config->agent.max_programs)
                return -EBUSY;
        p->identity = strdup(identity);
        if (!p->identity)
                return -ENOMEM;
        r = program_begin(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

void program_stop(Program *p)
{
        p->timer = sd_event_source_disable_unref(p->timer);
        if (p->spawn) {
                spawn_stop(p->spawn);
        } else if (p->lookup) {
                /* The name service may take its time. */
                program_set_failed(p, REASON_CANCELLED, ECANCELED, NULL);
                program_finish_later(p);
        }
}

pid_t program_pid(const Program *p)
{
        return p->spawn ? spawn_pid(p->spawn) : 0;
}

const char *program_unit(const Program *p)
{
        return p->spawn ? spawn_unit(p->spawn) : NULL;
}

size_t program_offer(Program *p, const char *data, size_t n)
{
        return p->input ? exec_input_offer(p->input, data, n) : n;
}

void program_input(Program *p, Call *call, const char *data, size_t n)
{
        if (p->input)
                exec_input_write(p->input, call, data, n);
        else
                call_fail(call, REASON_FAILED, EPIPE,
                          "The program has no standard input: `input` of exec.run and exec.start "
                          "asks for one");
}

void program_close_input(Program *p)
{
        if (p->input)
                exec_input_close(p->input);
}

int program_signal(Program *p, int number)
{
        return p->spawn ? spawn_signal(p->spawn, number) : -ESRCH;
}

int program_resize(Program *p, unsigned rows, unsigned columns)
{
        int master = p->outputs[PROGRAM_STDOUT].fd;

        if (p->has_ended || master < 0)
                return -ESRCH;
        return p->terminal ? terminal_resize(master, rows, columns) : -ENOTTY;
}
