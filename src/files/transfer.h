/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "rpc/frame.h"

/*
 * Files on their way, as raw frames (docs/protocol.md, "File streams"): the same code sends and
 * receives in the agent's file helper and in the client. It blocks: in the helper nobody else
 * waits, and the client has nothing else to do.
 *
 * A stream is a sequence of entries: a record (FRAME_RECORDS) that describes the entry, for a
 * regular file its content (FRAME_DATA, FRAME_HOLE), and a record that ends it, with the size and
 * the XXH3-128 of the content, or with the error that kept it from being sent whole. The ends of
 * the three channels end the stream.
 */
typedef struct Wire Wire;
typedef struct TransferStats TransferStats;
typedef struct SendSettings SendSettings;
typedef struct ReceiveSettings ReceiveSettings;

/* A connection in raw mode, between two frames. */
struct Wire {
        int fd; /* borrowed; it may be non-blocking: waiting is by poll(2) */
        Buffer in; /* received and not taken */
        FrameReader reader;
        uint64_t received; /* bytes, over all */
        uint64_t sent;
        /* A frame on channel 0 has come (it is whole, at the beginning of `in`, not taken): the
         * transfer pauses between two frames and returns TRANSFER_CONTROL; it may be continued. */
        bool stop_for_control;
        int interrupt_fd; /* readable: -EINTR; negative: none */
};

/* What came of it. Errors of single entries of a tree do not end a transfer. */
struct TransferStats {
        uint64_t files;
        uint64_t directories;
        uint64_t others; /* links */
        uint64_t bytes;  /* of content, holes included */
        uint64_t failed; /* entries */
        uint64_t changed; /* files that changed while they were read */
        char hash[33];   /* of the last file, hexadecimal */
};
