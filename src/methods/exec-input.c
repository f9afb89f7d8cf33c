/* SPDX-License-Identifier: MIT */
#include "methods/exec-input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"

/* Above the first figure no call's bytes are taken; below the second one it is answered. */
#define WAITING_MAX ((size_t)1024 * 1024)
#define WAITING_LOW ((size_t)64 * 1024)

typedef struct Writer Writer;

/* A call whose bytes wait. */
struct Writer {
        ListLink link;
        Call *call;
};

struct ExecInput {
        sd_event *event;
        int fd; /* negative: not open yet, or no more */
        sd_event_source *source;
        void (*wanted)(void *userdata);
        void *userdata;
        Buffer waiting;
        ListLink writers; /* in the order of their coming */
        bool terminal;
        bool opened;
        bool closing; /* behind what waits */
        bool hungry;  /* what was offered was not all taken */
        bool in_line; /* the last byte was not a line's end */
};

static Writer *writer_free(Writer *w)
{
        list_remove(&w->link);
        free(w);
        return NULL;
}

static void writer_on_cancel(Call *call, CallEnd why, void *userdata)
{
        (void)writer_free(userdata);
        call_fail_ended(call, why, "the input may still be read");
}

static void writers_answer(ExecInput *in)
{
        while (!list_is_empty(&in->writers)) {
                Writer *w = CONTAINER_OF(in->writers.next, Writer, link);
                Call *call = w->call;

                (void)writer_free(w);
                call_reply_text(call, "{}", strlen("{}"));
        }
}

static void fail_closed(Call *call)
{
        call_fail(call, REASON_FAILED, EPIPE, "The program's standard input is closed");
}

/* Nobody reads it any more, or all is written. */
static void exec_input_end(ExecInput *in)
{
        in->source = sd_event_source_disable_unref(in->source);
        in->fd = fd_close(in->fd);
        in->opened = true;
        buffer_done(&in->waiting);
        while (!list_is_empty(&in->writers)) {
                Writer *w = CONTAINER_OF(in->writers.next, Writer, link);
                Call *call = w->call;

                (void)writer_free(w);
                fail_closed(call);
        }
}

ExecInput *exec_input_free(ExecInput *in)
{
        if (!in)
                return NULL;
        exec_input_end(in);
        free(in);
        return NULL;
}

static bool is_over(const ExecInput *in)
{
        return in->closing || (in->opened && in->fd < 0);
}

static int exec_input_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);

static int exec_input_wait(ExecInput *in)
{
        if (in->source)
                return sd_event_source_set_enabled(in->source, SD_EVENT_ON);
        return sd_event_add_io(in->event, &in->source, in->fd, EPOLLOUT, exec_input_on_io, in);
}

/* How much of it was written; -errno where none was. */
static ssize_t write_some(ExecInput *in, const char *data, size_t n)
{
        ssize_t written;

        do
                written = write(in->fd, data, n);
        while (written < 0 && errno == EINTR);
        if (written < 0)
                return -errno;
        if (written > 0)
                in->in_line = data[written - 1] != '\n';
        return written;
}

/* Writes what waits, as far as it is taken. */
static void exec_input_flush(ExecInput *in)
{
        if (in->fd < 0)
                return;
        while (in->waiting.size > 0) {
                ssize_t n = write_some(in, buffer_peek(&in->waiting), in->waiting.size);

                if (n == -EAGAIN) {
                        if (exec_input_wait(in) < 0)
                                exec_input_end(in);
                        break;
                }
                if (n < 0) {
                        /* A program need not read what it does not want. */
                        exec_input_end(in);
                        return;
                }
                buffer_consume(&in->waiting, (size_t)n);
        }
        if (in->waiting.size <= WAITING_LOW)
                writers_answer(in);
        if (in->waiting.size == 0 && in->closing)
                exec_input_end(in);
}

static int exec_input_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        ExecInput *in = userdata;

        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        exec_input_flush(in);
        if (in->hungry && in->waiting.size == 0) {
                in->hungry = false;
                in->wanted(in->userdata);
        }
        return 0;
}

int exec_input_new(sd_event *event, Buffer *begin, bool more, void (*wanted)(void *userdata),
                   void *userdata, ExecInput **ret)
{
        ExecInput *in;

        in = malloc(sizeof(*in));
        if (!in)
                return -ENOMEM;
        *in = (ExecInput){
                .event = event,
                .fd = -EBADF,
                .wanted = wanted,
                .userdata = userdata,
                .waiting = *begin,
                .closing = !more,
        };
        *begin = BUFFER_NULL;
        list_init(&in->writers);
        *ret = in;
        return 0;
}

/*
 * A terminal has no end but this character, which its line discipline takes at the beginning of a
 * line; within one it only hands out what there is of it.
 */
static int add_end_of_file(ExecInput *in)
{
        struct termios settings;
        bool in_line = in->in_line;
        char eof[2];

        if (tcgetattr(in->fd, &settings) < 0)
                return -errno;
        if (!(settings.c_lflag & ICANON))
                return 0;
        if (in->waiting.size > 0)
                in_line = buffer_peek(&in->waiting)[in->waiting.size - 1] != '\n';
        memset(eof, settings.c_cc[VEOF], sizeof(eof));
        return buffer_append(&in->waiting, eof, in_line ? 2 : 1);
}

int exec_input_open(ExecInput *in, int fd, bool terminal)
{
        int r = 0;

        in->fd = fd;
        in->opened = true;
        in->terminal = terminal;
        if (in->closing && terminal)
                r = add_end_of_file(in);
        /* What fits is there before the program is, and costs no event. */
        exec_input_flush(in);
        /* Whoever was turned away comes again in a turn of the loop's own. */
        if (r >= 0 && in->hungry && in->fd >= 0)
                r = exec_input_wait(in);
        return r;
}

size_t exec_input_offer(ExecInput *in, const char *data, size_t n)
{
        size_t taken = 0;
        ssize_t written;

        if (is_over(in))
                return n;
        if (in->fd < 0 || in->waiting.size > 0) {
                in->hungry = true;
                return 0;
        }
        while (taken < n) {
                written = write_some(in, data + taken, n - taken);
                if (written == -EAGAIN && exec_input_wait(in) >= 0) {
                        in->hungry = true;
                        return taken;
                }
                if (written < 0) {
                        exec_input_end(in);
                        return n;
                }
                taken += (size_t)written;
        }
        return n;
}

void exec_input_write(ExecInput *in, Call *call, const char *data, size_t n)
{
        Writer *w;

        if (is_over(in)) {
                fail_closed(call);
                return;
        }
        if (in->waiting.size > 0 && in->waiting.size + n > WAITING_MAX) {
                call_fail(call, REASON_BUSY, 0,
                          "%zu bytes of input wait already for the program to read them",
                          in->waiting.size);
                return;
        }
        w = malloc(sizeof(*w));
        if (!w || buffer_append(&in->waiting, data, n) < 0) {
                free(w);
                call_reply(call, NULL);
                return;
        }
        w->call = call;
        list_append(&in->writers, &w->link);
        call_set_cancel(call, writer_on_cancel, w);
        exec_input_flush(in);
}

void exec_input_close(ExecInput *in)
{
        if (is_over(in))
                return;
        if (in->fd >= 0 && in->terminal && add_end_of_file(in) < 0) {
                exec_input_end(in);
                return;
        }
        in->closing = true;
        exec_input_flush(in);
}
