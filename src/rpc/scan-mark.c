/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/scan-private.h"

/* A batch's next envelope. Geometric growth; how many there can be is bounded by limits.values,
 * since each is a value. */
static ScanEnvelope *add_envelope(Scan *s)
{
        size_t capacity;
        ScanEnvelope *more;

        if (s->n_envelopes == 0)
                return &s->first;
        if (s->n_envelopes >= s->envelopes_capacity) {
                capacity = MAX_OF(s->envelopes_capacity * 2, (size_t)8);
                more = reallocarray(s->more, capacity, sizeof(ScanEnvelope));
                if (!more)
                        return NULL;
                if (!s->more)
                        more[0] = s->first;
                s->more = more;
                s->envelopes_capacity = capacity;
        }
        return &s->more[s->n_envelopes];
}

State scan_mark_envelope(Scan *s, uint32_t offset, unsigned char byte, State next)
{
        ScanEnvelope *e;

        if (s->level == s->top && byte == '[') {
                s->level = s->top = SCAN_LEVEL_BATCH;
                return next;
        }
        e = add_envelope(s);
        if (!e)
                return STATE_NO_MEMORY;
        *e = (ScanEnvelope){ .text.offset = offset, .flags = byte == '{' ? SCAN_IS_OBJECT : 0 };
        s->envelope = e;
        s->n_envelopes++;
        return next;
}

void scan_mark_init(Scan *s)
{
        while (s->n_keys < SCAN_KEYS_MAX && s->keys->names[s->n_keys]) {
                const char *name = s->keys->names[s->n_keys];
                size_t n = strlen(name);

                assert(n > 0 && n <= SCAN_KEY_LENGTH_MAX);
                s->names[s->n_keys++] =
                        scan_name((const unsigned char *)name, n, (const unsigned char *)name + n);
        }
}
