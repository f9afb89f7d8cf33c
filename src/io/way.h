/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One direction of a pump: bytes from one descriptor to another. It moves what it can and
 * remembers what it waits for; it waits for nothing itself.
 */
typedef struct Way Way;

/* What is read at once, and so what a receiver who has stopped can make us hold. More than the
 * queue of a Unix socket, so that one call empties it; a larger one falls out of the cache
 * between the two copies. */
#define WAY_BLOCK_SIZE ((size_t)256 * 1024)

struct Way {
        int from;
        int to;
        uint64_t *counter; /* or NULL */
        char *block;       /* held while bytes are in it, and through a turn */
        size_t begin;      /* offset of the first byte that was read and not yet written */
        size_t size;       /* number of such bytes */

        /* Of the descriptors, as epoll and EAGAIN tell it. */
        bool readable : 1;
        bool writable : 1;
        bool from_socket : 1;
        bool to_socket : 1;

        bool drops : 1;  /* nobody takes it: what still comes is read and dropped */
        bool ended : 1;  /* nothing more is read */
        bool failed : 1; /* the receiver has failed or gone */
        bool moved : 1;  /* bytes have moved since this was last reset */
        int read_error;  /* -errno */
        int write_error;
};

/* from and to are borrowed; either may be negative. */
void way_init(Way *w, int from, int to, uint64_t *counter);
/* Goes on for as long as it can, or until it is the turn of others. */
void way_turn(Way *w);
/* Whether a turn would do something. */
bool way_is_ready(const Way *w);
/* All that will ever come has been passed on (or dropped). */
bool way_is_over(const Way *w);
/* The receiver is gone: what waits is dropped, and what comes as well. error: -errno; or 0, if it
 * is no failure unless bytes are lost. */
void way_fail(Way *w, int error);
/* Gives back what it need not hold while it waits. */
void way_rest(Way *w);
void way_done(Way *w);

/* Frees the memory that is kept for ways to come. */
void way_drop_blocks(void);
