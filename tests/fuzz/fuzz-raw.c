/* SPDX-License-Identifier: MIT */

/*
 * A session in a raw call, as a peer reaches it: the input, cut into packets (0xFE ends one), comes
 * where frames are expected. Between two packets the holder of the call does one of the things that
 * holders do, as the packet's last byte says. Whatever came, what the session sends are a line,
 * frames to the end of channel 0, each of that channel a JSON text, and lines; and the session ends
 * with its input.
 */
#include "base/buffer.h"
#include "rpc/frame.h"
#include "rpc/raw.h"
#include "tests/fuzz/session-world.h"

#define RUN "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"r\"}"

typedef struct Fuzz Fuzz;

struct Fuzz {
        World world; /* first: it is what the methods get */
        Call *call;  /* the raw one */
        bool lent;
        Buffer received; /* what came with the loan */

        FrameReader reader;
        bool framed;
        size_t texts; /* seen outside of frames */
};

static size_t raw_data(Call *call, uint8_t channel, const char *data, size_t n, void *userdata)
{
        Fuzz *f = userdata;
        size_t taken = data[0] == 'h' ? n / 2 : n;
        char *p;

        check(call == f->call && !f->lent && n > 0, "data out of place");
        check(channel == 1 || channel == 3, "a channel that was not asked for");
        p = call_raw_reserve(call, 2, taken);
        check(p != NULL, "no room");
        memcpy(p, data, taken);
        call_raw_commit(call, taken);
        return taken;
}

static void raw_end(Call *call, uint8_t channel, void *userdata)
{
        Fuzz *f = userdata;

        check(call == f->call && !f->lent, "an end out of place");
        if (channel == 3) {
                f->call = NULL;
                call_reply_text(call, "3", 1);
        }
}

static void raw_cancel(Call *call, CallEnd why, void *userdata)
{
        Fuzz *f = userdata;

        f->call = NULL;
        if (why != CALL_GONE && f->lent)
                call_raw_return(call, buffer_peek(&f->received), f->received.size, 0, 0, 0);
        f->lent = false;
        call_fail(call, REASON_CANCELLED, 0, "cancelled");
}

static void raw_ready(Call *call, int fd, const char *received, size_t n, void *userdata)
{
        Fuzz *f = userdata;

        check(call == f->call && !f->lent, "lent twice");
        buffer_done(&f->received);
        check(buffer_append(&f->received, received, n) == 0, "no memory");
        f->lent = true;
}

static const RawOwner raw_owner = { .data = raw_data, .end = raw_end };

static void method_raw(Call *call, json_object *params, void *userdata)
{
        Fuzz *f = userdata;
        Call *before = f->call;

        call_set_cancel(call, raw_cancel, f);
        f->call = call;
        if (call_raw_begin(call, json_object_new_boolean(true), 1U << 1 | 1U << 3, &raw_owner, f) <
            0)
                f->call = before;
}

static const Method methods[] = {
        { "r", method_raw, METHOD_ASYNC, "", NULL, NULL },
        { 0 },
};

/* A text of its own: the line before the frames, those after them. */
static size_t take_line(Fuzz *f, const char *data, size_t n)
{
        static const char answer[] = "\"result\":true";
        const char *end = memchr(data, '\n', n);
        size_t used, length = end ? (size_t)(end - data) + 1 : 0;

        if (!end)
                return 0;
        scan_reset(&f->world.scan);
        check(scan_feed(&f->world.scan, data, length, &used) == SCAN_DONE, "a line is not JSON");
        check(used == length - 1, "a line is more than JSON");
        f->framed = memmem(data, length, answer, strlen(answer));
        f->reader = (FrameReader){ .begun = true };
        f->texts++;
        return length;
}

static size_t take_frame(Fuzz *f, const char *data, size_t n)
{
        FrameReader before = f->reader;
        FramePiece piece;
        size_t used, seen;
        int r;

        r = frame_next(&f->reader, data, n, &used, &piece);
        check(r >= 0, "a frame that is none");
        if (r == FRAME_MORE || (r == FRAME_PIECE && !piece.last)) {
                f->reader = before; /* until it is whole */
                return 0;
        }
        check(piece.channel == FRAME_CONTROL || piece.channel == 2, "a channel of nobody's");
        if (piece.channel == FRAME_CONTROL && r == FRAME_PIECE) {
                scan_reset(&f->world.scan);
                check(scan_feed(&f->world.scan, piece.data, piece.n, &seen) == SCAN_DONE,
                      "a frame of channel 0 is not JSON");
        }
        f->framed = r != FRAME_END || piece.channel != FRAME_CONTROL;
        return used;
}

static void read_replies(Fuzz *f, Buffer *in)
{
        ssize_t n;
        size_t used;
        char *p;

        for (;;) {
                p = buffer_reserve(in, 65536);
                check(p != NULL, "no memory");
                n = recv(f->world.fd, p, 65536, MSG_DONTWAIT);
                if (n <= 0)
                        break;
                buffer_commit(in, (size_t)n);
                do {
                        used = f->framed ? take_frame(f, buffer_peek(in), in->size)
                                         : take_line(f, buffer_peek(in), in->size);
                        buffer_consume(in, used);
                } while (used > 0 && in->size > 0);
        }
}

static void turn(Fuzz *f, Buffer *in)
{
        while (sd_event_run(f->world.event, 0) > 0)
                read_replies(f, in);
        read_replies(f, in);
}

static void give_back(Fuzz *f)
{
        if (!f->lent)
                return;
        f->lent = false;
        call_raw_return(f->call, buffer_peek(&f->received), f->received.size, 0, 0, 0);
        buffer_done(&f->received);
}

static void act(Fuzz *f, uint8_t how)
{
        Call *call = f->call;

        if (!call || !f->world.session)
                return;
        give_back(f);
        switch (how % 8) {
        case 0:
                call_raw_lend(call, raw_ready, f);
                break;
        case 1:
                call_notify(call, "n", json_object_new_int(1));
                break;
        case 2:
                f->call = NULL;
                call_reply_text(call, "2", 1);
                break;
        case 3:
                session_stop(f->world.session);
                break;
        case 4:
                (void)call_is_congested(call);
                break;
        default:
                call_raw_resume(call);
                break;
        }
}

static void send_all(Fuzz *f, Buffer *in, const uint8_t *data, size_t n)
{
        while (n > 0 && f->world.session) {
                ssize_t m = send(f->world.fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

                turn(f, in);
                if (m <= 0)
                        return; /* the holder takes no more now, or the session is no more */
                data += m;
                n -= (size_t)m;
        }
}

static void run(Fuzz *f, const uint8_t *data, size_t size)
{
        Buffer in = BUFFER_NULL;

        send_all(f, &in, (const uint8_t *)RUN, strlen(RUN));
        while (size > 0) {
                const uint8_t *end = memchr(data, 0xFE, size);
                size_t n = end ? (size_t)(end - data) : size;

                send_all(f, &in, data, n);
                if (!end)
                        break;
                act(f, n > 0 ? data[n - 1] : 0);
                turn(f, &in);
                data += n + 1;
                size -= n + 1;
        }
        (void)shutdown(f->world.fd, SHUT_WR);
        turn(f, &in);
        for (unsigned i = 0; i < 8 && f->call; i++) {
                act(f, i < 4 ? 5 : 2);
                turn(f, &in);
        }
        check(!f->world.session, "the session did not end with its input");
        check(f->texts > 0, "the answer was lost");
        buffer_done(&in);
        buffer_done(&f->received);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Fuzz f = { 0 };

        world_init(&f.world, methods);
        run(&f, data, size);
        world_done(&f.world);
        return 0;
}
