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

        if (s->depth == 0 && byte == '[') {
                s->is_batch = true;
                s->envelope_depth = 1;
                s->mark_depth = 2;
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

/* The first bytes of a key, zeros where it has fewer. */
static uint64_t key_word(const void *key, size_t n)
{
        uint64_t word = 0;

        memcpy(&word, key, MIN_OF(n, sizeof(word)));
        return word;
}

void scan_mark_init(Scan *s)
{
        while (s->n_keys < SCAN_KEYS_MAX && s->keys->names[s->n_keys]) {
                const char *name = s->keys->names[s->n_keys];
                size_t length = strlen(name);

                assert(length > 0 && length <= SCAN_KEY_LENGTH_MAX);
                s->key_words[s->n_keys] = key_word(name, length);
                s->key_lengths[s->n_keys] = (uint8_t)length;
                s->n_keys++;
        }
}

static void mark_member(Scan *s, unsigned i)
{
        if (s->envelope->members[i].length > 0) {
                s->envelope->flags |= SCAN_DOUBLED_KEY;
                return;
        }
        s->member = (int8_t)i;
        s->in_params = i == s->keys->params;
}

void scan_mark_key(Scan *s, const void *key, size_t n)
{
        uint64_t word = key_word(key, n);

        for (unsigned i = 0; i < s->n_keys; i++)
                if (s->key_words[i] == word && s->key_lengths[i] == n &&
                    (n <= sizeof(word) || memcmp(key, s->keys->names[i], n) == 0)) {
                        mark_member(s, i);
                        return;
                }
}
