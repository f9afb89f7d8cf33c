/* SPDX-License-Identifier: MIT */
#include "methods/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define RING_FIRST 4096U

/*
 * A byte lies at its cursor modulo `limit`, from the first byte on: nothing has to be moved when
 * the memory grows, since as long as it does no cursor is past it.
 */

void ring_init(Ring *r, size_t limit)
{
        *r = (Ring){ .limit = limit };
}

void ring_done(Ring *r)
{
        free(r->data);
        *r = (Ring){ 0 };
}

/* Memory for n more bytes, or up to the limit. */
static void ring_grow(Ring *r, size_t n)
{
        size_t size = MAX_OF(r->allocated, (size_t)RING_FIRST);
        char *data;

        if (r->allocated == r->limit)
                return;
        while (size < r->limit && size - r->end < n)
                size *= 2;
        size = MIN_OF(size, r->limit);
        if (size <= r->allocated)
                return;
        data = realloc(r->data, size);
        if (data) {
                r->data = data;
                r->allocated = size;
        } else {
                /* What there is will have to do, from now on. */
                r->limit = r->allocated;
        }
}

void ring_write(Ring *r, const void *data, size_t n)
{
        const char *p = data;

        ring_grow(r, n);
        if (n > r->limit) {
                p += n - r->limit;
                r->end += n - r->limit;
                n = r->limit;
        }
        while (n > 0) {
                size_t at = (size_t)(r->end % r->limit);
                size_t piece = MIN_OF(n, r->limit - at);

                memcpy(r->data + at, p, piece);
                r->end += piece;
                p += piece;
                n -= piece;
        }
}

uint64_t ring_begin(const Ring *r)
{
        return r->end > r->limit ? r->end - r->limit : 0;
}

size_t ring_peek(const Ring *r, uint64_t cursor, const char **ret)
{
        size_t at;

        assert(cursor >= ring_begin(r) && cursor <= r->end);
        if (cursor == r->end)
                return 0;
        at = (size_t)(cursor % r->limit);
        *ret = r->data + at;
        return (size_t)MIN_OF(r->end - cursor, (uint64_t)(r->limit - at));
}
