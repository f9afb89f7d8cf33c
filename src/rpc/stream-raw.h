/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "rpc/frame.h"
#include "rpc/stream.h"

/*
 * A stream that carries frames for a while, both ways: those of channel 0 hold the texts, and the
 * others go to the owner's `frame` and `frame_end`. Each side's frames end with the end of its
 * channel 0; when both have come the stream is one of texts again.
 */

/* What comes next are frames. channels: a mask of those that the peer may use, besides 0. 0, or
 * -ENOMEM; not while there are frames already. */
int stream_raw_begin(Stream *s, unsigned channels);
/* What is written next are frames. */
void stream_raw_open(Stream *s);
/* What the frames were for is over: what still comes on other channels is dropped. Channel 0 is
 * ended as soon as the owner is not busy, in a later turn of the loop. */
void stream_raw_close(Stream *s);
/* Whether what is written are frames. */
bool stream_is_raw(const Stream *s);
/* Whether what comes are frames: from the beginning to the peer's end of channel 0. */
bool stream_raw_is_begun(const Stream *s);
bool stream_raw_is_lent(const Stream *s);
/* Whether the peer has ended its channel 0. */
bool stream_raw_is_input_over(const Stream *s);

/* After `frame` has taken less than it was offered. */
void stream_raw_resume(Stream *s);

/* Room for n bytes of payload, at most FRAME_PAYLOAD_MAX, to be filled and committed before
 * anything else is written on any stream. NULL without memory: the stream is broken. */
char *stream_raw_reserve(Stream *s, uint8_t channel, size_t n);
void stream_raw_commit(Stream *s, size_t n);
/* A frame of what a descriptor has to read, as call_raw_splice(). */
ssize_t stream_raw_splice(Stream *s, uint8_t channel, int fd, size_t n);
void stream_raw_end(Stream *s, uint8_t channel);

/* Gives the socket to the owner's `lend`, once all output is out and the input is between two
 * frames, the next of which is not a text. */
void stream_raw_lend(Stream *s);
/* Takes it back, with n bytes that were received. */
void stream_raw_return(Stream *s, const char *received, size_t n, uint64_t bytes_received,
                       uint64_t bytes_sent);
