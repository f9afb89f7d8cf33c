/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "files/wire.h"

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
typedef struct Transfer Transfer;
typedef struct TransferStats TransferStats;
typedef struct TransferEvents TransferEvents;
typedef struct SendSettings SendSettings;
typedef struct ReceiveSettings ReceiveSettings;

/* Hexadecimal digits of an XXH3-128, and a NUL. */
#define TRANSFER_HASH_SIZE 33U
/* Levels of folders in one tree: each holds a descriptor while it is worked on. */
#define TRANSFER_DEPTH_MAX 500U

/* What came of it so far. Errors of single entries of a tree do not end a transfer. */
struct TransferStats {
        uint64_t files;
        uint64_t directories;
        uint64_t links;
        uint64_t bytes;       /* of content, holes included; of files that did not arrive, too */
        uint64_t failed;      /* entries */
        uint64_t changed;     /* files that changed while they were read */
        uint64_t total_bytes; /* of content, if it is known; else 0 */
        uint64_t resumed;     /* bytes that were there already */
        char hash[TRANSFER_HASH_SIZE]; /* of the last file that is whole; "" for none */
};

/* Who wants to know while it goes on. Each may be NULL. Paths are bytes of any kind but NUL,
 * relative to what is sent or received, "" for that itself; borrowed. */
struct TransferEvents {
        /* An entry did not arrive. error: negative errno; by_peer: the other side said so, or
         * (sending) will be told. message: a sentence without the path. */
        void (*failed)(const char *path, int error, bool by_peer, const char *message,
                       void *userdata);
        /* It arrived, but its content may be a mixture of before and after. */
        void (*changed)(const char *path, void *userdata);
        /* Often: whenever bytes have gone out or come in. path: of the entry that is under way. */
        void (*progress)(const TransferStats *stats, const char *path, void *userdata);
        void *userdata;
};

struct SendSettings {
        bool recursive;   /* a folder may be sent; else -EISDIR */
        bool stream;      /* the source is a descriptor to be read to its end, whatever it is */
        bool count_first; /* walk through a tree first, so that the other side knows its size */
        /* Of a regular file: leave out so many bytes of its beginning, whose XXH3-128 must be this;
         * else -ESTALE. NULL: without a check. */
        uint64_t offset;
        const char *offset_hash;
        TransferEvents events;
};

struct ReceiveSettings {
        bool recursive; /* more than a single file may come; else -EISDIR */
        bool preserve;  /* owner (where we may), all of the mode, times, as at the sender */
        bool no_link;   /* what was asked for is no link: one in its place is refused, -ELOOP */
        bool confined;  /* where links lead is not looked at: it is not for the sender to know */
        int stream_fd;  /* write the content there, and make no file; negative: none. Borrowed */
        /* Whatever the sender says: whom all entries belong to, and of the topmost one the mode
         * (07777) and the time; TRANSFER_UNSET, INT64_MIN for none. */
        uid_t uid;
        gid_t gid;
        mode_t mode;
        int64_t mtime_ns;
        /* Into transfer_partial_name() beside the target, which stays there if the transfer is cut
         * off. offset > 0: its first so many bytes are kept, if their hash is this; else -ESTALE.
         */
        bool keep_partial;
        uint64_t offset;
        const char *offset_hash;
        TransferEvents events;
};

#define TRANSFER_UNSET ((unsigned)-1)
#define RECEIVE_SETTINGS_NULL                       \
        ((ReceiveSettings){ .stream_fd = -EBADF,    \
                            .mode = TRANSFER_UNSET, \
                            .uid = TRANSFER_UNSET,  \
                            .gid = TRANSFER_UNSET,  \
                            .mtime_ns = INT64_MIN })

/*
 * Opens what is to be sent. source: borrowed until transfer_free(): an O_PATH descriptor of the
 * file, folder or symbolic link itself (nothing else is ever opened: a FIFO, a device or a socket
 * is refused, whoever waits at it), or with `stream` one to read from. wire and the strings of the
 * settings are borrowed too.
 * 0; -errno with *ret_problem a sentence without the path (allocated, may be NULL).
 */
int transfer_send_new(Wire *wire, int source, const SendSettings *settings, Transfer **ret,
                      char **ret_problem);

/*
 * Prepares to receive what becomes `name` in the folder `dirfd` (borrowed; open for reading, or
 * O_PATH). name: one component, "." for the folder itself (only a folder may come then), ignored
 * with stream_fd. What is there is replaced at the end, never followed, unless it is no regular
 * file or link: that is refused. 0; -errno as above.
 */
int transfer_receive_new(Wire *wire, int dirfd, const char *name, const ReceiveSettings *settings,
                         Transfer **ret, char **ret_problem);

/*
 * Goes on until it is done: TRANSFER_DONE (all frames are out, or all three channels have ended);
 * TRANSFER_CONTROL: a frame on channel 0 stands at the front of what wire_pending() returns
 * (perhaps not yet all of it), and both ways are between two frames; whoever has taken it may
 * call this again. -errno: nothing that arrived in part is left (but for keep_partial), and
 * transfer_problem() has the words: -ECONNRESET, -EPIPE: the peer is gone; -EPROTO, -EMSGSIZE:
 * it sends what makes no stream; -EINTR: wire->interrupt_fd; else what went wrong here. Where the
 * error is not of the wire, both ways are between two frames.
 */
enum {
        TRANSFER_DONE = 0,
        TRANSFER_CONTROL = 1,
};
int transfer_run(Transfer *t);

/* Stops, wherever it is: removes what arrived in part (but for keep_partial). Frees. */
Transfer *transfer_free(Transfer *t);
DEFINE_CLEANUP(Transfer, transfer_free)

const TransferStats *transfer_stats(const Transfer *t);
/* The first error that ended it, as a sentence with the path of the entry; NULL for none. */
const char *transfer_problem(const Transfer *t);
/* Whether the error that transfer_run() returned is the connection's. */
bool transfer_wire_failed(const Transfer *t);

/* The name that keep_partial uses for `name`: ".NAME.guestwire-part", or a shortened one where that
 * would be too long. The caller frees; NULL without memory. */
char *transfer_partial_name(const char *name);

/* XXH3-128 of the first `size` bytes of an open file, in hexadecimal. 0; -ENODATA where it is
 * shorter; -errno of reading; -EINTR where interrupt_fd (negative: none) is readable. */
int transfer_hash_prefix(int fd, uint64_t size, int interrupt_fd,
                         char ret[static TRANSFER_HASH_SIZE]);
