/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Between scan.c (set-up and results), scan-run.c (the state machine with what is common),
 * scan-string.c and scan-number.c (what is less so) and scan-mark.c (the marks).
 */
#include "rpc/scan.h"

typedef enum State {
        STATE_VALUE,       /* a value must come */
        STATE_FIRST_VALUE, /* the same after '[', or ']' */
        STATE_KEY,         /* a key must come */
        STATE_FIRST_KEY,   /* the same after '{', or '}' */
        STATE_COLON,
        STATE_AFTER, /* a value inside an array or an object has ended */
        STATE_STRING,
        STATE_UTF8,          /* inside a character of a string */
        STATE_ESCAPE,        /* after '\' */
        STATE_HEX,           /* among the digits of \uXXXX */
        STATE_LOW_BACKSLASH, /* after a high surrogate: \uXXXX with a low one must follow */
        STATE_LOW_U,
        STATE_LITERAL,
        /* Numbers, in the order of number_steps[]. */
        STATE_NUMBER, /* before the first byte */
        STATE_MINUS,
        STATE_ZERO,
        STATE_INTEGER,
        STATE_POINT,
        STATE_FRACTION,
        STATE_E,
        STATE_E_SIGN,
        STATE_EXPONENT,
        /* No more input is taken; what lies past it is STATE_END + the ScanResult. */
        STATE_END,
        STATE_DONE = STATE_END + SCAN_DONE,
        STATE_BAD_SYNTAX = STATE_END + SCAN_BAD_SYNTAX,
        STATE_BAD_UTF8 = STATE_END + SCAN_BAD_UTF8,
        STATE_TOO_LONG = STATE_END + SCAN_TOO_LONG,
        STATE_TOO_MANY_VALUES = STATE_END + SCAN_TOO_MANY_VALUES,
        STATE_TOO_DEEP = STATE_END + SCAN_TOO_DEEP,
        STATE_NO_MEMORY = STATE_END + SCAN_NO_MEMORY,
} State;

/* Where in the bytes at hand a reader is. */
typedef struct Cursor Cursor;

struct Cursor {
        const unsigned char *at;
        const unsigned char *end;
        uintptr_t base; /* at minus this is the offset in the text */
};

static inline uint32_t cursor_offset(const Cursor *c)
{
        return (uint32_t)((uintptr_t)c->at - c->base);
}

/* What a reader that is not inlined returns: the cursor's new place is a value, so that the state
 * machine's cursor can stay in registers. */
typedef struct Step Step;

struct Step {
        const unsigned char *at;
        State state;
};

/* scan-string.c: in a string, at a backslash or a byte past ASCII, or in STATE_UTF8 .. LOW_U. */
Step scan_read_special(Scan *s, State state, Cursor c);
/* Keeps a part of an envelope's key that is not in one piece, or not as it is written. */
void scan_collect_key(Scan *s, const unsigned char *data, size_t n);

/* scan-number.c: from STATE_NUMBER .. EXPONENT. */
Step scan_read_number(Scan *s, State state, Cursor c);
/* Where a number at the top would end if byte followed: STATE_DONE, and its marks are made, or
 * any other state if it does not end or there is none. offset: of byte. */
State scan_end_number(Scan *s, State state, unsigned char byte, uint32_t offset);

/* scan-mark.c: prepares the comparison with s->keys. */
void scan_mark_init(Scan *s);
/* A value above the nesting of members begins with byte. STATE_NO_MEMORY, or next. */
State scan_mark_envelope(Scan *s, uint32_t offset, unsigned char byte, State next);
/* An envelope's key is known: the value that follows is s->member if it is one of ours. */
void scan_mark_key(Scan *s, const void *key, size_t n);

/* Before the first byte of any value. */
static inline State begin_value(Scan *s, const Cursor *c, State next)
{
        if (s->values_left == 0)
                return STATE_TOO_MANY_VALUES;
        s->values_left--;
        if (s->depth > s->mark_depth)
                return next;
        if (s->depth < s->mark_depth)
                return scan_mark_envelope(s, cursor_offset(c), *c->at, next);
        if (s->member >= 0)
                s->envelope->members[s->member].offset = cursor_offset(c);
        return next;
}

/* After the last byte of any value. */
static inline State end_value(Scan *s, uint32_t offset)
{
        ScanSpan *span;

        if (s->depth > s->mark_depth)
                return STATE_AFTER;
        if (s->depth == s->mark_depth) {
                if (s->member >= 0) {
                        span = &s->envelope->members[s->member];
                        span->length = offset - span->offset;
                        s->member = -1;
                        s->in_params = false;
                }
                return STATE_AFTER;
        }
        if (s->depth == s->envelope_depth) {
                span = &s->envelope->text;
                span->length = offset - span->offset;
        }
        return s->depth == 0 ? STATE_DONE : STATE_AFTER;
}
