/* SPDX-License-Identifier: MIT */

/*
 * A state machine over bytes. Each state has one reader, which is called with at least one
 * byte at hand, takes what it can and returns the state that follows; what must outlast a
 * call is in Scan. Each reader has one call site, in run(), so that the compiler makes one
 * function of all that is here, keeps the cursor in registers and jumps from state to state.
 * So nothing that is not inlined may be given the cursor's address.
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "rpc/scan-private.h"

static inline bool is_space(unsigned char b)
{
        return b == ' ' || b == '\n' || b == '\r' || b == '\t';
}

/* Where anything but space would be wrong. */
static inline State skip_space(Cursor *c, State state)
{
        if (!is_space(*c->at))
                return STATE_BAD_SYNTAX;
        do
                c->at++;
        while (c->at < c->end && is_space(*c->at));
        return state;
}

/* Structure */

static inline State open_container(Scan *s, Cursor *c, State next)
{
        if (s->depth >= s->limits.depth)
                return STATE_TOO_DEEP;
        next = begin_value(s, c, next);
        if (next >= STATE_END)
                return next;
        s->objects = s->objects << 1 | (next == STATE_FIRST_KEY);
        s->depth++;
        c->at++;
        return next;
}

static inline State close_container(Scan *s, Cursor *c)
{
        s->objects >>= 1;
        s->depth--;
        c->at++;
        return end_value(s, cursor_offset(c));
}

static const char *const literals[] = { "true", "false", "null" };

static inline State begin_literal(Scan *s, Cursor *c, uint8_t which)
{
        s->literal = which;
        s->position = 0;
        return begin_value(s, c, STATE_LITERAL);
}

static inline State begin_string(Scan *s, Cursor *c)
{
        State next = begin_value(s, c, STATE_STRING);

        s->in_key = false;
        c->at += next < STATE_END;
        return next;
}

static inline State read_value(Scan *s, Cursor *c, State state)
{
        if (*c->at == '"')
                return begin_string(s, c);
        switch (*c->at) {
        case '{':
                return open_container(s, c, STATE_FIRST_KEY);
        case '[':
                return open_container(s, c, STATE_FIRST_VALUE);
        case ']':
                return state == STATE_FIRST_VALUE ? close_container(s, c) : STATE_BAD_SYNTAX;
        case '-':
        case '0' ... '9':
                return begin_value(s, c, STATE_NUMBER);
        case 't':
                return begin_literal(s, c, 0);
        case 'f':
                return begin_literal(s, c, 1);
        case 'n':
                return begin_literal(s, c, 2);
        default:
                return skip_space(c, state);
        }
}

static inline State begin_key(Scan *s, Cursor *c)
{
        c->at++;
        s->in_key = true;
        s->key_length = 0;
        return STATE_STRING;
}

static inline State read_key(Scan *s, Cursor *c, State state)
{
        if (*c->at == '"')
                return begin_key(s, c);
        if (*c->at == '}' && state == STATE_FIRST_KEY)
                return close_container(s, c);
        return skip_space(c, state);
}

static inline State read_colon(Cursor *c)
{
        if (*c->at != ':')
                return skip_space(c, STATE_COLON);
        c->at++;
        return STATE_VALUE;
}

static inline State read_after(Scan *s, Cursor *c)
{
        bool object = s->objects & 1;

        if (*c->at == ',') {
                c->at++;
                if (!object)
                        return STATE_VALUE;
                return c->at < c->end && *c->at == '"' ? begin_key(s, c) : STATE_KEY;
        }
        if (*c->at == (object ? '}' : ']'))
                return close_container(s, c);
        return skip_space(c, STATE_AFTER);
}

static inline State read_literal(Scan *s, Cursor *c)
{
        const char *text = literals[s->literal];

        for (; c->at < c->end; c->at++) {
                if (*c->at != (unsigned char)text[s->position])
                        return STATE_BAD_SYNTAX;
                if (text[++s->position] == '\0') {
                        c->at++;
                        return end_value(s, cursor_offset(c));
                }
        }
        return STATE_LITERAL;
}

/* Strings */

/* After the closing quote; part: what of the key has not been collected. */
static inline State end_key(Scan *s, Cursor *c, const unsigned char *part, size_t n)
{
        if (s->depth == s->mark_depth) {
                if (s->key_length == 0)
                        scan_mark_key(s, part, n);
                else {
                        scan_collect_key(s, part, n);
                        scan_mark_key(s, s->key, s->key_length);
                }
        } else if (s->in_params && s->depth == s->mark_depth + 1U)
                s->envelope->params_members++;

        if (c->at == c->end || *c->at != ':')
                return STATE_COLON;
        c->at++;
        return STATE_VALUE;
}

/*
 * Where the run of plain characters ends: at a quote, a backslash, a control character or what
 * is not ASCII. Eight at a time: in each expression a byte's top bit is set if it is such a
 * byte. A borrow can only come out of one that is, so the lowest bit set is exact.
 */
static inline const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
        const uint64_t ones = UINT64_C(0x0101010101010101);
        uint64_t word, hits;

        for (; end - p >= 8; p += 8) {
                memcpy(&word, p, sizeof(word));
                word = le64toh(word);
                hits = word | (word - ones * ' ') | ((word ^ ones * '"') - ones) |
                       ((word ^ ones * '\\') - ones);
                hits &= ones << 7;
                if (hits)
                        return p + __builtin_ctzll(hits) / 8;
        }
        while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
                p++;
        return p;
}

static inline State read_string(Scan *s, Cursor *c)
{
        const unsigned char *part = c->at;
        Step step;
        size_t n;

        c->at = skip_plain(part, c->end);
        n = (size_t)(c->at - part);
        if (c->at < c->end && *c->at == '"') {
                c->at++;
                return s->in_key ? end_key(s, c, part, n) : end_value(s, cursor_offset(c));
        }

        if (s->in_key && s->depth == s->mark_depth)
                scan_collect_key(s, part, n);
        if (c->at == c->end)
                return STATE_STRING;
        if (*c->at < ' ')
                return STATE_BAD_SYNTAX;
        step = scan_read_special(s, STATE_STRING, *c);
        c->at = step.at;
        return step.state;
}

/* The whole */

static inline State read_other(Scan *s, Cursor *c, State state)
{
        Step step = state < STATE_NUMBER ? scan_read_special(s, state, *c)
                                         : scan_read_number(s, state, *c);

        c->at = step.at;
        return step.state;
}

static inline State run(Scan *s, Cursor *c, State state)
{
        while (c->at < c->end && state < STATE_END) {
                switch (state) {
                case STATE_VALUE:
                case STATE_FIRST_VALUE:
                        state = read_value(s, c, state);
                        break;
                case STATE_KEY:
                case STATE_FIRST_KEY:
                        state = read_key(s, c, state);
                        break;
                case STATE_COLON:
                        state = read_colon(c);
                        break;
                case STATE_AFTER:
                        state = read_after(s, c);
                        break;
                case STATE_STRING:
                        state = read_string(s, c);
                        break;
                case STATE_LITERAL:
                        state = read_literal(s, c);
                        break;
                default:
                        state = read_other(s, c, state);
                }
        }
        return state;
}

ScanResult scan_feed(Scan *s, const char *data, size_t n, size_t *ret_used)
{
        const unsigned char *begin = (const unsigned char *)data, *end = n > 0 ? begin + n : begin;
        Cursor c = { .at = begin, .end = end };
        State state = (State)s->state;

        assert(state < STATE_END);

        if (!s->begun) {
                while (c.at < end && is_space(*c.at))
                        c.at++;
                s->begun = c.at < end;
        }

        /* No byte past the limit is looked at, but for the one that shows where a number at the
         * top has ended, which is then not too long. */
        c.base = (uintptr_t)c.at - s->offset;
        if ((size_t)(end - c.at) > s->limits.bytes - s->offset)
                c.end = c.at + (s->limits.bytes - s->offset);
        state = run(s, &c, state);
        if (state < STATE_END && c.at < end) {
                state = scan_end_number(s, state, *c.at, cursor_offset(&c));
                if (state != STATE_DONE)
                        state = STATE_TOO_LONG;
        }

        s->state = (uint8_t)state;
        s->offset = cursor_offset(&c);
        *ret_used = (size_t)(c.at - begin);
        return state < STATE_END ? SCAN_MORE : (ScanResult)(state - STATE_END);
}
