/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/cp.h"
#include "files/record.h"

typedef struct Relay Relay;

struct Relay {
        Copy *copy;
        Wire *from;
        Wire *to;
        TransferStats *stats;
        Buffer whole; /* a frame that may not be cut: of a record, or of a hole */
        bool begun;   /* the topmost record has gone over */
        unsigned ended;
};

#define CHANNELS_ALL ((1U << FRAME_DATA) | (1U << FRAME_HOLE) | (1U << FRAME_RECORDS))

/* What the frames say of how far it is. What they hold is for the other guest to judge, but for a
 * link where a file was asked for: 0, or -EPROTO. */
static int look_at(Relay *r, uint8_t channel, const char *data, size_t n)
{
        _cleanup_(record_done) Record record = RECORD_NULL;
        uint64_t hole = 0;

        if (channel == FRAME_HOLE && n == sizeof(hole)) {
                for (size_t i = 0; i < n; i++)
                        hole = hole << 8 | (uint8_t)data[i];
                r->stats->bytes += MIN_OF(hole, (uint64_t)INT64_MAX - r->stats->bytes);
        }
        if (channel != FRAME_RECORDS || r->begun)
                return 0;
        r->begun = true;
        if (record_parse(data, n, &record) < 0)
                return 0;
        if (record.type == RECORD_LINK && !r->copy->settings->recursive)
                return -EPROTO;
        r->stats->total_bytes = record.type == RECORD_DIRECTORY   ? record.total
                                : record.size != RECORD_SIZE_NONE ? record.size
                                                                  : 0;
        r->stats->resumed = record.offset;
        return 0;
}

static int pass_whole(Relay *r, const FramePiece *piece)
{
        const char *data = piece->data;
        size_t n = piece->n;
        int e;

        if (!(piece->first && piece->last)) {
                e = buffer_append(&r->whole, piece->data, piece->n);
                if (e < 0 || !piece->last)
                        return e;
                data = buffer_peek(&r->whole);
                n = r->whole.size;
        }
        e = look_at(r, piece->channel, data, n);
        if (e >= 0)
                e = wire_put(r->to, piece->channel, data, n);
        buffer_done(&r->whole);
        return e;
}

static int pass(Relay *r, const FramePiece *piece)
{
        if (piece->channel < FRAME_DATA || piece->channel > FRAME_RECORDS)
                return -EPROTO;
        if (piece->n == 0)
                r->ended |= 1U << piece->channel;
        if (piece->channel != FRAME_DATA && piece->n > 0)
                return pass_whole(r, piece);
        r->stats->bytes += piece->n;
        return wire_put(r->to, piece->channel, piece->data, piece->n);
}

/* Sends what was gathered once it is much, or nothing more is there. TRANSFER_*, or -errno. */
static int pass_on(Relay *r)
{
        size_t pending;
        int e;

        (void)wire_pending(r->from, &pending);
        if (pending > 0 && wire_waiting(r->to) < WIRE_BLOCK)
                return WIRE_DONE;
        progress_update(&r->copy->progress, r->stats->bytes + r->stats->resumed,
                        r->stats->total_bytes);
        e = wire_flush(r->to);
        if (e != WIRE_DONE || pending > 0)
                return e;
        /* The one may be silent for long, and the other have something to say. */
        return wire_wait(r->to, r->from->fd, POLLIN);
}

static int relay_run(Relay *r, bool *ret_is_from)
{
        FramePiece piece;
        int e;

        for (;;) {
                *ret_is_from = false;
                e = pass_on(r);
                if (e != WIRE_DONE)
                        return e == WIRE_CONTROL ? TRANSFER_CONTROL : e;
                *ret_is_from = true;
                e = wire_next(r->from, false, &piece);
                if (e != WIRE_PIECE)
                        return e == WIRE_CONTROL ? TRANSFER_CONTROL : e;
                e = pass(r, &piece);
                if (e < 0) {
                        *ret_is_from = e == -EPROTO;
                        return e;
                }
                if (r->ended == CHANNELS_ALL) {
                        *ret_is_from = false;
                        e = wire_flush(r->to);
                        return e < 0 ? e : TRANSFER_DONE;
                }
        }
}

int cp_relay(Copy *c, CpCall *from, CpCall *to, TransferStats *stats, CpCall **ret_which)
{
        Relay r = { .copy = c, .from = &from->wire, .to = &to->wire, .stats = stats };
        bool is_from = false;
        int e;

        e = relay_run(&r, &is_from);
        buffer_done(&r.whole);
        *ret_which = is_from ? from : to;
        return e;
}
