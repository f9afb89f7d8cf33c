/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "rpc/frame.h"

/*
 * A connection in raw mode, from between two frames to between two frames, for code that may
 * block. Its blocks are allocated once: what goes through here is counted in gigabytes.
 */
typedef struct Wire Wire;

/* What is received at once, and what is gathered before it is sent. */
#define WIRE_BLOCK (256U * 1024U)

struct Wire {
        int fd;            /* borrowed; it may be non-blocking: waiting is by poll(2) */
        int interrupt_fd;  /* borrowed; readable: -EINTR. Negative: none */
        uint64_t received; /* bytes, over all */
        uint64_t sent;

        char *in; /* received: in[in_begin .. in_end) is not taken */
        size_t in_begin;
        size_t in_end;
        size_t in_capacity;

        char *out; /* whole frames, and perhaps one that is begun */
        size_t out_begin;
        size_t out_end;
        size_t out_capacity;

        FrameReader reader;
        bool deaf;   /* the peer has ended its channel 0: what follows is not ours to read */
        bool failed; /* an error was the connection's: nothing more can come or go */
};

#define WIRE_NULL ((Wire){ .fd = -EBADF, .interrupt_fd = -EBADF })

/* fd: borrowed. received: what has come from it already, copied. 0 or -ENOMEM. */
int wire_init(Wire *w, int fd, const char *received, size_t n);
/* Frees the blocks. NULL-safe for WIRE_NULL. */
void wire_done(Wire *w);

typedef enum WireStep {
        WIRE_DONE = 0,
        WIRE_CONTROL = 1, /* something of the peer's waits to be taken by somebody else */
        WIRE_PIECE = 2,
} WireStep;

/* What was received and not taken; valid until the next function. */
const char *wire_pending(const Wire *w, size_t *ret_n);
/* Somebody has taken the first n bytes of it. */
void wire_take(Wire *w, size_t n);
/* Whether what was taken ends between two frames. */
bool wire_is_between(const Wire *w);

/*
 * The next piece of a frame, taken; its data is valid until the next function. An empty frame is a
 * piece of no bytes. Receives, waiting where there is nothing. WIRE_PIECE; WIRE_CONTROL where a
 * frame on channel 0 begins and take_control is false: it is not taken; -ECONNRESET at the end of
 * input; -EMSGSIZE for a frame that is too long; -EINTR; -errno.
 */
int wire_next(Wire *w, bool take_control, FramePiece *ret);

/* Room for a frame's payload of up to n bytes (at most FRAME_PAYLOAD_MAX): what stands in its way
 * is sent. 0 or -errno. */
int wire_reserve(Wire *w, size_t n, char **ret);
/* The frame is in place: n bytes on this channel; of 0 bytes: its end. */
void wire_commit(Wire *w, uint8_t channel, size_t n);
/* A frame by copying. 0 or -errno. */
int wire_put(Wire *w, uint8_t channel, const void *data, size_t n);
/* So many bytes wait to be sent. */
size_t wire_waiting(const Wire *w);
/* Sends them all. WIRE_DONE; WIRE_CONTROL: and the peer has sent something; -errno. */
int wire_flush(Wire *w);

/* Waits until fd (not the wire's) is ready for the events of poll(2), or cannot be waited for. 0;
 * WIRE_CONTROL where the peer sends something meanwhile; -ECONNRESET; -EINTR. */
int wire_wait(Wire *w, int fd, short events);
/* -EINTR where the interrupt_fd is readable, else 0. Does not wait. */
int wire_interrupted(const Wire *w);
