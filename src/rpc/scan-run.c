/* SPDX-License-Identifier: MIT */

/*
 * A state machine over bytes. Each state has one reader, which is called with at least one
 * byte at hand, takes what it can and returns the state that follows; what must outlast a
 * call is in Scan. Each reader has one call site, in run(), so that the compiler makes one
 * function of all that is here, keeps the cursor in registers and jumps from state to state.
 * So nothing that is not inlined may be given the cursor's address.
 */
#include <assert.h>

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
        if (s->level - s->top >= (int)s->limits.depth)
                return STATE_TOO_DEEP;
        next = begin_value(s, c, next);
        if (next >= STATE_END)
                return next;
        s->objects = s->objects << 1 | (next == STATE_FIRST_KEY);
        s->level++;
        c->at++;
        return next;
}

static inline State close_container(Scan *s, Cursor *c)
{
        s->objects >>= 1;
        s->level--;
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

/* An envelope's key is known: the value that follows is s->member if it is one of ours. */
static inline void mark_key(Scan *s, const unsigned char *key, size_t n, const unsigned char *end)
{
        ScanName name = scan_name(key, n, end);

        for (unsigned i = 0; i < s->n_keys; i++) {
                if (s->names[i].words[0] != name.words[0] || s->names[i].length != n ||
                    s->names[i].words[1] != name.words[1])
                        continue;
                if (s->envelope->members[i].length > 0) {
                        s->envelope->flags |= SCAN_DOUBLED_KEY;
                        return;
                }
                s->member = (int8_t)i;
                s->in_params = i == s->keys->params;
                return;
        }
}

/* After the closing quote; part: what of the key has not been collected. */
static inline State end_key(Scan *s, Cursor *c, const unsigned char *part, size_t n)
{
        if (s->level == 0) {
                const unsigned char *end = c->end;

                if (s->key_length > 0) {
                        scan_collect_key(s, part, n);
                        part = s->key;
                        n = s->key_length;
                        end = s->key + sizeof(s->key);
                }
                mark_key(s, part, n, end);
        } else if (s->in_params && s->level == 1)
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
                        return p + (unsigned)__builtin_ctzll(hits) / 8;
        }
        while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
                p++;
        return p;
}

static inline State read_utf8(Scan *s, Cursor *c)
{
        for (; c->at < c->end; c->at++) {
                if (*c->at < s->utf8_low || *c->at > s->utf8_high)
                        return STATE_BAD_UTF8;
                s->utf8_low = 0x80;
                s->utf8_high = 0xbf;
                if (--s->utf8_need == 0) {
                        c->at++;
                        return STATE_STRING;
                }
        }
        return STATE_UTF8;
}

/* The first byte of a character past ASCII: RFC 3629 section 4. The second byte's bounds
 * exclude overlong forms, surrogates and what lies past U+10FFFF. */
static inline State begin_utf8(Scan *s, Cursor *c)
{
        unsigned char lead = *c->at;

        if (lead < 0xc2 || lead > 0xf4)
                return STATE_BAD_UTF8;
        s->utf8_need = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        s->utf8_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        s->utf8_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        s->key_length = SCAN_KEY_LENGTH_MAX + 1; /* names are ASCII */
        c->at++;
        return read_utf8(s, c);
}

static inline State read_string(Scan *s, Cursor *c)
{
        const unsigned char *part = c->at;
        State state;
        size_t n;

        c->at = skip_plain(part, c->end);
        n = (size_t)(c->at - part);
        if (c->at < c->end && *c->at == '"') {
                c->at++;
                return s->in_key ? end_key(s, c, part, n) : end_value(s, cursor_offset(c));
        }

        if (s->in_key && s->level == 0)
                scan_collect_key(s, part, n);
        if (c->at == c->end)
                return STATE_STRING;
        if (*c->at == '\\') {
                c->at++;
                return STATE_ESCAPE;
        }
        if (*c->at < ' ')
                return STATE_BAD_SYNTAX;
        do
                state = begin_utf8(s, c);
        while (state == STATE_STRING && c->at < c->end && *c->at >= 0x80);
        return state;
}

/* Numbers */

typedef enum NumberByte {
        NUMBER_OTHER, /* not part of any number */
        NUMBER_ZERO,
        NUMBER_DIGIT,
        NUMBER_POINT,
        NUMBER_E,
        NUMBER_MINUS,
        NUMBER_PLUS,
        NUMBER_BYTE_MAX,
} NumberByte;

static const uint8_t number_bytes[256] = {
        ['0'] = NUMBER_ZERO, ['1' ... '9'] = NUMBER_DIGIT, ['.'] = NUMBER_POINT, ['e'] = NUMBER_E,
        ['E'] = NUMBER_E,    ['-'] = NUMBER_MINUS,         ['+'] = NUMBER_PLUS,
};

/* DONE: the number has ended before this byte. No entry (0): it is none. */
#define NUMBER_STEP(state) [(state)-STATE_NUMBER]
#define NUMBER_DIGITS(state) [NUMBER_ZERO] = (state), [NUMBER_DIGIT] = (state)

static const uint8_t number_steps[][NUMBER_BYTE_MAX] = {
        NUMBER_STEP(STATE_NUMBER) = { [NUMBER_ZERO] = STATE_ZERO,
                                      [NUMBER_DIGIT] = STATE_INTEGER,
                                      [NUMBER_MINUS] = STATE_MINUS },
        NUMBER_STEP(STATE_MINUS) = { [NUMBER_ZERO] = STATE_ZERO, [NUMBER_DIGIT] = STATE_INTEGER },
        NUMBER_STEP(STATE_ZERO) = { [NUMBER_OTHER] = STATE_DONE,
                                    [NUMBER_POINT] = STATE_POINT,
                                    [NUMBER_E] = STATE_E },
        NUMBER_STEP(STATE_INTEGER) = { [NUMBER_OTHER] = STATE_DONE,
                                       NUMBER_DIGITS(STATE_INTEGER),
                                       [NUMBER_POINT] = STATE_POINT,
                                       [NUMBER_E] = STATE_E },
        NUMBER_STEP(STATE_POINT) = { NUMBER_DIGITS(STATE_FRACTION) },
        NUMBER_STEP(STATE_FRACTION) = { [NUMBER_OTHER] = STATE_DONE,
                                        NUMBER_DIGITS(STATE_FRACTION),
                                        [NUMBER_E] = STATE_E },
        NUMBER_STEP(STATE_E) = { NUMBER_DIGITS(STATE_EXPONENT), [NUMBER_MINUS] = STATE_E_SIGN,
                                 [NUMBER_PLUS] = STATE_E_SIGN },
        NUMBER_STEP(STATE_E_SIGN) = { NUMBER_DIGITS(STATE_EXPONENT) },
        NUMBER_STEP(STATE_EXPONENT) = { [NUMBER_OTHER] = STATE_DONE,
                                        NUMBER_DIGITS(STATE_EXPONENT) },
};

static inline unsigned number_step(State state, unsigned char byte)
{
        return number_steps[state - STATE_NUMBER][number_bytes[byte]];
}

/* Whether a number read as a whole is too short to be out of range. */
static inline bool is_small_number(State begin, State last, size_t length)
{
        return begin == STATE_NUMBER && ((last <= STATE_INTEGER && length <= 18) ||
                                         (last == STATE_FRACTION && length <= 300));
}

/* A part of a number inside params. */
static void judge_number(Scan *s, State begin, const unsigned char *part, size_t n, bool whole)
{
        if (begin == STATE_NUMBER)
                scan_number_begin(&s->number);
        scan_number_feed(&s->number, part, n);
        if (whole && !scan_number_fits(&s->number))
                s->envelope->flags |= SCAN_NUMBER_TOO_LARGE;
}

static inline State read_number(Scan *s, Cursor *c, State begin)
{
        const unsigned char *part = c->at;
        unsigned next = STATE_NUMBER;
        State state = begin;
        size_t n;

        for (; c->at < c->end; c->at++) {
                next = number_step(state, *c->at);
                if (next == 0)
                        return STATE_BAD_SYNTAX;
                if (next == STATE_DONE)
                        break;
                state = (State)next;
        }
        n = (size_t)(c->at - part);
        if (s->in_params && !(next == STATE_DONE && is_small_number(begin, state, n)))
                judge_number(s, begin, part, n, next == STATE_DONE);
        return next == STATE_DONE ? end_value(s, cursor_offset(c)) : state;
}

State scan_end_number(Scan *s, State state, unsigned char byte, uint32_t offset)
{
        if (s->level != s->top || state < STATE_NUMBER || state > STATE_EXPONENT ||
            number_step(state, byte) != STATE_DONE)
                return state;
        return end_value(s, offset);
}

/* The whole */

static inline State read_escape(Scan *s, Cursor *c, State state)
{
        Step step = scan_read_escape(s, state, *c);

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
                case STATE_UTF8:
                        state = read_utf8(s, c);
                        break;
                case STATE_ESCAPE ... STATE_LOW_U:
                        state = read_escape(s, c, state);
                        break;
                default:
                        state = read_number(s, c, state);
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
