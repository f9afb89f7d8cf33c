/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Between scan.c (set-up and results), scan-run.c (the state machine), scan-string.c (the
 * rarer parts of strings) and scan-mark.c (the marks).
 */
#include <endian.h>
#include <string.h>

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

/* Nesting is counted from where the members of envelopes lie, so that the common questions are
 * comparisons with 0. A batch begins one level above its envelopes. */
#define SCAN_LEVEL_ENVELOPE (-1)
#define SCAN_LEVEL_BATCH (-2)

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

/* scan-string.c: from STATE_ESCAPE .. LOW_U. */
Step scan_read_escape(Scan *s, State state, Cursor c);
/* Keeps a part of an envelope's key that is not in one piece, or not as it is written. */
void scan_collect_key(Scan *s, const unsigned char *data, size_t n);

/* scan-run.c: where a number at the top would end if byte followed: STATE_DONE, and its marks are
 * made, or any other state if it does not end or there is none. offset: of byte. */
State scan_end_number(Scan *s, State state, unsigned char byte, uint32_t offset);

/* scan-mark.c: prepares the comparison with s->keys. */
void scan_mark_init(Scan *s);
/* A value above the nesting of members begins with byte. STATE_NO_MEMORY, or next. */
State scan_mark_envelope(Scan *s, uint32_t offset, unsigned char byte, State next);

/* The first n bytes at p as a number, zeros where there are fewer than 8. The bytes up to end
 * can be read. */
static inline uint64_t scan_word(const unsigned char *p, size_t n, const unsigned char *end)
{
        uint64_t word = 0;

        if (end - p >= (ptrdiff_t)sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                word = le64toh(word);
                return n < sizeof(word) ? word & ((UINT64_C(1) << 8 * n) - 1) : word;
        }
        for (size_t i = 0; i < n && i < sizeof(word); i++)
                word |= (uint64_t)p[i] << 8 * i;
        return word;
}

/* A key of n bytes, to be compared with others. Past SCAN_KEY_LENGTH_MAX it equals no name. */
static inline ScanName scan_name(const unsigned char *key, size_t n, const unsigned char *end)
{
        ScanName name = { .words = { scan_word(key, n, end) }, .length = n };

        if (n > sizeof(name.words[0]))
                name.words[1] =
                        scan_word(key + sizeof(name.words[0]), n - sizeof(name.words[0]), end);
        return name;
}

/* Before the first byte of any value. */
static inline State begin_value(Scan *s, const Cursor *c, State next)
{
        if (s->values_left-- == 0)
                return STATE_TOO_MANY_VALUES; /* and no more will be asked for */
        if (s->level > 0)
                return next;
        if (s->level < 0)
                return scan_mark_envelope(s, cursor_offset(c), *c->at, next);
        if (s->member >= 0)
                s->envelope->members[s->member].offset = cursor_offset(c);
        return next;
}

/* After the last byte of any value. */
static inline State end_value(Scan *s, uint32_t offset)
{
        ScanSpan *span;

        if (s->level > 0)
                return STATE_AFTER;
        if (s->level == 0) {
                if (s->member >= 0) {
                        span = &s->envelope->members[s->member];
                        span->length = offset - span->offset;
                        s->member = -1;
                        s->in_params = false;
                }
                return STATE_AFTER;
        }
        if (s->level == SCAN_LEVEL_ENVELOPE) {
                span = &s->envelope->text;
                span->length = offset - span->offset;
        }
        return s->level == s->top ? STATE_DONE : STATE_AFTER;
}
