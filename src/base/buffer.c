/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

char *buffer_reserve(Buffer *b, size_t n)
{
        size_t needed, capacity;
        char *data;

        if (n > SIZE_MAX / 4 - b->size)
                return NULL;

        needed = b->size + n;
        if (b->begin + needed <= b->capacity && b->data)
                return b->data + b->begin + b->size;

        if (needed <= b->capacity && b->begin >= b->capacity / 2 && b->data) {
                /* Half of it is free at the front: moving costs less than growing, and each
                 * byte is moved at most once for each byte consumed. */
                memmove(b->data, b->data + b->begin, b->size);
                b->begin = 0;
                return b->data + b->size;
        }

        capacity = MAX_OF(needed + needed / 2, (size_t)512);
        data = malloc(capacity);
        if (!data)
                return NULL;
        if (b->size > 0)
                memcpy(data, b->data + b->begin, b->size);
        free(b->data);
        b->data = data;
        b->begin = 0;
        b->capacity = capacity;
        return b->data + b->size;
}

void buffer_commit(Buffer *b, size_t n)
{
        assert(b->begin + b->size + n <= b->capacity);
        b->size += n;
}

int buffer_append(Buffer *b, const void *data, size_t n)
{
        char *p;

        if (n == 0)
                return 0;
        p = buffer_reserve(b, n);
        if (!p)
                return -ENOMEM;
        memcpy(p, data, n);
        b->size += n;
        return 0;
}

void buffer_consume(Buffer *b, size_t n)
{
        assert(n <= b->size);
        b->begin += n;
        b->size -= n;
        if (b->size == 0)
                buffer_done(b);
}

void buffer_done(Buffer *b)
{
        free(b->data);
        *b = BUFFER_NULL;
}
