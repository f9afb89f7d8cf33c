/* SPDX-License-Identifier: MIT */
#include "methods/exec-capture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base64.h"
#include "methods/exec-internal.h"

/* The first one comes from the heap: most programs say little. Further ones are the kernel's own
 * pages, which it has back at once. What fits is a multiple of three, as base64 wants its pieces.
 */
#define BLOCK_FIRST ((size_t)1536)
#define BLOCK_PAGES ((size_t)192 * 1024)
#define BLOCK_SIZE ((BLOCK_PAGES - sizeof(CaptureBlock)) / 3 * 3)

struct CaptureBlock {
        CaptureBlock *next;
        size_t size;
        size_t room;
        char data[];
};

static void capture_drop_first(Capture *c)
{
        CaptureBlock *b = c->first;

        c->first = b->next;
        if (!c->first)
                c->last = NULL;
        if (b->room == BLOCK_FIRST)
                free(b);
        else
                (void)munmap(b, BLOCK_PAGES);
}

void capture_done(Capture *c)
{
        while (c->first)
                capture_drop_first(c);
}

/* One with room, or NULL without memory. */
static CaptureBlock *capture_block(Capture *c)
{
        CaptureBlock *b;

        if (c->last && c->last->size < c->last->room)
                return c->last;
        if (!c->first) {
                b = malloc(sizeof(*b) + BLOCK_FIRST);
                if (!b)
                        return NULL;
                *b = (CaptureBlock){ .room = BLOCK_FIRST };
                c->first = c->last = b;
                return b;
        }
        b = mmap(NULL, BLOCK_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (b == MAP_FAILED)
                return NULL;
        b->room = BLOCK_SIZE;
        c->last = c->last->next = b;
        return b;
}

void capture_read(Capture *c, Program *p, ProgramStream stream, size_t limit)
{
        CaptureBlock *b = c->size < limit ? capture_block(c) : NULL;
        size_t n;

        /* Nobody wants it, but the program is not to wait. */
        if (!b) {
                c->total += program_read(p, stream, exec_scratch, EXEC_SCRATCH_SIZE);
                return;
        }
        n = program_read(p, stream, b->data + b->size, MIN_OF(b->room - b->size, limit - c->size));
        octets_check(&c->check, b->data + b->size, n);
        b->size += n;
        c->size += n;
        c->total += n;
}

static bool capture_is_text(const Capture *c)
{
        return !c->check.bad && c->check.n_cut == 0;
}

void capture_finish(Capture *c)
{
        if (c->total == c->size || c->check.bad)
                return;
        c->size -= c->check.n_cut;
        c->check.n_cut = 0;
}

size_t capture_length(const Capture *c, const OctetsKeys *keys)
{
        bool text = capture_is_text(c);
        size_t length = strlen(",\"\":\"\"") + strlen(text ? keys->text : keys->base64);

        if (!text)
                return length + base64_length(c->size);
        for (const CaptureBlock *b = c->first; b; b = b->next)
                length += octets_written_length(true, b->data, b->size);
        return length;
}

int capture_write(Capture *c, const OctetsKeys *keys, Buffer *json)
{
        bool text = capture_is_text(c);
        size_t left = c->size;
        int r;

        r = buffer_append(json, ",", 1);
        if (r >= 0)
                r = octets_write_begin(json, keys, text);
        while (c->first && r >= 0) {
                size_t n = MIN_OF(left, c->first->size);

                r = octets_write_piece(json, text, c->first->data, n);
                left -= n;
                capture_drop_first(c);
        }
        return r < 0 ? r : buffer_append(json, "\"", 1);
}
