/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * Frames, which carry the bytes of raw calls (docs/protocol.md): the length of the payload in four
 * bytes, the most significant first, a byte for the channel, the payload. A frame without a payload
 * ends its channel. Daemon, file helper and client share this codec.
 */
typedef struct FrameReader FrameReader;
typedef struct FramePiece FramePiece;

#define FRAME_HEADER_SIZE 5U
#define FRAME_PAYLOAD_MAX (1024U * 1024U)
/* Channels are fewer than the byte for them could say, so that a set of them is a mask. */
#define FRAME_CHANNELS_MAX 32U

/* Channels. 0 is for JSON texts, each a frame of its own. */
typedef enum FrameChannel {
        FRAME_CONTROL = 0,
        /* exec: by the program's descriptor, plus 1 */
        FRAME_STDIN = 1,
        FRAME_STDOUT = 2,
        FRAME_STDERR = 3,
        /* file.get, file.put */
        FRAME_DATA = 1,    /* the content's bytes */
        FRAME_HOLE = 2,    /* eight bytes, most significant first: so many bytes of zeros */
        FRAME_RECORDS = 3, /* JSON objects, each a frame: what the bytes between them belong to */
} FrameChannel;

/* Writes a header; n: bytes of payload, at most FRAME_PAYLOAD_MAX. */
void frame_put_header(uint8_t to[static FRAME_HEADER_SIZE], uint8_t channel, size_t n);

/* Takes frames out of bytes that come in whatever pieces. All zeros: before the first one, where
 * white space is passed over that the text before it may have left (no frame begins like that). */
struct FrameReader {
        uint8_t header[FRAME_HEADER_SIZE];
        uint8_t have;    /* of the header; 0: between two frames */
        uint8_t channel; /* of the frame that is begun */
        bool begun;      /* the first frame has been seen */
        uint32_t left;   /* of its payload */
};

typedef enum FrameStep {
        FRAME_MORE,  /* all bytes are used up */
        FRAME_PIECE, /* a part of a payload, perhaps all of it */
        FRAME_END,   /* a channel's end */
} FrameStep;

struct FramePiece {
        uint8_t channel;
        const char *data; /* borrowed from what was fed */
        size_t n;
        bool first;  /* the frame begins with it */
        bool last;   /* and ends with it */
        size_t size; /* of the whole frame's payload, where first */
};

/* One step through the n bytes at data; *ret_used: how many are done with. A FrameStep; -EMSGSIZE
 * for a frame that is longer than may be (nothing after it can be understood). */
int frame_next(FrameReader *r, const char *data, size_t n, size_t *ret_used, FramePiece *ret);
/* Whether the bytes so far end between two frames. */
bool frame_is_between(const FrameReader *r);
