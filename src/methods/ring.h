/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The last bytes of a stream that may be endless. Each byte has a cursor, its offset in the
 * stream, which stays the same while earlier bytes are dropped. Memory is taken as it is needed.
 */
typedef struct Ring Ring;

struct Ring {
        char *data;
        size_t allocated;
        size_t limit; /* bytes kept at most */
        uint64_t end; /* cursor past the last byte */
};

void ring_init(Ring *r, size_t limit);
void ring_done(Ring *r);
/* Cannot fail: without memory it keeps fewer bytes. */
void ring_write(Ring *r, const void *data, size_t n);
/* The cursor of the oldest byte that is still there; the end's where there is none. */
uint64_t ring_begin(const Ring *r);
/* The bytes from cursor on that lie in one piece; 0 at the end. cursor: from ring_begin() to the
 * end. *ret is borrowed until the next byte is written. */
size_t ring_peek(const Ring *r, uint64_t cursor, const char **ret);
