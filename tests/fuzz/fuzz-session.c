/* SPDX-License-Identifier: MIT */

/*
 * The stream with JSON-RPC dispatch, as a peer reaches it: the input is cut into packets (a byte
 * 0xFE, which no JSON text holds, ends one) and sent to a session over a socket pair. Whatever
 * came, each line of the replies must be JSON that our own scanner accepts, and the session ends
 * with its input.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/context.h"
#include "rpc/scan.h"
#include "rpc/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Fuzz Fuzz;

struct Fuzz {
        AgentContext context; /* first: what rpc.discover takes its userdata for */
        sd_event *event;
        Session *session;
        Call *held[8];
        size_t n_held;
        Scan scan;
};

static void forget(Fuzz *f, Call *call)
{
        for (size_t i = 0; i < f->n_held; i++)
                if (f->held[i] == call)
                        f->held[i--] = f->held[--f->n_held];
}

static void hold_on_cancel(Call *call, CallEnd why, void *userdata)
{
        forget(userdata, call);
        call_fail(call, REASON_CANCELLED, 0, "cancelled");
}

static void method_hold(Call *call, json_object *params, void *userdata)
{
        Fuzz *f = userdata;

        if (f->n_held == ELEMENTSOF(f->held)) {
                call_fail(call, REASON_BUSY, 0, "full");
                return;
        }
        f->held[f->n_held++] = call;
        call_set_cancel(call, hold_on_cancel, f);
}

static void method_echo(Call *call, json_object *params, void *userdata)
{
        call_reply(call, params ? json_object_get(params) : json_object_new_object());
}

static const Field any[] = {
        { "a", FIELD_ANY, FIELD_OPTIONAL | FIELD_NULLABLE, "", NULL },
        { "i", FIELD_INTEGER, FIELD_OPTIONAL, "", NULL },
        { "s", FIELD_STRING, FIELD_OPTIONAL, "", NULL },
        { 0 },
};

static const Method methods[] = {
        { "h", method_hold, METHOD_ASYNC, "", NULL, NULL },
        { "e", method_echo, 0, "", any, NULL },
        { "p", method_echo, METHOD_PRIVILEGED, "", any, NULL },
        { 0 },
};

static void on_ended(Session *s, int error, void *userdata)
{
        Fuzz *f = userdata;

        f->session = session_free(s);
}

static void on_privileged_call(Session *s, const CallRecord *record, void *userdata)
{
}

static const SessionOwner owner = { .ended = on_ended, .privileged_call = on_privileged_call };

static void check(int condition, const char *what)
{
        if (!condition) {
                fprintf(stderr, "%s\n", what);
                abort();
        }
}

/* All that was sent so far must be whole lines of JSON. */
static void read_replies(Fuzz *f, int fd)
{
        char buffer[4096];
        ssize_t n;

        while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
                size_t done = 0;

                while (done < (size_t)n) {
                        size_t used;
                        ScanResult r;

                        r = scan_feed(&f->scan, buffer + done, (size_t)n - done, &used);
                        done += used;
                        if (r == SCAN_DONE)
                                scan_reset(&f->scan);
                        else
                                check(r == SCAN_MORE, "a reply is not JSON");
                }
        }
}

static void turn(Fuzz *f, int fd)
{
        while (sd_event_run(f->event, 0) > 0)
                read_replies(f, fd);
        read_replies(f, fd);
}

static void send_all(Fuzz *f, int fd, const uint8_t *data, size_t n)
{
        while (n > 0 && f->session) {
                ssize_t m = send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (m > 0) {
                        data += m;
                        n -= (size_t)m;
                }
                turn(f, fd);
        }
}

static void run(Fuzz *f, int fd, const uint8_t *data, size_t size)
{
        while (size > 0) {
                const uint8_t *end = memchr(data, 0xFE, size);
                size_t n = end ? (size_t)(end - data) : size;

                send_all(f, fd, data, n);
                if (!end)
                        break;
                if (f->n_held > 0)
                        call_reply_text(f->held[--f->n_held], "1", 1);
                data += n + 1;
                size -= n + 1;
        }
        (void)shutdown(fd, SHUT_WR);
        turn(f, fd);
        while (f->n_held > 0)
                call_reply_text(f->held[--f->n_held], "{}", 2);
        turn(f, fd);
        check(!f->session, "the session did not end with its input");
        check(!scan_begun(&f->scan), "a reply was cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const ScanKeys keys = { .params = SCAN_KEYS_MAX };
        static const ScanLimits limits = { 1U << 30, 1U << 24, SCAN_DEPTH_MAX };
        static char all[] = "*", blocked[] = "x*";
        char *globs[] = { all, NULL }, *block[] = { blocked, NULL };
        SessionSettings settings = {
                .max_message = 512,
                .max_values = 64,
                .max_calls = 4,
                .message_timeout = TEXT_INFINITY,
                .policy = { .methods = globs, .block_methods = block },
        };
        Peer peer = { .kind = PEER_UNIX, .text = "fuzz" };
        MethodSet *set;
        Stats stats = { 0 };
        Fuzz f = { 0 };
        int pair[2];

        check(sd_event_new(&f.event) >= 0, "no event loop");
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0,
              "no socket pair");
        check(method_set_new(&f, &set) == 0 && method_set_add(set, methods) == 0 &&
                      method_set_add(set, rpc_methods) == 0,
              "no methods");
        check(session_new(f.event, pair[0], &peer, set, &stats, &settings, &owner, &f,
                          &f.session) == 0,
              "no session");
        scan_init(&f.scan, &keys, &limits);

        f.context.methods = set;
        run(&f, pair[1], data, size);

        check(stats.calls_running == 0, "a call was not ended");
        fd_close(pair[1]);
        scan_done(&f.scan);
        (void)method_set_unref(set);
        sd_event_unref(f.event);
        return 0;
}
