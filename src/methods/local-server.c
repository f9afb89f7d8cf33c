/* SPDX-License-Identifier: MIT */

/* `[method PREFIX.*]` with `to = unix:PATH`: calls that a local JSON-RPC server answers. */
#include "methods/local-server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "io/dial.h"
#include "methods/local-internal.h"
#include "methods/local-queue.h"
#include "methods/local-wire.h"

/* A server whose backlog is full is tried this long. */
#define CONNECT_TIMEOUT UINT64_C(5000000)
#define READ_SIZE ((size_t)32 * 1024)
/* Requests that a server does not read: past this many bytes further ones are `busy`. */
#define OUTPUT_MAX ((size_t)4 * 1024 * 1024)

struct LocalServer {
        unsigned n_ref;
        sd_event *event;
        Address address;
        char *name;
        ScanLimits limits;

        Dial *dial; /* not connected yet */
        int fd;
        sd_event_source *io;
        bool writing;      /* `io` waits for room as well */
        bool sent;         /* a byte of the requests in flight has left */
        bool tried_again;  /* nothing has come since the last time that a send failed */
        unsigned n_losses; /* tells one connection from the next */
        Buffer in;
        Buffer out;
        size_t scanned; /* bytes at the front of `in` that `scan` has seen */
        Scan scan;

        LocalQueue queue;
};

static int server_set_writing(LocalServer *s, bool writing)
{
        if (writing == s->writing)
                return 0;
        s->writing = writing;
        return sd_event_source_set_io_events(s->io, writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void request_free(LocalRequest *r)
{
        LocalServer *s = r->server;

        local_queue_remove(&s->queue, r);
        if (s->queue.n_requests == 0 && s->out.size == 0)
                s->sent = false;
}

/* Ends a request without a reply of the server's. */
static void request_fail(LocalRequest *r, Reason reason, int error, const char *problem)
{
        LocalResultFunction done = r->done;
        void *userdata = r->userdata;
        Call *call = r->call;

        request_free(r);
        if (call)
                call_fail(call, reason, error, "%s", problem);
        else
                done(NULL, 0, userdata);
}

static void server_disconnect(LocalServer *s)
{
        s->dial = dial_free(s->dial);
        s->io = sd_event_source_disable_unref(s->io);
        s->fd = fd_close(s->fd);
        s->writing = false;
        buffer_done(&s->in);
        scan_reset(&s->scan);
        s->scanned = 0;
        s->n_losses++;
}

/* The connection is no more, or could not be made: what is in flight has no answer to come. */
static void server_lose(LocalServer *s, int error, const char *problem)
{
        uint64_t last = s->queue.serial;
        LocalRequest *request;
        size_t place = 0;

        log_debug("%s", problem);
        server_disconnect(s);
        buffer_done(&s->out);
        s->sent = false;
        s->tried_again = false;
        (void)local_server_ref(s);
        /* The end of a call may begin another, which is not of this connection. */
        while ((request = local_queue_next(&s->queue, last, &place)))
                request_fail(request, REASON_UNAVAILABLE, error, problem);
        (void)local_server_unref(s);
}

_printf_(3, 4) static void server_lose_format(LocalServer *s, int error, const char *format, ...)
{
        char problem[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(problem, sizeof(problem), format, ap);
        va_end(ap);
        server_lose(s, error, problem);
}

/* A request that will have no answer wanted: the server may stop working on it. Sent from the loop:
 * a send that fails ends all requests, and who walks the calls of a session may be our caller. */
static void server_tell_cancelled(LocalServer *s, uint64_t id)
{
        if (s->fd < 0 && !s->dial)
                return;
        /* It is a courtesy: without memory there is none. */
        if (wire_append_cancel(&s->out, id) >= 0 && s->fd >= 0)
                (void)server_set_writing(s, true);
}

/* Forgets the request, whose late answer will be one to no request. */
static void request_give_up(LocalRequest *r, Reason reason, const char *problem)
{
        LocalServer *s = local_server_ref(r->server);
        uint64_t id = r->id;

        request_fail(r, reason, 0, problem);
        server_tell_cancelled(s, id);
        (void)local_server_unref(s);
}

static void request_on_cancel(Call *call, CallEnd why, void *userdata)
{
        request_give_up(userdata, REASON_CANCELLED, "Cancelled: the server was told so");
}

static int server_on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        LocalServer *s = local_server_ref(userdata);
        LocalRequest *request;
        int r;

        while ((r = local_queue_overdue(&s->queue, &request)) > 0) {
                char problem[320];

                (void)snprintf(problem, sizeof(problem), "%s did not answer in time", s->name);
                request_give_up(request, REASON_TIMEOUT, problem);
        }
        (void)local_server_unref(s);
        return r;
}

/* Output */

static void server_on_send_failed(LocalServer *s, int error);

static void server_flush(LocalServer *s)
{
        bool writing;

        if (s->fd < 0)
                return;
        while (s->out.size > 0) {
                ssize_t n =
                        send(s->fd, buffer_peek(&s->out), s->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        server_on_send_failed(s, errno);
                        return;
                }
                buffer_consume(&s->out, (size_t)n);
                s->sent = true;
        }
        writing = s->out.size > 0;
        if (!writing && s->queue.n_requests == 0)
                s->sent = false;
        (void)server_set_writing(s, writing);
}

/* Input */

static void request_reply(LocalRequest *r, const char *json, size_t length)
{
        LocalResultFunction done = r->done;
        void *userdata = r->userdata;
        Call *call = r->call;

        request_free(r);
        if (call)
                call_reply_text(call, json, length);
        else
                done(json, length, userdata);
}

static void request_reply_error(LocalRequest *r, const char *json, size_t length)
{
        Call *call = r->call;

        if (!call) {
                request_fail(r, REASON_FAILED, 0, "");
                return;
        }
        request_free(r);
        call_fail_passed(call, json, length);
}

/* A whole text, on which a call may end. False: it makes no sense, nor would what follows. */
static bool server_take(LocalServer *s, char *text)
{
        LocalRequest *request;
        WireReply reply;

        if (!wire_read(&s->scan, text, &reply))
                return false;
        request = local_queue_find(&s->queue, reply.id);
        /* Of none, or of one that was given up. */
        if (!request)
                return true;
        local_make_one_line(reply.json, reply.length);
        if (reply.is_error)
                request_reply_error(request, reply.json, reply.length);
        else
                request_reply(request, reply.json, reply.length);
        return true;
}

/* All whole texts in `in`. What ends a call may lose the connection, and `in` with it. */
static void server_take_all(LocalServer *s)
{
        unsigned connection = s->n_losses;
        ScanResult r;
        size_t used;
        char *text;

        while (s->in.size > s->scanned) {
                r = scan_feed(&s->scan, buffer_peek(&s->in) + s->scanned, s->in.size - s->scanned,
                              &used);
                s->scanned += used;
                if (r == SCAN_MORE)
                        break;
                if (r != SCAN_DONE) {
                        server_lose_format(s, 0, "%s sent what cannot be taken: it is %s", s->name,
                                           scan_result_to_text(r));
                        return;
                }
                text = s->in.data + s->in.begin + s->scanned - scan_length(&s->scan);
                if (!server_take(s, text)) {
                        server_lose_format(s, 0, "%s sent what is no JSON-RPC reply", s->name);
                        return;
                }
                if (s->n_losses != connection)
                        return;
                buffer_consume(&s->in, s->scanned);
                s->scan.limits = s->limits;
                scan_reset(&s->scan);
                s->scanned = 0;
        }
        if (!scan_begun(&s->scan)) {
                buffer_consume(&s->in, s->scanned);
                s->scanned = 0;
        }
}

static void server_receive(LocalServer *s)
{
        char *p = buffer_reserve(&s->in, READ_SIZE);
        ssize_t n;

        if (!p) {
                server_lose_format(s, ENOMEM, "%s: out of memory", s->name);
                return;
        }
        n = recv(s->fd, p, READ_SIZE, MSG_DONTWAIT);
        if (n > 0) {
                buffer_commit(&s->in, (size_t)n);
                s->tried_again = false;
                server_take_all(s);
        } else if (n == 0) {
                server_lose_format(s, 0, "%s closed the connection", s->name);
        } else if (errno != EAGAIN && errno != EINTR) {
                int error = errno;

                server_lose_format(s, error, "%s: the connection broke: %s", s->name,
                                   strerror(error));
        }
}

static int server_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        LocalServer *s = local_server_ref(userdata);
        unsigned connection = s->n_losses;

        if (revents & EPOLLOUT)
                server_flush(s);
        if (s->n_losses == connection && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                server_receive(s);
        (void)local_server_unref(s);
        return 0;
}

/* The connection */

static void server_on_dialed(Dial *d, int fd, const char *problem, void *userdata)
{
        LocalServer *s = userdata;
        int r;

        s->dial = dial_free(s->dial);
        if (fd < 0) {
                server_lose(s, -fd, problem);
                return;
        }
        s->fd = fd;
        r = sd_event_add_io(s->event, &s->io, fd, EPOLLIN, server_on_io, s);
        if (r < 0) {
                server_lose_format(s, -r, "%s: %s", s->name, strerror(-r));
                return;
        }
        log_debug("%s: connected", s->name);
        server_flush(s);
}

static int server_connect(LocalServer *s)
{
        if (s->fd >= 0 || s->dial)
                return 0;
        return dial_start(s->event, &s->address, 0, CONNECT_TIMEOUT, server_on_dialed, s, &s->dial);
}

/* A server that was started anew is called anew, as long as none of the requests can have reached
 * the one before. */
static void server_on_send_failed(LocalServer *s, int error)
{
        if (!s->sent && !s->tried_again) {
                server_disconnect(s);
                s->tried_again = true;
                error = -server_connect(s);
                if (error == 0)
                        return;
        }
        server_lose_format(s, error, "%s: the connection broke: %s", s->name, strerror(error));
}

/* Requests */

/* A request that is in the queue and in `out`, and not sent. */
static int server_add(LocalServer *s, const char *method, json_object *params, uint64_t timeout,
                      LocalRequest **ret)
{
        const char *json = "{}";
        size_t length = strlen(json);
        LocalRequest *request;
        int r;

        if (s->out.size > OUTPUT_MAX)
                return -EBUSY;
        if (params)
                json = json_object_to_json_string_length(
                        params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        if (!json)
                return -ENOMEM;
        r = local_queue_add(&s->queue, s, timeout, &request);
        if (r < 0)
                return r;
        r = wire_append_request(&s->out, request->id, method, json, length);
        if (r < 0) {
                request_free(request);
                return r;
        }
        *ret = request;
        return 0;
}

void local_server_call(LocalServer *s, Call *call, json_object *params, uint64_t timeout)
{
        LocalRequest *request;
        int r;

        r = server_add(s, call_name(call), params, timeout, &request);
        if (r == -EBUSY) {
                call_fail(call, REASON_BUSY, 0, "%zu calls wait for %s already",
                          s->queue.n_requests, s->name);
                return;
        }
        if (r < 0) {
                call_reply(call, NULL);
                return;
        }
        request->call = call;
        call_set_cancel(call, request_on_cancel, request);
        r = server_connect(s);
        if (r < 0)
                server_lose_format(s, -r, "%s: %s", s->name, strerror(-r));
        else
                server_flush(s);
}

int local_server_ask(LocalServer *s, const char *method, LocalResultFunction done, void *userdata,
                     LocalRequest **ret)
{
        size_t before = s->out.size;
        LocalRequest *request;
        int r;

        r = server_add(s, method, NULL, TEXT_INFINITY, &request);
        if (r < 0)
                return r;
        request->done = done;
        request->userdata = userdata;
        r = server_connect(s);
        /* Sent from the loop: a send that fails ends requests, and this one is not to be yet. */
        if (r >= 0 && s->fd >= 0)
                r = server_set_writing(s, true);
        if (r < 0) {
                s->out.size = before;
                request_free(request);
                return r;
        }
        *ret = request;
        return 0;
}

LocalRequest *local_request_forget(LocalRequest *r)
{
        LocalServer *s;
        uint64_t id;

        if (!r)
                return NULL;
        s = r->server;
        id = r->id;
        request_free(r);
        server_tell_cancelled(s, id);
        return NULL;
}

int local_server_new(sd_event *event, const Address *address, size_t max_message, LocalServer **ret)
{
        _cleanup_(local_server_unrefp) LocalServer *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->n_ref = 1;
        s->event = sd_event_ref(event);
        s->fd = -EBADF;
        local_queue_init(&s->queue, event, server_on_deadline, s);
        s->limits = (ScanLimits){ max_message, UINT32_MAX, SCAN_DEPTH_MAX };
        scan_init(&s->scan, &wire_reply_keys, &s->limits);

        r = address_copy(address, &s->address);
        if (r < 0)
                return r;
        s->name = address_to_text(address);
        if (!s->name)
                return -ENOMEM;
        *ret = TAKE_PTR(s);
        return 0;
}

const Address *local_server_address(const LocalServer *s)
{
        return &s->address;
}

void local_server_set_max_message(LocalServer *s, size_t max_message)
{
        s->limits.bytes = max_message;
}

LocalServer *local_server_ref(LocalServer *s)
{
        s->n_ref++;
        return s;
}

LocalServer *local_server_unref(LocalServer *s)
{
        if (!s || --s->n_ref > 0)
                return NULL;
        /* Each request belongs to a call, which keeps its method, which keeps this. */
        local_queue_done(&s->queue);
        server_disconnect(s);
        buffer_done(&s->out);
        scan_done(&s->scan);
        address_done(&s->address);
        free(s->name);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
