/* SPDX-License-Identifier: MIT */
#include "rpc/scan.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/*
 * A state machine over bytes. Each state has one reader below, which is called with at least
 * one byte at hand, takes what it can and returns the state that follows; what must outlast a
 * call of scan_feed() is in Scan. Every reader has one call site, in scan_run(), so that the
 * compiler makes one function of them all and jumps from state to state.
 */
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
        /* Inside a number; the order is that of number_steps[]. */
        STATE_MINUS,
        STATE_ZERO,
        STATE_INTEGER,
        STATE_POINT,
        STATE_FRACTION,
        STATE_E,
        STATE_E_SIGN,
        STATE_EXPONENT,
        /* No more input is taken. */
        STATE_DONE,
        STATE_FAILED,
} State;

/* What scan_feed() was given of the text. */
typedef struct Cursor Cursor;

struct Cursor {
        const unsigned char *begin; /* the text goes on here, at s->offset */
        const unsigned char *at;
        const unsigned char *end;
        ScanResult result; /* in STATE_FAILED: why */
};

static State fail(Cursor *c, ScanResult result)
{
        c->result = result;
        return STATE_FAILED;
}

static uint32_t cursor_offset(const Scan *s, const Cursor *c)
{
        return s->offset + (uint32_t)(c->at - c->begin);
}

static void skip_space(Cursor *c)
{
        while (c->at < c->end &&
               (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
                c->at++;
}

/* Envelopes and their members */

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

/* A value begins at nesting where one is marked. false: no memory. */
static bool begin_marked(Scan *s, const Cursor *c)
{
        ScanEnvelope *e;

        if (s->depth > s->envelope_depth) {
                if (s->member >= 0) {
                        s->envelope->members[s->member].offset = cursor_offset(s, c);
                        s->in_params = (unsigned)s->member == s->keys->params;
                }
                return true;
        }
        if (s->depth == 0 && *c->at == '[') {
                s->is_batch = true;
                s->envelope_depth = 1;
                return true;
        }
        e = add_envelope(s);
        if (!e)
                return false;
        *e = (ScanEnvelope){
                .text.offset = cursor_offset(s, c),
                .flags = *c->at == '{' ? SCAN_IS_OBJECT : 0,
        };
        s->envelope = e;
        s->n_envelopes++;
        return true;
}

/* Before the first byte of any value. */
static inline State begin_value(Scan *s, Cursor *c, State next)
{
        if (s->values >= s->limits.values)
                return fail(c, SCAN_TOO_MANY_VALUES);
        s->values++;
        if (s->depth <= s->envelope_depth + 1U && !begin_marked(s, c))
                return fail(c, SCAN_NO_MEMORY);
        return next;
}

/* After the last byte of any value. */
static inline State end_value(Scan *s, const Cursor *c)
{
        ScanSpan *span;

        if (s->depth > s->envelope_depth + 1U)
                return STATE_AFTER;
        if (s->depth > s->envelope_depth) {
                if (s->member >= 0) {
                        span = &s->envelope->members[s->member];
                        span->length = cursor_offset(s, c) - span->offset;
                        s->member = -1;
                        s->in_params = false;
                }
                return STATE_AFTER;
        }
        if (s->depth == s->envelope_depth) {
                span = &s->envelope->text;
                span->length = cursor_offset(s, c) - span->offset;
        }
        return s->depth == 0 ? STATE_DONE : STATE_AFTER;
}

static inline State open_container(Scan *s, Cursor *c, State next)
{
        if (s->depth >= s->limits.depth)
                return fail(c, SCAN_TOO_DEEP);
        next = begin_value(s, c, next);
        if (next == STATE_FAILED)
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
        return end_value(s, c);
}

/* Structure */

static const char *const literals[] = { "true", "false", "null" };

static inline State begin_literal(Scan *s, Cursor *c, uint8_t which)
{
        s->literal = which;
        s->position = 0;
        return begin_value(s, c, STATE_LITERAL);
}

static inline State begin_number(Scan *s, Cursor *c, State next)
{
        next = begin_value(s, c, next);
        if (s->in_params && next != STATE_FAILED) {
                scan_number_begin(&s->number);
                scan_number_feed(&s->number, c->at, 1);
        }
        c->at += next != STATE_FAILED;
        return next;
}

static inline State read_value(Scan *s, Cursor *c, State state)
{
        State next;

        switch (*c->at) {
        case '"':
                next = begin_value(s, c, STATE_STRING);
                s->in_key = false;
                c->at += next != STATE_FAILED;
                return next;
        case '{':
                return open_container(s, c, STATE_FIRST_KEY);
        case '[':
                return open_container(s, c, STATE_FIRST_VALUE);
        case ']':
                if (state != STATE_FIRST_VALUE)
                        return fail(c, SCAN_BAD_SYNTAX);
                return close_container(s, c);
        case '-':
                return begin_number(s, c, STATE_MINUS);
        case '0':
                return begin_number(s, c, STATE_ZERO);
        case '1' ... '9':
                return begin_number(s, c, STATE_INTEGER);
        case 't':
                return begin_literal(s, c, 0);
        case 'f':
                return begin_literal(s, c, 1);
        case 'n':
                return begin_literal(s, c, 2);
        case ' ':
        case '\n':
        case '\r':
        case '\t':
                skip_space(c);
                return state;
        default:
                return fail(c, SCAN_BAD_SYNTAX);
        }
}

static inline State read_key(Scan *s, Cursor *c, State state)
{
        switch (*c->at) {
        case '"':
                c->at++;
                s->in_key = true;
                s->key_marked = s->depth == s->envelope_depth + 1U;
                s->key_length = 0;
                return STATE_STRING;
        case '}':
                if (state != STATE_FIRST_KEY)
                        return fail(c, SCAN_BAD_SYNTAX);
                return close_container(s, c);
        case ' ':
        case '\n':
        case '\r':
        case '\t':
                skip_space(c);
                return state;
        default:
                return fail(c, SCAN_BAD_SYNTAX);
        }
}

static inline State read_colon(Cursor *c)
{
        if (*c->at == ':') {
                c->at++;
                return STATE_VALUE;
        }
        skip_space(c);
        return c->at == c->end || *c->at == ':' ? STATE_COLON : fail(c, SCAN_BAD_SYNTAX);
}

static inline State read_after(Scan *s, Cursor *c)
{
        bool object = s->objects & 1;

        switch (*c->at) {
        case ',':
                c->at++;
                return object ? STATE_KEY : STATE_VALUE;
        case '}':
                return object ? close_container(s, c) : fail(c, SCAN_BAD_SYNTAX);
        case ']':
                return object ? fail(c, SCAN_BAD_SYNTAX) : close_container(s, c);
        case ' ':
        case '\n':
        case '\r':
        case '\t':
                skip_space(c);
                return STATE_AFTER;
        default:
                return fail(c, SCAN_BAD_SYNTAX);
        }
}

static inline State read_literal(Scan *s, Cursor *c)
{
        const char *text = literals[s->literal];

        for (; c->at < c->end; c->at++) {
                if (*c->at != (unsigned char)text[s->position])
                        return fail(c, SCAN_BAD_SYNTAX);
                if (text[++s->position] == '\0') {
                        c->at++;
                        return end_value(s, c);
                }
        }
        return STATE_LITERAL;
}

/* Strings */

/* The key is known: is it one of the envelope's? */
static void match_key(Scan *s, const unsigned char *key, size_t n)
{
        for (unsigned i = 0; i < s->n_keys; i++) {
                if (s->key_lengths[i] != n || memcmp(key, s->keys->names[i], n) != 0)
                        continue;
                if (s->envelope->members[i].length > 0)
                        s->envelope->flags |= SCAN_DOUBLED_KEY;
                else
                        s->member = (int8_t)i;
                return;
        }
}

/* Keeps a part of a marked key that is not in one piece, or not as it is written. */
static void collect_key(Scan *s, const unsigned char *data, size_t n)
{
        if (n == 0)
                return;
        if (s->key_length + n > SCAN_KEY_LENGTH_MAX) {
                s->key_length = SCAN_KEY_LENGTH_MAX + 1; /* no name is that long */
                return;
        }
        memcpy(s->key + s->key_length, data, n);
        s->key_length = (uint8_t)(s->key_length + n);
}

/* At the closing quote; part: what of the key has not been collected. */
static inline State end_key(Scan *s, const unsigned char *part, size_t n)
{
        if (s->key_marked) {
                if (s->key_length == 0)
                        match_key(s, part, n);
                else {
                        collect_key(s, part, n);
                        match_key(s, (const unsigned char *)s->key, s->key_length);
                }
        } else if (s->in_params && s->depth == s->envelope_depth + 2U)
                s->envelope->params_members++;
        return STATE_COLON;
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

/* The first byte of a character past ASCII: RFC 3629 section 4. The second byte's bounds
 * exclude overlong forms, surrogates and what lies past U+10FFFF. */
static inline State begin_utf8(Scan *s, Cursor *c)
{
        unsigned char lead = *c->at;

        if (lead < 0xc2 || lead > 0xf4)
                return fail(c, SCAN_BAD_UTF8);
        s->utf8_need = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        s->utf8_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        s->utf8_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        c->at++;
        return STATE_UTF8;
}

static inline State read_utf8(Scan *s, Cursor *c)
{
        for (; c->at < c->end; c->at++) {
                if (*c->at < s->utf8_low || *c->at > s->utf8_high)
                        return fail(c, SCAN_BAD_UTF8);
                s->utf8_low = 0x80;
                s->utf8_high = 0xbf;
                if (--s->utf8_need == 0) {
                        c->at++;
                        return STATE_STRING;
                }
        }
        return STATE_UTF8;
}

static inline State read_string(Scan *s, Cursor *c)
{
        const unsigned char *part = c->at;
        size_t n;

        c->at = skip_plain(part, c->end);
        n = (size_t)(c->at - part);
        if (c->at < c->end && *c->at == '"') {
                c->at++;
                return s->in_key ? end_key(s, part, n) : end_value(s, c);
        }

        if (s->in_key && s->key_marked)
                collect_key(s, part, n);
        if (c->at == c->end)
                return STATE_STRING;
        if (*c->at == '\\') {
                c->at++;
                return STATE_ESCAPE;
        }
        if (*c->at < ' ')
                return fail(c, SCAN_BAD_SYNTAX);
        s->key_length = SCAN_KEY_LENGTH_MAX + 1; /* names are ASCII */
        return begin_utf8(s, c);
}

/* A character that was written as an escape. */
static void end_escape(Scan *s, unsigned code)
{
        unsigned char byte = (unsigned char)code;

        if (!s->in_key)
                return;
        if (code == 0)
                s->envelope->flags |= SCAN_NUL_IN_KEY;
        if (s->key_marked)
                collect_key(s, &byte, code < 0x80 ? 1 : SCAN_KEY_LENGTH_MAX + 1);
}

static inline State read_escape(Scan *s, Cursor *c)
{
        static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
        const char *name;

        if (*c->at == 'u') {
                c->at++;
                s->position = 0;
                s->escape = 0;
                return STATE_HEX;
        }
        name = *c->at != '\0' ? strchr(names, *c->at) : NULL;
        if (!name)
                return fail(c, SCAN_BAD_SYNTAX);
        c->at++;
        end_escape(s, (unsigned)codes[name - names]);
        return STATE_STRING;
}

static int hex_value(unsigned char b)
{
        if (b >= '0' && b <= '9')
                return b - '0';
        b |= 0x20;
        return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

/* One of the four digits. A high surrogate and a low one, in this order, are one character;
 * either alone is none. */
static inline State read_hex(Scan *s, Cursor *c)
{
        int digit = hex_value(*c->at);
        unsigned code;
        bool low, wanted;

        if (digit < 0)
                return fail(c, SCAN_BAD_SYNTAX);
        code = (unsigned)s->escape << 4 | (unsigned)digit;
        if (s->position < 3) {
                s->position++;
                s->escape = (uint16_t)code;
                c->at++;
                return STATE_HEX;
        }

        low = code >= 0xdc00 && code <= 0xdfff;
        wanted = s->low_surrogate;
        if (low != wanted)
                return fail(c, SCAN_BAD_SYNTAX);
        c->at++;
        s->low_surrogate = code >= 0xd800 && code <= 0xdbff;
        if (s->low_surrogate)
                return STATE_LOW_BACKSLASH;
        end_escape(s, code);
        return STATE_STRING;
}

static inline State read_low_surrogate(Scan *s, Cursor *c, State state)
{
        if (*c->at != (state == STATE_LOW_BACKSLASH ? '\\' : 'u'))
                return fail(c, SCAN_BAD_SYNTAX);
        c->at++;
        s->position = 0;
        s->escape = 0;
        return state == STATE_LOW_BACKSLASH ? STATE_LOW_U : STATE_HEX;
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

/* From STATE_MINUS on; DONE: the number has ended before this byte. 0 stands for FAILED. */
static const uint8_t number_steps[][NUMBER_BYTE_MAX] = {
        [STATE_MINUS -
         STATE_MINUS] = { [NUMBER_ZERO] = STATE_ZERO, [NUMBER_DIGIT] = STATE_INTEGER },
        [STATE_ZERO - STATE_MINUS] = { [NUMBER_OTHER] = STATE_DONE,
                                       [NUMBER_POINT] = STATE_POINT,
                                       [NUMBER_E] = STATE_E },
        [STATE_INTEGER - STATE_MINUS] = { [NUMBER_OTHER] = STATE_DONE,
                                          [NUMBER_ZERO] = STATE_INTEGER,
                                          [NUMBER_DIGIT] = STATE_INTEGER,
                                          [NUMBER_POINT] = STATE_POINT,
                                          [NUMBER_E] = STATE_E },
        [STATE_POINT -
                STATE_MINUS] = { [NUMBER_ZERO] = STATE_FRACTION, [NUMBER_DIGIT] = STATE_FRACTION },
        [STATE_FRACTION - STATE_MINUS] = { [NUMBER_OTHER] = STATE_DONE,
                                           [NUMBER_ZERO] = STATE_FRACTION,
                                           [NUMBER_DIGIT] = STATE_FRACTION,
                                           [NUMBER_E] = STATE_E },
        [STATE_E - STATE_MINUS] = { [NUMBER_ZERO] = STATE_EXPONENT,
                                    [NUMBER_DIGIT] = STATE_EXPONENT,
                                    [NUMBER_MINUS] = STATE_E_SIGN,
                                    [NUMBER_PLUS] = STATE_E_SIGN },
        [STATE_E_SIGN -
                STATE_MINUS] = { [NUMBER_ZERO] = STATE_EXPONENT, [NUMBER_DIGIT] = STATE_EXPONENT },
        [STATE_EXPONENT - STATE_MINUS] = { [NUMBER_OTHER] = STATE_DONE,
                                           [NUMBER_ZERO] = STATE_EXPONENT,
                                           [NUMBER_DIGIT] = STATE_EXPONENT },
};

static inline State number_step(State state, unsigned char byte)
{
        return number_steps[state - STATE_MINUS][number_bytes[byte]];
}

static State end_number(Scan *s, const Cursor *c)
{
        if (s->in_params && !scan_number_fits(&s->number))
                s->envelope->flags |= SCAN_NUMBER_TOO_LARGE;
        return end_value(s, c);
}

static inline State read_number(Scan *s, Cursor *c, State state)
{
        const unsigned char *part = c->at;
        State next = state;

        while (c->at < c->end) {
                next = number_step(state, *c->at);
                if (next == 0 || next == STATE_DONE)
                        break;
                state = next;
                c->at++;
        }
        if (s->in_params)
                scan_number_feed(&s->number, part, (size_t)(c->at - part));
        if (next == 0)
                return fail(c, SCAN_BAD_SYNTAX);
        return next == STATE_DONE ? end_number(s, c) : state;
}

/* The whole */

static State scan_run(Scan *s, Cursor *c, State state)
{
        while (c->at < c->end) {
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
                case STATE_UTF8:
                        state = read_utf8(s, c);
                        break;
                case STATE_ESCAPE:
                        state = read_escape(s, c);
                        break;
                case STATE_HEX:
                        state = read_hex(s, c);
                        break;
                case STATE_LOW_BACKSLASH:
                case STATE_LOW_U:
                        state = read_low_surrogate(s, c, state);
                        break;
                case STATE_LITERAL:
                        state = read_literal(s, c);
                        break;
                case STATE_MINUS ... STATE_EXPONENT:
                        state = read_number(s, c, state);
                        break;
                case STATE_DONE:
                case STATE_FAILED:
                        return state;
                }
        }
        return state;
}

/* The limit is reached and there is a byte more. It may be the one that shows the end of a
 * number at the top, which is then not too long. */
static State at_limit(Scan *s, Cursor *c, State state)
{
        if (s->depth == 0 && state >= STATE_MINUS && state <= STATE_EXPONENT &&
            number_step(state, *c->at) == STATE_DONE)
                return end_number(s, c);
        return fail(c, SCAN_TOO_LONG);
}

ScanResult scan_feed(Scan *s, const char *data, size_t n, size_t *ret_used)
{
        const unsigned char *bytes = (const unsigned char *)data, *end;
        State state = (State)s->state;
        Cursor c;

        assert(state < STATE_DONE);

        end = n > 0 ? bytes + n : bytes;
        c = (Cursor){ .begin = bytes, .at = bytes, .end = end };
        if (!s->begun) {
                skip_space(&c);
                c.begin = c.at;
                s->begun = c.at < end;
        }
        if ((size_t)(end - c.begin) > s->limits.bytes - s->offset)
                c.end = c.begin + (s->limits.bytes - s->offset);

        state = scan_run(s, &c, state);
        if (state < STATE_DONE && c.at < end)
                state = at_limit(s, &c, state);

        s->state = (uint8_t)state;
        s->offset = cursor_offset(s, &c);
        *ret_used = (size_t)(c.at - bytes);
        if (state < STATE_DONE)
                return SCAN_MORE;
        return state == STATE_DONE ? SCAN_DONE : c.result;
}

ScanResult scan_finish(Scan *s)
{
        State state = (State)s->state;

        if (!s->begun)
                return SCAN_MORE;
        /* What a space would do, which ends a number and no other text. */
        if (s->depth == 0 && state >= STATE_MINUS && state <= STATE_EXPONENT &&
            number_step(state, ' ') == STATE_DONE)
                state = end_number(s, &(Cursor){ 0 });
        if (state != STATE_DONE)
                state = STATE_FAILED;
        s->state = (uint8_t)state;
        return state == STATE_DONE ? SCAN_DONE : SCAN_BAD_SYNTAX;
}

void scan_init(Scan *s, const ScanKeys *keys, const ScanLimits *limits)
{
        *s = (Scan){ .keys = keys, .limits = *limits };
        assert(limits->bytes <= UINT32_MAX);
        assert(limits->depth <= SCAN_DEPTH_MAX);
        while (s->n_keys < SCAN_KEYS_MAX && keys->names[s->n_keys]) {
                size_t length = strlen(keys->names[s->n_keys]);

                assert(length > 0 && length <= SCAN_KEY_LENGTH_MAX);
                s->key_lengths[s->n_keys++] = (uint8_t)length;
        }
        scan_reset(s);
}

void scan_reset(Scan *s)
{
        scan_done(s);
        s->state = STATE_VALUE;
        s->depth = 0;
        s->envelope_depth = 0;
        s->begun = false;
        s->is_batch = false;
        s->in_params = false;
        s->low_surrogate = false;
        s->member = -1;
        s->objects = 0;
        s->offset = 0;
        s->values = 0;
}

void scan_done(Scan *s)
{
        free(s->more);
        s->more = NULL;
        s->envelope = NULL;
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
        return s->is_batch;
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
