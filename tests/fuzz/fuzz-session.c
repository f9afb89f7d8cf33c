/* SPDX-License-Identifier: MIT */

/*
 * The stream with JSON-RPC dispatch, as a peer reaches it: the input is cut into packets (a byte
 * 0xFE, which no JSON text holds, ends one) and sent to a session over a socket pair. Whatever
 * came, each line of the replies must be JSON that our own scanner accepts, and the session ends
 * with its input.
 */
#include "tests/fuzz/session-world.h"

typedef struct Fuzz Fuzz;

struct Fuzz {
        World world; /* first: it is what the methods get */
        Call *held[8];
        size_t n_held;
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

/* All that was sent so far must be whole lines of JSON. */
static void read_replies(Fuzz *f)
{
        char buffer[4096];
        ssize_t n;

        while ((n = recv(f->world.fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
                size_t done = 0;

                while (done < (size_t)n) {
                        size_t used;
                        ScanResult r;

                        r = scan_feed(&f->world.scan, buffer + done, (size_t)n - done, &used);
                        done += used;
                        if (r == SCAN_DONE)
                                scan_reset(&f->world.scan);
                        else
                                check(r == SCAN_MORE, "a reply is not JSON");
                }
        }
}

static void turn(Fuzz *f)
{
        while (sd_event_run(f->world.event, 0) > 0)
                read_replies(f);
        read_replies(f);
}

static void send_all(Fuzz *f, const uint8_t *data, size_t n)
{
        while (n > 0 && f->world.session) {
                ssize_t m = send(f->world.fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (m > 0) {
                        data += m;
                        n -= (size_t)m;
                }
                turn(f);
        }
}

static void run(Fuzz *f, const uint8_t *data, size_t size)
{
        while (size > 0) {
                const uint8_t *end = memchr(data, 0xFE, size);
                size_t n = end ? (size_t)(end - data) : size;

                send_all(f, data, n);
                if (!end)
                        break;
                if (f->n_held > 0)
                        call_reply_text(f->held[--f->n_held], "1", 1);
                data += n + 1;
                size -= n + 1;
        }
        (void)shutdown(f->world.fd, SHUT_WR);
        turn(f);
        while (f->n_held > 0)
                call_reply_text(f->held[--f->n_held], "{}", 2);
        turn(f);
        check(!f->world.session, "the session did not end with its input");
        check(!scan_begun(&f->world.scan), "a reply was cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Fuzz f = { 0 };

        world_init(&f.world, methods);
        run(&f, data, size);
        world_done(&f.world);
        return 0;
}
