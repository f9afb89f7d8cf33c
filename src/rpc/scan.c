/* SPDX-License-Identifier: MIT */
#include "rpc/scan.h"

#include <assert.h>
#include <stdlib.h>

#include "rpc/scan-private.h"

ScanResult scan_finish(Scan *s)
{
        State state = (State)s->state;

        if (!s->begun)
                return SCAN_MORE;
        /* A space would end a number at the top, and nothing else. */
        state = scan_end_number(s, state, ' ', s->offset);
        if (state != STATE_DONE)
                state = STATE_BAD_SYNTAX;
        s->state = (uint8_t)state;
        return (ScanResult)(state - STATE_END);
}

void scan_init(Scan *s, const ScanKeys *keys, const ScanLimits *limits)
{
        *s = (Scan){ .keys = keys, .limits = *limits };
        assert(limits->bytes <= UINT32_MAX);
        assert(limits->values <= UINT32_MAX);
        assert(limits->depth <= SCAN_DEPTH_MAX);
        scan_mark_init(s);
        scan_reset(s);
}

void scan_reset(Scan *s)
{
        if (s->more)
                scan_done(s);
        s->state = STATE_VALUE;
        s->level = s->top = SCAN_LEVEL_ENVELOPE;
        s->begun = false;
        s->in_params = false;
        s->low_surrogate = false;
        s->member = -1;
        s->objects = 0;
        s->offset = 0;
        s->values_left = (uint32_t)s->limits.values;
        s->n_envelopes = 0;
}

void scan_done(Scan *s)
{
        free(s->more);
        s->more = NULL;
        s->n_envelopes = 0;
        s->envelopes_capacity = 0;
}

bool scan_begun(const Scan *s)
{
        return s->begun;
}

size_t scan_length(const Scan *s)
{
        return s->offset;
}

bool scan_is_batch(const Scan *s)
{
        return s->top == SCAN_LEVEL_BATCH;
}

const ScanEnvelope *scan_envelopes(const Scan *s, size_t *ret_n)
{
        *ret_n = s->n_envelopes;
        return s->more ? s->more : &s->first;
}

const char *scan_result_to_text(ScanResult r)
{
        static const char *const texts[] = {
                [SCAN_MORE] = "incomplete",
                [SCAN_DONE] = "complete",
                [SCAN_BAD_SYNTAX] = "not JSON (RFC 8259)",
                [SCAN_BAD_UTF8] = "not UTF-8 (RFC 3629)",
                [SCAN_TOO_LONG] = "longer than max-message allows",
                [SCAN_TOO_MANY_VALUES] = "more values than max-values allows",
                [SCAN_TOO_DEEP] = "nested deeper than 32",
                [SCAN_NO_MEMORY] = "no memory",
        };

        assert((unsigned)r < ELEMENTSOF(texts));
        return texts[r];
}
