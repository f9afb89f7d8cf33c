/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/buffer.h"
#include "rpc/stream.h"

typedef struct StreamRaw StreamRaw;

/* What stream.c (the socket) and stream-input.c (the texts) share, and nobody else. */
struct Stream {
        sd_event *event;
        sd_event_source *io;
        sd_event_source *again; /* another turn without an event of the socket */
        sd_event_source *timer;
        const StreamOwner *owner;
        void *userdata;
        Stats *stats;

        int fd;
        uint32_t interest; /* what `io` waits for */

        ScanLimits limits; /* of the next text: a change waits for the end of the one begun */
        Scan scan;
        Buffer in; /* begins with the text that the scan is in, if any */
        Buffer out;
        StreamRaw *raw; /* frames instead of texts */

        uint64_t message_timeout;
        uint64_t idle_timeout;
        uint64_t text_begun; /* 0: no text is begun */
        uint64_t last_active;
        uint64_t finish_by; /* 0: not finishing with a deadline */
        uint64_t probe_at;  /* 0: no probe is due */
        uint64_t timer_at;  /* what the timer is armed for; UINT64_MAX: not */
        uint64_t eased_in;  /* the round of the loop in which output last left without a turn */

        int error; /* of the socket: the peer is gone */
        bool gone : 1;
        bool hung_up : 1;  /* HUP was seen: after the input that is left, gone */
        bool readable : 1; /* an edge of EPOLLIN was seen, and no EAGAIN since */
        bool input_ended : 1;
        bool cut_told : 1;
        bool skipping : 1;  /* after a syntax error, to the next newline */
        bool finishing : 1; /* no more texts are taken */
        bool output_shut : 1;
        bool congested : 1;
        bool stalled : 1;    /* congestion kept something from being taken */
        bool unfinished : 1; /* the turn's budget was used up before the input was */
        bool held : 1;       /* what is left of the input has to wait for our side */
        bool framed : 1;     /* what is written are frames */
        bool lent : 1;       /* another process has the socket */
        bool blocked : 1;    /* it took no more, and EPOLLOUT is due */
        bool awaited : 1;    /* the owner was told that the output is full */
        bool in_turn : 1;
        bool moved : 1; /* bytes came or went in this turn */
};

static inline uint64_t stream_now(const Stream *s)
{
        uint64_t now = 0;

        (void)sd_event_now(s->event, CLOCK_MONOTONIC, &now);
        return now;
}

/* Makes the scan ready for the next text. */
void stream_next_text(Stream *s);

/* Whether output waits for a peer that does not read. */
bool stream_is_congested(Stream *s);

/* The owner hears of a fault, and what it replies goes out before the connection is closed. */
void stream_fault(Stream *s, StreamFault fault, ScanResult result);

/* Takes what can be taken of the n bytes at data and returns how many are done with. */
size_t stream_take(Stream *s, const char *data, size_t n);

/* What an earlier turn left over. */
void stream_take_left(Stream *s);

/* Sends what waits; most often nothing does. */
void stream_flush_waiting(Stream *s);
static inline void stream_flush(Stream *s)
{
        if (s->out.size > 0)
                stream_flush_waiting(s);
}

/* Sends without waiting; returns how many bytes went. */
size_t stream_send(Stream *s, const char *data, size_t n);
void stream_set_gone(Stream *s, int error);

/* After the input has ended and all of it was taken: the text that it may have cut short. */
void stream_take_end(Stream *s);

/* Of stream-raw.c. As stream_take(), but one frame or a piece of it. */
size_t stream_raw_take(Stream *s, const char *data, size_t n, bool *ret_more);
/* The peer has ended its input among frames, all of which were taken. */
void stream_raw_take_end(Stream *s);
/* At the end of a turn: what had to wait for it. */
void stream_raw_settle(Stream *s);
/* Room for a text of n bytes in a frame of its own, and the frame around it, where the stream is
 * raw. */
char *stream_raw_reserve_text(Stream *s, size_t n);
void stream_raw_commit_text(Stream *s, size_t n);
StreamRaw *stream_raw_free(StreamRaw *raw);
