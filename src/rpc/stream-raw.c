/* SPDX-License-Identifier: MIT */
#include "rpc/stream-raw.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc/stream-internal.h"

struct StreamRaw {
        FrameReader reader;
        unsigned channels; /* those that the peer has not ended */
        uint8_t channel;   /* of the room that is reserved */
        bool in_output;    /* it is in the stream's output, not in `scratch` */
        bool closing;      /* what the frames were for is over */
        bool output_over;  /* we have ended channel 0 */
        bool input_over;   /* the peer has */
        bool lending;      /* the socket is to be lent */
};

/*
 * Where frames are made that leave at once: one for all streams, as there is one thread. What a
 * socket does not take of them moves to the stream's own memory. As bytes of it are used they
 * become resident, and stay.
 */
static char scratch[FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX];

/* What is less than this is cheaper to copy than to splice; and what is copied at once. */
#define SPLICE_MIN (16U * 1024U)
#define COPY_MAX (64U * 1024U)

int stream_raw_begin(Stream *s, unsigned channels)
{
        StreamRaw *raw;

        assert(!s->raw);
        raw = calloc(1, sizeof(*raw));
        if (!raw)
                return -ENOMEM;
        raw->channels = channels & ~(1U << FRAME_CONTROL);
        s->raw = raw;
        s->text_begun = 0;
        s->skipping = false;
        return 0;
}

void stream_raw_open(Stream *s)
{
        s->framed = true;
}

StreamRaw *stream_raw_free(StreamRaw *raw)
{
        free(raw);
        return NULL;
}

bool stream_is_raw(const Stream *s)
{
        return s->framed;
}

bool stream_raw_is_begun(const Stream *s)
{
        return s->raw;
}

bool stream_raw_is_lent(const Stream *s)
{
        return s->lent;
}

bool stream_raw_is_input_over(const Stream *s)
{
        return s->raw && s->raw->input_over;
}

void stream_raw_close(Stream *s)
{
        if (!s->raw)
                return;
        s->raw->closing = true;
        s->raw->lending = false;
        /* What is left for the channels is dropped, so nothing keeps it from being taken. */
        stream_raw_resume(s);
}

void stream_raw_resume(Stream *s)
{
        if (!s->held || s->lent || !s->raw || s->raw->input_over)
                return;
        s->held = false;
        s->unfinished = true;
        stream_wake(s);
}

/* Input: frames. */

/* Whether the n bytes at data begin a frame of channel 0. */
static bool is_control(const char *data, size_t n)
{
        return n >= FRAME_HEADER_SIZE && data[FRAME_HEADER_SIZE - 1] == FRAME_CONTROL;
}

static bool is_blank(const char *data, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!strchr("\n\r\t ", data[i]) || data[i] == '\0')
                        return false;
        return true;
}

/* A frame of channel 0, as a text. */
static void stream_raw_take_text(Stream *s, const char *data, size_t n)
{
        size_t used = 0;
        ScanResult r;

        stream_next_text(s);
        r = scan_feed(&s->scan, data, n, &used);
        if (r == SCAN_MORE) {
                /* A number's end shows by what follows; anything else was cut. */
                r = scan_finish(&s->scan);
                if (r == SCAN_MORE)
                        r = SCAN_BAD_SYNTAX;
        } else if (r == SCAN_DONE && !is_blank(data + used, n - used)) {
                r = SCAN_BAD_SYNTAX;
        }

        switch (r) {
        case SCAN_DONE:
                s->owner->text(s, data + used - scan_length(&s->scan), &s->scan, s->userdata);
                break;
        case SCAN_MORE:
        case SCAN_BAD_SYNTAX:
        case SCAN_BAD_UTF8:
                stream_fault(s, STREAM_FAULT_SYNTAX, r);
                break;
        case SCAN_NO_MEMORY:
                stream_fault(s, STREAM_FAULT_MEMORY, r);
                break;
        case SCAN_TOO_LONG:
        case SCAN_TOO_MANY_VALUES:
        case SCAN_TOO_DEEP:
                stream_fault(s, STREAM_FAULT_LIMIT, r);
                break;
        }
        stream_next_text(s);
}

/* Both sides have ended: what follows are texts. */
static void stream_raw_done(Stream *s)
{
        s->raw = stream_raw_free(s->raw);
        if (s->held) {
                s->held = false;
                s->unfinished = true;
        }
        stream_next_text(s);
}

static bool stream_raw_take_channel_end(Stream *s, uint8_t channel)
{
        StreamRaw *raw = s->raw;

        if (channel == FRAME_CONTROL) {
                raw->input_over = true;
                s->text_begun = 0;
                if (raw->output_over) {
                        stream_raw_done(s);
                        return true;
                }
                /* What follows are texts, whose answers would have to be frames: they wait. */
                s->held = true;
                return false;
        }
        if (raw->closing)
                return true;
        if (channel >= FRAME_CHANNELS_MAX || !(raw->channels & 1U << channel)) {
                stream_fault(s, STREAM_FAULT_CHANNEL, SCAN_MORE);
                return true;
        }
        raw->channels &= ~(1U << channel);
        s->owner->frame_end(s, channel, s->userdata);
        return true;
}

/* Returns how much of the piece was taken. */
static size_t stream_raw_take_data(Stream *s, const FramePiece *piece)
{
        StreamRaw *raw = s->raw;
        size_t n;

        if (raw->closing)
                return piece->n;
        if (piece->channel >= FRAME_CHANNELS_MAX || !(raw->channels & 1U << piece->channel)) {
                stream_fault(s, STREAM_FAULT_CHANNEL, SCAN_MORE);
                return piece->n;
        }
        n = s->owner->frame(s, piece->channel, piece->data, piece->n, s->userdata);
        if (n >= piece->n || raw->closing)
                return piece->n;
        s->held = true;
        return n;
}

/* A frame of channel 0 stays in the input until it is whole. Returns how much of it is done with.
 */
static size_t stream_raw_take_control(Stream *s, const FramePiece *piece)
{
        if (s->raw->output_over)
                return piece->n;
        if (piece->size > s->limits.bytes) {
                stream_fault(s, STREAM_FAULT_LIMIT, SCAN_TOO_LONG);
                return piece->n;
        }
        if (!piece->last) {
                if (s->text_begun == 0)
                        s->text_begun = stream_now(s);
                return 0;
        }
        s->text_begun = 0;
        stream_raw_take_text(s, piece->data, piece->n);
        return piece->n;
}

/* Of a frame that is begun; used: bytes up to the end of this piece. Returns how many of them are
 * done with: where nothing of a payload could be taken its header stays before it. */
static size_t stream_raw_take_piece(Stream *s, const FramePiece *piece, size_t used, bool *ret_more)
{
        FrameReader *reader = &s->raw->reader;
        size_t n;

        n = piece->channel == FRAME_CONTROL ? stream_raw_take_control(s, piece)
                                            : stream_raw_take_data(s, piece);
        *ret_more = n == piece->n;
        if (n == piece->n)
                return used;
        used -= piece->n - n;
        if (piece->first && n == 0) {
                reader->have = 0;
                return used - FRAME_HEADER_SIZE;
        }
        reader->have = FRAME_HEADER_SIZE;
        reader->left += (uint32_t)(piece->n - n);
        return used;
}

size_t stream_raw_take(Stream *s, const char *data, size_t n, bool *ret_more)
{
        StreamRaw *raw = s->raw;
        size_t used, blank = 0;
        FramePiece piece;
        int r;

        *ret_more = false;
        if (s->held)
                return 0;
        while (!raw->reader.begun && blank < n && is_blank(data + blank, 1))
                blank++;
        if (raw->lending && frame_is_between(&raw->reader) &&
            !is_control(data + blank, n - blank)) {
                s->held = n > blank;
                return blank;
        }

        r = frame_next(&raw->reader, data, n, &used, &piece);
        switch (r) {
        case FRAME_MORE:
                /* A header is taken together with the first bytes of its payload, so that the
                 * input begins with a header wherever the reader is between two frames. */
                if (raw->reader.have == FRAME_HEADER_SIZE && s->text_begun == 0 &&
                    raw->reader.channel == FRAME_CONTROL && !raw->output_over)
                        s->text_begun = stream_now(s);
                used -= raw->reader.have;
                raw->reader.have = 0;
                return used;
        case FRAME_END:
                *ret_more = stream_raw_take_channel_end(s, piece.channel);
                return used;
        case FRAME_PIECE:
                return stream_raw_take_piece(s, &piece, used, ret_more);
        default:
                stream_fault(s, STREAM_FAULT_FRAME, SCAN_MORE);
                return n;
        }
}

void stream_raw_take_end(Stream *s)
{
        StreamRaw *raw = s->raw;

        if (!raw->closing) {
                stream_set_gone(s, -ECONNRESET);
                return;
        }
        /* Its part was over but for the words. */
        buffer_done(&s->in);
        raw->input_over = true;
        s->held = true;
        if (raw->output_over)
                stream_raw_done(s);
}

/* Output: frames. */

/* Room for a frame in the output itself, behind what waits there. */
static char *stream_raw_reserve_in_output(Stream *s, size_t n)
{
        char *p;

        p = buffer_reserve(&s->out, FRAME_HEADER_SIZE + n);
        if (!p) {
                stream_break(s, -ENOMEM);
                return NULL;
        }
        return p + FRAME_HEADER_SIZE;
}

static void stream_raw_commit_to_output(Stream *s, uint8_t channel, size_t n)
{
        char *p;

        /* The room that was reserved: this cannot fail. */
        p = buffer_reserve(&s->out, FRAME_HEADER_SIZE + n);
        assert(p);
        frame_put_header((uint8_t *)p, channel, n);
        buffer_commit(&s->out, FRAME_HEADER_SIZE + n);
        stream_wake(s);
}

char *stream_raw_reserve_text(Stream *s, size_t n)
{
        if (n > FRAME_PAYLOAD_MAX) {
                stream_break(s, -EMSGSIZE);
                return NULL;
        }
        return stream_raw_reserve_in_output(s, n);
}

void stream_raw_commit_text(Stream *s, size_t n)
{
        stream_raw_commit_to_output(s, FRAME_CONTROL, n);
}

char *stream_raw_reserve(Stream *s, uint8_t channel, size_t n)
{
        StreamRaw *raw = s->raw;

        assert(raw && !raw->output_over && n <= FRAME_PAYLOAD_MAX);
        raw->channel = channel;
        /* What waits goes first, so that the frame need not wait behind it. */
        if (s->out.size > 0 && !s->blocked)
                stream_flush(s);
        raw->in_output = s->out.size > 0 || s->lent;
        return raw->in_output ? stream_raw_reserve_in_output(s, n) : scratch + FRAME_HEADER_SIZE;
}

void stream_raw_commit(Stream *s, size_t n)
{
        StreamRaw *raw = s->raw;
        size_t sent;

        if (n == 0)
                return;
        if (raw->in_output) {
                stream_raw_commit_to_output(s, raw->channel, n);
                return;
        }
        frame_put_header((uint8_t *)scratch, raw->channel, n);
        n += FRAME_HEADER_SIZE;
        sent = stream_send(s, scratch, n);
        if (sent == n)
                return;
        if (buffer_append(&s->out, scratch + sent, n - sent) < 0)
                stream_set_gone(s, -ENOMEM);
        stream_wake(s);
}

/* How many bytes wait in a pipe; 0 for what is none. */
static size_t pipe_size(int fd)
{
        struct stat st;
        int n = 0;

        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || ioctl(fd, FIONREAD, &n) < 0)
                return 0;
        return n > 0 ? (size_t)n : 0;
}

/* Moves up to n bytes without waiting; returns how many. */
static size_t stream_raw_move(Stream *s, int fd, size_t n)
{
        size_t moved = 0;

        while (moved < n) {
                ssize_t k;

                k = splice(fd, NULL, s->fd, NULL, n - moved, SPLICE_F_NONBLOCK);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0) {
                        s->blocked = k < 0 && errno == EAGAIN;
                        break;
                }
                moved += (size_t)k;
        }
        if (moved > 0) {
                s->moved = true;
                s->stats->bytes_sent += moved;
        }
        return moved;
}

/* The rest of a frame that is begun, whose n bytes are in the pipe: it must follow. */
static void stream_raw_owe(Stream *s, int fd, size_t n)
{
        char *p;

        p = buffer_reserve(&s->out, n);
        if (!p) {
                stream_set_gone(s, -ENOMEM);
                return;
        }
        while (n > 0) {
                ssize_t k;

                k = read(fd, p, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0) {
                        /* Somebody else reads from it. */
                        stream_set_gone(s, k < 0 ? -errno : -EPIPE);
                        return;
                }
                buffer_commit(&s->out, (size_t)k);
                p += k;
                n -= (size_t)k;
        }
}

static ssize_t stream_raw_copy(Stream *s, uint8_t channel, int fd, size_t n)
{
        ssize_t k;
        char *p;

        n = MIN_OF(n, (size_t)COPY_MAX);
        p = stream_raw_reserve(s, channel, n);
        if (!p)
                return -ENOMEM;
        k = read(fd, p, n);
        if (k < 0)
                return -errno;
        stream_raw_commit(s, (size_t)k);
        return k;
}

ssize_t stream_raw_splice(Stream *s, uint8_t channel, int fd, size_t n)
{
        size_t there = pipe_size(fd), sent;
        char header[FRAME_HEADER_SIZE];

        if (s->out.size > 0 && !s->blocked)
                stream_flush(s);
        if (there < SPLICE_MIN || s->out.size > 0 || s->lent || s->gone)
                return stream_raw_copy(s, channel, fd, n);

        n = MIN_OF(n, there);
        frame_put_header((uint8_t *)header, channel, n);
        sent = stream_send(s, header, sizeof(header));
        if (sent == sizeof(header))
                sent += stream_raw_move(s, fd, n);
        if (sent < sizeof(header) &&
            buffer_append(&s->out, header + sent, sizeof(header) - sent) < 0)
                stream_set_gone(s, -ENOMEM);
        if (sent < sizeof(header) + n) {
                stream_raw_owe(s, fd, n - (sent > sizeof(header) ? sent - sizeof(header) : 0));
                stream_wake(s);
        }
        return (ssize_t)n;
}

void stream_raw_end(Stream *s, uint8_t channel)
{
        if (stream_raw_reserve_in_output(s, 0))
                stream_raw_commit_to_output(s, channel, 0);
}

/* Lending, and the end. */

void stream_raw_lend(Stream *s)
{
        s->raw->lending = true;
        stream_wake(s);
}

void stream_raw_return(Stream *s, const char *received, size_t n, uint64_t bytes_received,
                       uint64_t bytes_sent)
{
        int r;

        if (!s->lent)
                return;
        s->lent = false;
        s->held = s->raw->input_over;
        s->stats->bytes_received += bytes_received;
        s->stats->bytes_sent += bytes_sent;
        s->moved = true;
        s->unfinished = !s->held;
        if (s->held && n > 0) {
                stream_break(s, -EPROTO); /* not its to read */
                return;
        }
        r = buffer_append(&s->in, received, n);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->io, SD_EVENT_ON);
        if (r < 0)
                stream_set_gone(s, r);
        s->readable = true;
        stream_wake(s);
}

static void stream_raw_try_to_lend(Stream *s)
{
        StreamRaw *raw = s->raw;
        bool held = s->held;
        Buffer in = s->in;
        int r;

        if (s->out.size > 0 || s->unfinished || s->stalled || !frame_is_between(&raw->reader))
                return;
        if (!raw->input_over && is_control(buffer_peek(&in), in.size))
                return;

        if (raw->input_over)
                in = BUFFER_NULL;
        else
                s->in = BUFFER_NULL;
        raw->lending = false;
        s->lent = s->held = true;
        if (!s->owner->lend(s, s->fd, buffer_peek(&in), in.size, s->userdata)) {
                raw->lending = true;
                s->lent = false;
                s->held = held;
                if (!raw->input_over)
                        s->in = in;
                return;
        }
        buffer_done(&in);
        if (!s->lent)
                return; /* and is back already */
        r = sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
        if (r < 0)
                stream_set_gone(s, r);
}

void stream_raw_settle(Stream *s)
{
        StreamRaw *raw = s->raw;

        if (raw->closing && !raw->output_over && !s->owner->busy(s, s->userdata)) {
                stream_raw_end(s, FRAME_CONTROL);
                raw->output_over = true;
                s->framed = false;
                if (s->finishing && s->finish_by == 0)
                        s->finish_by = stream_now(s) + STREAM_DRAIN_USEC;
                if (raw->input_over)
                        stream_raw_done(s);
                return;
        }
        if (raw->lending)
                stream_raw_try_to_lend(s);
        if (s->hung_up && s->held && !s->lent && !raw->closing)
                stream_set_gone(s, -ECONNRESET);
}
