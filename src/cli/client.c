/* SPDX-License-Identifier: MIT */
#include "cli/client.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/reply.h"
#include "io/dial.h"
#include "rpc/scan.h"

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

#define RETRY_FIRST (20 * USEC_PER_MSEC)
#define RETRY_LAST USEC_PER_SEC
/* One attempt while waiting: a guest that is paused keeps a connect or an answer for ever. */
#define ATTEMPT_MAX (5 * USEC_PER_SEC)

#define READ_SIZE ((size_t)64 * 1024)

struct Client {
        sd_event *event;
        Address target;
        unsigned dial_flags;
        uint64_t deadline;
        bool interrupted;

        Dial *dial;
        char *problem;

        int fd;
        sd_event_source *io;
        Buffer in;
        Buffer out;
        size_t scanned; /* bytes at the front of `in` that `scan` has seen */
        Scan scan;
        int error;          /* 0, or why the connection is over */
        bool no_more_sends; /* the peer has closed its end, but may have answered before */

        char id[24];  /* of the last call */
        bool waiting; /* for its reply */
        uint64_t last_id;
        uint64_t answers;
        Reply reply;
        bool replied;
        bool last; /* what comes behind the reply to the call in flight is no text */
};

uint64_t client_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t client_later(uint64_t now, uint64_t span)
{
        return span >= TEXT_INFINITY - now ? TEXT_INFINITY : now + span;
}

int client_new(const Address *target, unsigned dial_flags, Client **ret)
{
        _cleanup_(client_freep) Client *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fd = -EBADF;
        c->deadline = TEXT_INFINITY;
        c->dial_flags = dial_flags;
        reply_scan_init(&c->scan, CLIENT_REPLY_BYTES_MAX, CLIENT_REPLY_VALUES_MAX);
        r = address_copy(target, &c->target);
        if (r < 0)
                return r;
        r = sd_event_new(&c->event);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

/* Forgets the connection, so that another can be made. */
static void client_disconnect(Client *c)
{
        c->dial = dial_free(c->dial);
        c->io = sd_event_source_disable_unref(c->io);
        c->fd = fd_close(c->fd);
        buffer_done(&c->in);
        buffer_done(&c->out);
        scan_reset(&c->scan);
        c->scanned = 0;
        c->error = 0;
        c->no_more_sends = false;
        c->waiting = false;
        c->replied = false;
        reply_done(&c->reply);
}

Client *client_free(Client *c)
{
        if (!c)
                return NULL;
        client_disconnect(c);
        scan_done(&c->scan);
        address_done(&c->target);
        sd_event_unref(c->event);
        free(c->problem);
        free(c);
        return NULL;
}

void client_set_deadline(Client *c, uint64_t usec)
{
        c->deadline = usec;
}

void client_interrupt(Client *c)
{
        c->interrupted = true;
}

sd_event *client_event(Client *c)
{
        return c->event;
}

const Address *client_target(const Client *c)
{
        return &c->target;
}

uint64_t client_answers(const Client *c)
{
        return c->answers;
}

bool client_is_connected(const Client *c)
{
        return c->fd >= 0;
}

const char *client_problem(const Client *c)
{
        return c->problem;
}

/* One turn of the loop, at most until `until`. 0; -ETIMEDOUT; -EINTR once for an interrupt. */
static int client_turn(Client *c, uint64_t until)
{
        uint64_t now = client_now();
        int r;

        if (c->interrupted) {
                c->interrupted = false;
                return -EINTR;
        }
        if (now >= until)
                return -ETIMEDOUT;
        r = sd_event_run(c->event, until == TEXT_INFINITY ? UINT64_MAX : until - now);
        return r < 0 ? r : 0;
}

/* What arrived, from the front of `in`: every text that is whole. 0 or -errno. */
static int client_take_texts(Client *c)
{
        Reply reply = REPLY_NULL;
        size_t used, length;
        int r;

        while (c->scanned < c->in.size && !(c->last && c->replied)) {
                switch (scan_feed(&c->scan, buffer_peek(&c->in) + c->scanned,
                                  c->in.size - c->scanned, &used)) {
                case SCAN_MORE:
                        c->scanned += used;
                        if (!scan_begun(&c->scan)) {
                                buffer_consume(&c->in, c->scanned);
                                c->scanned = 0;
                        }
                        continue;
                case SCAN_DONE:
                        break;
                case SCAN_TOO_LONG:
                case SCAN_TOO_MANY_VALUES:
                        return -EMSGSIZE;
                case SCAN_NO_MEMORY:
                        return -ENOMEM;
                default:
                        return -EBADMSG;
                }

                c->scanned += used;
                length = scan_length(&c->scan);
                assert(length <= c->scanned);
                r = reply_find(&c->scan, buffer_peek(&c->in) + c->scanned - length,
                               c->waiting && !c->replied ? c->id : "", &reply);
                if (r < 0)
                        return r;
                if (r > 0) {
                        c->reply = reply;
                        c->replied = true;
                        c->answers++;
                }
                buffer_consume(&c->in, c->scanned);
                c->scanned = 0;
                scan_reset(&c->scan);
        }
        return 0;
}

/* Reads once. 0, or -errno where the connection is over. */
static int client_receive(Client *c)
{
        ssize_t n;
        char *p;

        p = buffer_reserve(&c->in, READ_SIZE);
        if (!p)
                return -ENOMEM;
        n = recv(c->fd, p, READ_SIZE, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        buffer_commit(&c->in, (size_t)n);
        return client_take_texts(c);
}

/* Writes what it can. A failure to send is no end yet: the answer (a refusal, a limit) may
 * wait to be read, and reading will tell that the connection is over. */
static void client_transmit(Client *c)
{
        ssize_t n;

        while (c->out.size > 0 && !c->no_more_sends) {
                n = send(c->fd, buffer_peek(&c->out), c->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0) {
                        if (errno == EAGAIN || errno == EINTR)
                                break;
                        c->no_more_sends = true;
                        break;
                }
                buffer_consume(&c->out, (size_t)n);
        }
        if (c->no_more_sends)
                buffer_done(&c->out);
        if (c->io)
                (void)sd_event_source_set_io_events(c->io,
                                                    EPOLLIN | (c->out.size > 0 ? EPOLLOUT : 0));
}

static int client_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Client *c = userdata;

        if (revents & EPOLLOUT)
                client_transmit(c);
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                c->error = client_receive(c);
                if (c->error < 0)
                        c->io = sd_event_source_disable_unref(c->io);
        }
        return 0;
}

static void client_on_dialled(Dial *d, int fd, const char *problem, void *userdata)
{
        Client *c = userdata;

        if (fd < 0) {
                c->error = fd;
                c->problem = problem ? strdup(problem) : NULL; /* the dial's: copied first */
        }
        c->dial = dial_free(c->dial);
        if (fd < 0)
                return;
        c->fd = fd;
        c->error = sd_event_add_io(c->event, &c->io, fd, EPOLLIN, client_on_io, c);
}

/* One dial. 0 or -errno. */
static int client_dial(Client *c, uint64_t until)
{
        uint64_t now = client_now();
        int r;

        client_disconnect(c);
        free(c->problem);
        c->problem = NULL;
        if (now >= until)
                return -ETIMEDOUT;
        r = dial_start(c->event, &c->target, c->dial_flags,
                       until == TEXT_INFINITY ? TEXT_INFINITY : until - now, client_on_dialled, c,
                       &c->dial);
        while (r >= 0 && c->dial)
                r = client_turn(c, TEXT_INFINITY); /* the dial keeps its own time */
        if (r >= 0)
                r = c->error;
        if (r < 0)
                client_disconnect(c);
        return r;
}

int client_connect(Client *c)
{
        return client_dial(c, c->deadline);
}

/* What a guest that is not up yet looks like, by whatever way it is reached. */
static bool is_worth_waiting(int error)
{
        switch (-error) {
        case EAGAIN: /* a Unix socket with a full backlog */
        case EADDRINUSE:
        case ECONNABORTED:
        case ECONNREFUSED:
        case ECONNRESET:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENETUNREACH:
        case ENODEV:
        case ENOENT:
        case ENOTCONN:
        case EPIPE:
        case ETIMEDOUT:
                return true;
        default:
                return false;
        }
}

/* One dial, and one answer if there is to be one. 0 or -errno. */
static int client_attempt(Client *c, uint64_t until, bool answer)
{
        json_object *result = NULL, *error = NULL;
        uint64_t deadline = c->deadline;
        int r;

        r = client_dial(c, until);
        if (r < 0 || !answer)
                return r;
        c->deadline = until;
        r = client_call(c, "agent.ping", NULL, &result, &error);
        c->deadline = deadline;
        json_object_put(result);
        json_object_put(error);
        return r < 0 ? r : 0;
}

static int client_retry(Client *c, uint64_t until, bool answer, ClientFailedFunction failed,
                        void *userdata)
{
        uint64_t delay = RETRY_FIRST, now;
        int r;

        until = MIN_OF(until, c->deadline);
        for (;;) {
                r = client_attempt(c, MIN_OF(until, client_later(client_now(), ATTEMPT_MAX)),
                                   answer);
                if (r >= 0 || !is_worth_waiting(r))
                        return r;
                now = client_now();
                /* An attempt that the end of the wait cut short tells nothing new. */
                if (failed && !(r == -ETIMEDOUT && now >= until))
                        failed(c, r, userdata);
                client_disconnect(c);
                if (now < until)
                        r = client_pause(c, MIN_OF(until, client_later(now, delay)));
                else
                        r = -ETIMEDOUT;
                if (r >= 0 && client_now() >= until)
                        r = -ETIMEDOUT;
                if (r < 0)
                        return r;
                delay = MIN_OF(delay * 2, RETRY_LAST);
        }
}

int client_wait(Client *c, uint64_t until, ClientFailedFunction failed, void *userdata)
{
        return client_retry(c, until, true, failed, userdata);
}

int client_wait_connected(Client *c, uint64_t until, ClientFailedFunction failed, void *userdata)
{
        return client_retry(c, until, false, failed, userdata);
}

int client_take_fd(Client *c)
{
        c->io = sd_event_source_disable_unref(c->io);
        return TAKE_FD(c->fd);
}

Buffer client_take_received(Client *c)
{
        Buffer received = c->in;

        c->in = BUFFER_NULL;
        return received;
}

int client_give_fd(Client *c, int fd, Buffer *received)
{
        client_disconnect(c);
        c->fd = fd;
        c->in = *received;
        *received = BUFFER_NULL;
        c->error = sd_event_add_io(c->event, &c->io, fd, EPOLLIN, client_on_io, c);
        if (c->error >= 0)
                c->error = client_take_texts(c);
        return c->error;
}

int client_pause(Client *c, uint64_t until)
{
        int r;

        for (;;) {
                if (c->error < 0)
                        return c->error;
                r = client_turn(c, until);
                if (r == -ETIMEDOUT)
                        return 0;
                if (r < 0)
                        return r;
        }
}

/* Queues the request under an id of its own. 0 or -ENOMEM. */
static int client_send(Client *c, const char *method, json_object *params)
{
        json_object *request;
        const char *text;
        size_t length;
        int r = -ENOMEM;

        request = json_object_new_object();
        if (!request)
                return -ENOMEM;
        snprintf(c->id, sizeof(c->id), "%" PRIu64, ++c->last_id);
        if (json_object_object_add(request, "jsonrpc", json_object_new_string("2.0")) == 0 &&
            json_object_object_add(request, "id", json_object_new_uint64(c->last_id)) == 0 &&
            json_object_object_add(request, "method", json_object_new_string(method)) == 0 &&
            (!params || json_object_object_add(request, "params", json_object_get(params)) == 0)) {
                text = json_object_to_json_string_length(
                        request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
                if (text)
                        r = buffer_append(&c->out, text, length);
                if (r >= 0)
                        r = buffer_append(&c->out, "\n", 1);
        }
        json_object_put(request);
        return r;
}

const char *client_last_id(const Client *c)
{
        return c->id;
}

static int client_call_and_wait(Client *c, const char *method, json_object *params,
                                json_object **ret_result, json_object **ret_error)
{
        int r;

        if (c->fd < 0)
                return -ENOTCONN;
        if (c->error < 0)
                return c->error;

        r = client_send(c, method, params);
        if (r < 0)
                return r;
        client_transmit(c);

        /* An answer that came is one, even if the connection ended with the same turn. */
        c->waiting = true;
        while (!c->replied && c->error >= 0 && r >= 0)
                r = client_turn(c, c->deadline);
        c->waiting = false;
        if (!c->replied)
                return r < 0 ? r : c->error;

        c->replied = false;
        if (c->reply.error) {
                *ret_error = TAKE_PTR(c->reply.error);
                return CLIENT_REFUSED;
        }
        *ret_result = TAKE_PTR(c->reply.result);
        return 0;
}

int client_call(Client *c, const char *method, json_object *params, json_object **ret_result,
                json_object **ret_error)
{
        return client_call_and_wait(c, method, params, ret_result, ret_error);
}

int client_call_last(Client *c, const char *method, json_object *params, json_object **ret_result,
                     json_object **ret_error)
{
        int r;

        c->last = true;
        r = client_call_and_wait(c, method, params, ret_result, ret_error);
        c->last = false;
        return r;
}
