/* SPDX-License-Identifier: MIT */
#include "cli/exec-stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/json.h"
#include "cli/standard.h"
#include "cli/terminal.h"
#include "rpc/frame.h"

/* What is taken off the connection at once, and goes to our outputs from where it came in. */
#define RECEIVE_SIZE ((size_t)256 * 1024)
/* What is read of our standard input at once: a frame. It is read while less than this waits. */
#define INPUT_SIZE ((size_t)128 * 1024)
/* Of a pipe that we write to: with the usual 64 KiB each frame would take several turns. */
#define PIPE_SIZE (1024 * 1024)

typedef struct ExecStream ExecStream;
typedef struct Outlet Outlet;

/* One of our outputs. */
struct Outlet {
        ExecStream *stream;
        const char *name;
        int fd;                  /* negative: ended */
        int restore;             /* for standard_restore() */
        sd_event_source *source; /* on while it is full; NULL: it never is */
        bool ended;              /* by the guest */
};

struct ExecStream {
        sd_event *event;
        RawCall *raw;
        const ExecStreamSettings *settings;
        sd_event_source *io;

        FrameReader reader;
        char *in; /* RECEIVE_SIZE bytes or more */
        size_t in_begin, in_end;
        /* Of a frame that an outlet has not taken whole: until it has, nothing else is taken. */
        Outlet *full;
        const char *rest;
        size_t n_rest;
        Buffer text; /* of channel 0 */
        Outlet outlets[2];

        Buffer out;
        bool no_more_sends; /* the guest has closed its end, but may have spoken before */

        int input; /* negative: ended, or not taken */
        int input_restore;
        sd_event_source *input_source;
        bool input_open; /* the channel is */

        bool resized;
        bool over; /* outcome is what was come to */
        int outcome;
        ExecStreamEnd end;
};

static void stream_finish(ExecStream *x, int outcome)
{
        if (x->over)
                return;
        x->over = true;
        x->outcome = outcome;
        (void)sd_event_exit(x->event, 0);
}

/* name: of our own that it is about; NULL: the connection. */
static void stream_fail(ExecStream *x, const char *name, int error)
{
        if (x->over)
                return;
        x->end.stream = name;
        stream_finish(x, error);
}

/* To the guest */

static void stream_watch(ExecStream *x)
{
        uint32_t events = 0;
        bool more;

        if (x->over)
                return;
        if (!x->full)
                events |= EPOLLIN;
        if (x->out.size > 0)
                events |= EPOLLOUT;
        (void)sd_event_source_set_io_events(x->io, events);
        /* A guest that is gone says so without being asked, and would until we read again. */
        (void)sd_event_source_set_enabled(x->io, events != 0 ? SD_EVENT_ON : SD_EVENT_OFF);
        if (!x->input_source)
                return;
        more = x->input_open && x->out.size < INPUT_SIZE;
        (void)sd_event_source_set_enabled(x->input_source, more ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* A failure to send is no end yet: the reply may wait to be read, and reading will tell. */
static void stream_transmit(ExecStream *x)
{
        ssize_t n;

        while (x->out.size > 0 && !x->no_more_sends) {
                n = send(x->raw->fd, buffer_peek(&x->out), x->out.size,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n < 0)
                        x->no_more_sends = true;
                else
                        buffer_consume(&x->out, (size_t)n);
        }
        if (x->no_more_sends)
                buffer_done(&x->out);
}

static int stream_add_frame(ExecStream *x, uint8_t channel, const void *data, size_t n)
{
        uint8_t header[FRAME_HEADER_SIZE];
        int r;

        frame_put_header(header, channel, n);
        r = buffer_append(&x->out, header, sizeof(header));
        if (r >= 0 && n > 0)
                r = buffer_append(&x->out, data, n);
        return r;
}

/* A call whose answer nobody waits for: a notification. params is taken over. */
static int stream_notify(ExecStream *x, const char *method, json_object *params)
{
        _cleanup_json_ json_object *o = json_object_new_object(), *p = params;
        const char *text;
        size_t n;

        if (!o || !p || json_object_object_add(o, "jsonrpc", json_object_new_string("2.0")) < 0 ||
            json_object_object_add(o, "method", json_object_new_string(method)) < 0 ||
            json_object_object_add(p, x->settings->whose, json_object_get(x->settings->id)) < 0 ||
            json_object_object_add(o, "params", TAKE_PTR(p)) < 0)
                return -ENOMEM;
        text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &n);
        return text ? stream_add_frame(x, FRAME_CONTROL, text, n) : -ENOMEM;
}

static void stream_send_signal(ExecStream *x, int number)
{
        json_object *params = json_object_new_object();

        if (params && json_object_object_add(params, "signal", json_object_new_int(number)) < 0) {
                json_object_put(params);
                params = NULL;
        }
        if (stream_notify(x, "exec.signal", params) < 0)
                stream_fail(x, NULL, -ENOMEM);
        stream_transmit(x);
        stream_watch(x);
}

static void stream_send_size(ExecStream *x)
{
        const int fds[] = { x->input, x->outlets[0].fd, STDERR_FILENO };
        json_object *params;
        unsigned rows, columns;

        x->resized = false;
        if (terminal_get_size(fds, ELEMENTSOF(fds), &rows, &columns) < 0)
                return;
        params = json_object_new_object();
        if (params &&
            (json_object_object_add(params, "rows", json_object_new_int((int)rows)) < 0 ||
             json_object_object_add(params, "cols", json_object_new_int((int)columns)) < 0)) {
                json_object_put(params);
                params = NULL;
        }
        if (stream_notify(x, "exec.resize", params) < 0)
                stream_fail(x, NULL, -ENOMEM);
}

static void stream_end_input(ExecStream *x)
{
        x->input_open = false;
        if (stream_add_frame(x, FRAME_STDIN, NULL, 0) < 0)
                stream_fail(x, NULL, -ENOMEM);
}

static void stream_read_input(ExecStream *x)
{
        ssize_t n;
        char *p;

        if (!x->input_open || x->out.size >= INPUT_SIZE)
                return;
        p = buffer_reserve(&x->out, FRAME_HEADER_SIZE + INPUT_SIZE);
        if (!p) {
                stream_fail(x, NULL, -ENOMEM);
                return;
        }
        n = read(x->input, p + FRAME_HEADER_SIZE, INPUT_SIZE);
        if (n > 0) {
                frame_put_header((uint8_t *)p, FRAME_STDIN, (size_t)n);
                buffer_commit(&x->out, FRAME_HEADER_SIZE + (size_t)n);
        } else if (n == 0 || errno == EIO) {
                /* A terminal that is gone answers EIO. */
                stream_end_input(x);
        } else if (errno != EAGAIN && errno != EINTR) {
                stream_fail(x, "standard input", -errno);
        }
        stream_transmit(x);
        stream_watch(x);
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        stream_read_input(userdata);
        return 0;
}

static int on_input_ready(sd_event_source *source, void *userdata)
{
        stream_read_input(userdata);
        return 0;
}

/* From the guest */

static void outlet_close(Outlet *o)
{
        o->source = sd_event_source_disable_unref(o->source);
        standard_restore(o->restore);
        o->restore = -EBADF;
        /* Some file systems keep their bad news until now. */
        if (o->fd >= 0 && close(TAKE_FD(o->fd)) < 0 && errno != EINTR)
                stream_fail(o->stream, o->name, -errno);
}

static void outlet_fail(Outlet *o, int error)
{
        /* A reader that has had enough. */
        if (error == -EPIPE)
                stream_finish(o->stream, EXEC_STREAM_READER_LEFT);
        else
                stream_fail(o->stream, o->name, error);
}

/* Writes as much as it takes; the rest is kept in mind. */
static void outlet_write(Outlet *o, const char *data, size_t n)
{
        ExecStream *x = o->stream;
        ssize_t written;

        x->full = NULL;
        while (n > 0) {
                written = write(o->fd, data, n);
                if (written < 0 && errno == EINTR)
                        continue;
                if (written == 0 || (written < 0 && !(errno == EAGAIN && o->source))) {
                        outlet_fail(o, written < 0 ? -errno : -EIO);
                        break;
                }
                written = MAX_OF(written, 0);
                data += written;
                n -= (size_t)written;
                /* What can be full and has taken a part is full. */
                if (n == 0 || !o->source)
                        continue;
                x->full = o;
                x->rest = data;
                x->n_rest = n;
                break;
        }
        if (o->source)
                (void)sd_event_source_set_enabled(o->source,
                                                  x->full == o ? SD_EVENT_ON : SD_EVENT_OFF);
}

static Outlet *outlet_of(ExecStream *x, uint8_t channel)
{
        Outlet *o;

        if (channel != FRAME_STDOUT && channel != FRAME_STDERR)
                return NULL;
        o = &x->outlets[channel - FRAME_STDOUT];
        return o->ended ? NULL : o;
}

/* A text of channel 0. What is not the end answers something that we asked for by the way. */
static void stream_take_text(ExecStream *x, const FramePiece *piece)
{
        int r;

        r = buffer_append(&x->text, piece->data, piece->n);
        if (r >= 0 && piece->last) {
                r = raw_call_find_reply(x->raw, buffer_peek(&x->text), x->text.size, &x->end.reply);
                buffer_done(&x->text);
        }
        if (r > 0 && x->end.reply.result && (!x->outlets[0].ended || !x->outlets[1].ended))
                r = -EBADMSG; /* it may be that not all output has come */
        if (r < 0)
                stream_fail(x, NULL, r);
        else if (r > 0)
                stream_finish(x, EXEC_STREAM_REPLIED);
}

static void stream_take_frames(ExecStream *x)
{
        FramePiece piece;
        size_t used;
        Outlet *o;
        int r;

        while (x->in_begin < x->in_end && !x->full && !x->over) {
                r = frame_next(&x->reader, x->in + x->in_begin, x->in_end - x->in_begin, &used,
                               &piece);
                if (r < 0) {
                        stream_fail(x, NULL, r);
                        return;
                }
                x->in_begin += used;
                if (r == FRAME_MORE)
                        continue;
                if (r == FRAME_PIECE && piece.channel == FRAME_CONTROL) {
                        stream_take_text(x, &piece);
                        continue;
                }
                o = outlet_of(x, piece.channel);
                if (!o) {
                        stream_fail(x, NULL, -EBADMSG);
                        return;
                }
                if (r == FRAME_PIECE) {
                        outlet_write(o, piece.data, piece.n);
                        continue;
                }
                o->ended = true;
                /* Who reads it sees the end when the program has closed it, not when it ends. */
                outlet_close(o);
        }
}

static void stream_receive(ExecStream *x)
{
        ssize_t n;

        if (x->full)
                return;
        assert(x->in_begin == x->in_end);
        n = recv(x->raw->fd, x->in, RECEIVE_SIZE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                stream_fail(x, NULL, n < 0 ? -errno : -ECONNRESET);
                return;
        }
        x->in_begin = 0;
        x->in_end = (size_t)n;
        stream_take_frames(x);
}

static int on_outlet(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Outlet *o = userdata;
        ExecStream *x = o->stream;

        if (x->full != o)
                return 0;
        outlet_write(o, x->rest, x->n_rest);
        stream_take_frames(x);
        stream_watch(x);
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        ExecStream *x = userdata;

        if (revents & EPOLLOUT)
                stream_transmit(x);
        if (x->resized && x->out.size < INPUT_SIZE)
                stream_send_size(x);
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                stream_receive(x);
        stream_watch(x);
        return 0;
}

/* Signals */

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        ExecStream *x = userdata;

        if (x->settings->pass_signals && x->end.signal == 0) {
                x->end.signal = (int)si->ssi_signo;
                stream_send_signal(x, x->end.signal);
                return 0;
        }
        x->end.signal = (int)si->ssi_signo;
        stream_finish(x, EXEC_STREAM_GAVE_UP);
        return 0;
}

static int on_resized(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        ExecStream *x = userdata;

        x->resized = true;
        if (x->out.size < INPUT_SIZE) {
                stream_send_size(x);
                stream_transmit(x);
                stream_watch(x);
        }
        return 0;
}

static int on_continued(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        terminal_raw_again();
        return on_resized(source, si, userdata);
}

static int add_signal(ExecStream *x, int number, sd_event_signal_handler_t handler)
{
        struct sigaction old;

        /* nohup's wish is respected. */
        if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
                return 0;
        return sd_event_add_signal(x->event, NULL, number | SD_EVENT_SIGNAL_PROCMASK, handler, x);
}

static int stream_add_signals(ExecStream *x)
{
        static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
        int r = 0;

        /* A reader that is gone is to be an error of write(2). */
        (void)signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < ELEMENTSOF(ending) && r >= 0; i++)
                r = add_signal(x, ending[i], on_signal);
        if (r >= 0 && x->settings->terminal)
                r = add_signal(x, SIGWINCH, on_resized);
        if (r >= 0 && x->settings->terminal)
                r = add_signal(x, SIGCONT, on_continued);
        return r;
}

/* Beginning and end */

/* Others share the pipe: it only ever grows. Where it may not, it stays as it is. */
static void enlarge_pipe(int fd)
{
        int size = fcntl(fd, F_GETPIPE_SZ);

        if (size > 0 && size < PIPE_SIZE)
                (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

static int outlet_open(ExecStream *x, Outlet *o, int fd, const char *name)
{
        int r;

        o->name = name;
        r = standard_take_one(fd, O_WRONLY, &o->restore);
        if (r < 0)
                return r;
        o->fd = r;
        enlarge_pipe(o->fd);
        r = sd_event_add_io(x->event, &o->source, o->fd, EPOLLOUT, on_outlet, o);
        /* A file, which is never full in the sense of epoll(7). */
        if (r == -EPERM)
                return 0;
        return r < 0 ? r : sd_event_source_set_enabled(o->source, SD_EVENT_OFF);
}

static int stream_open_input(ExecStream *x)
{
        int r;

        x->input_open = x->settings->input == EXEC_INPUT_OURS;
        if (x->settings->input == EXEC_INPUT_EMPTY)
                return stream_add_frame(x, FRAME_STDIN, NULL, 0);
        if (x->settings->input == EXEC_INPUT_NONE)
                return 0;
        r = standard_take_one(STDIN_FILENO, O_RDONLY, &x->input_restore);
        if (r < 0)
                return r;
        x->input = r;
        r = sd_event_add_io(x->event, &x->input_source, x->input, EPOLLIN, on_input, x);
        if (r == -EPERM)
                r = sd_event_add_defer(x->event, &x->input_source, on_input_ready, x);
        if (r >= 0 && x->settings->take_over && isatty(x->input) > 0)
                r = terminal_raw_begin(x->input);
        return r;
}

/* It begins with what had come behind the first answer. */
static int stream_open_buffer(ExecStream *x)
{
        Buffer *received = &x->raw->received;
        size_t n = received->size;

        x->in = malloc(MAX_OF(n, RECEIVE_SIZE));
        if (!x->in)
                return -ENOMEM;
        if (n > 0)
                memcpy(x->in, buffer_peek(received), n);
        x->in_end = n;
        buffer_done(received);
        return 0;
}

static int stream_open(ExecStream *x)
{
        int r;

        r = stream_open_buffer(x);
        if (r < 0)
                return r;
        x->end.stream = "standard output";
        r = outlet_open(x, &x->outlets[0], STDOUT_FILENO, x->end.stream);
        if (r < 0)
                return r;
        x->end.stream = "standard error";
        r = outlet_open(x, &x->outlets[1], STDERR_FILENO, x->end.stream);
        if (r < 0)
                return r;
        x->end.stream = "standard input";
        r = stream_open_input(x);
        if (r < 0)
                return r;
        x->end.stream = NULL;
        r = stream_add_signals(x);
        if (r >= 0)
                r = sd_event_add_io(x->event, &x->io, x->raw->fd, EPOLLIN, on_io, x);
        return r;
}

static void stream_done(ExecStream *x)
{
        terminal_raw_end();
        for (size_t i = 0; i < ELEMENTSOF(x->outlets); i++)
                outlet_close(&x->outlets[i]);
        x->input_source = sd_event_source_disable_unref(x->input_source);
        standard_restore(x->input_restore);
        fd_close(x->input);
        x->io = sd_event_source_disable_unref(x->io);
        buffer_done(&x->text);
        buffer_done(&x->out);
        free(x->in);
}

int exec_stream_run(sd_event *event, RawCall *raw, const ExecStreamSettings *settings,
                    ExecStreamEnd *ret)
{
        ExecStream x = {
                .event = event,
                .raw = raw,
                .settings = settings,
                .outlets = { { .stream = &x, .fd = -EBADF, .restore = -EBADF },
                             { .stream = &x, .fd = -EBADF, .restore = -EBADF } },
                .input = -EBADF,
                .input_restore = -EBADF,
        };
        int r;

        r = stream_open(&x);
        if (r >= 0) {
                if (settings->send_size)
                        stream_send_size(&x);
                stream_take_frames(&x);
                stream_transmit(&x);
                stream_watch(&x);
                r = sd_event_loop(event);
        }
        if (r >= 0)
                r = x.outcome;
        stream_done(&x);
        *ret = x.end;
        return r;
}
