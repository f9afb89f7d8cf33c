/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * A queue of bytes: appended at the end, consumed at the front. It holds no
 * memory while it is empty, so that an idle connection costs none.
 */
typedef struct Buffer Buffer;

struct Buffer {
        char *data;      /* the allocation, or NULL */
        size_t begin;    /* offset of the first unread byte */
        size_t size;     /* number of unread bytes */
        size_t capacity; /* size of the allocation */
};

#define BUFFER_NULL ((Buffer){ 0 })

/* The first unread byte; NULL where there may be none (NULL + 0 is undefined in C). */
static inline const char *buffer_peek(const Buffer *b)
{
        return b->data ? b->data + b->begin : NULL;
}

/* Makes room for n further bytes and returns where they go, or NULL without memory. */
char *buffer_reserve(Buffer *b, size_t n);
/* After bytes were written to what buffer_reserve() returned. */
void buffer_commit(Buffer *b, size_t n);
/* 0, or -ENOMEM: then nothing was appended. */
int buffer_append(Buffer *b, const void *data, size_t n);
/* Drops n bytes from the front (n <= size). Frees the memory when none is left. */
void buffer_consume(Buffer *b, size_t n);
void buffer_done(Buffer *b);
