/* SPDX-License-Identifier: MIT */

/* Escapes in strings, and keys that must be put together. */

#include "rpc/scan-private.h"

void scan_collect_key(Scan *s, const unsigned char *data, size_t n)
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

/* A character that was written as an escape. */
static State end_escape(Scan *s, unsigned code)
{
        unsigned char byte = (unsigned char)code;

        if (!s->in_key)
                return STATE_STRING;
        if (code == 0)
                s->envelope->flags |= SCAN_NUL_IN_KEY;
        if (s->level == 0)
                scan_collect_key(s, &byte, code < 0x80 ? 1 : SCAN_KEY_LENGTH_MAX + 1);
        return STATE_STRING;
}

static inline State read_escape(Scan *s, Cursor *c)
{
        static const char codes[256] = {
                ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
        };
        char code;

        if (*c->at == 'u') {
                c->at++;
                s->position = 0;
                s->escape = 0;
                return STATE_HEX;
        }
        code = codes[*c->at];
        if (code == 0)
                return STATE_BAD_SYNTAX;
        c->at++;
        return end_escape(s, (unsigned)code);
}

static inline int hex_value(unsigned char b)
{
        if (b >= '0' && b <= '9')
                return b - '0';
        b |= 0x20;
        return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

/* The four digits. A high surrogate and a low one, in this order, are one character; either
 * alone is none. */
static inline State read_hex(Scan *s, Cursor *c)
{
        unsigned code = s->escape;
        int digit;

        for (; c->at < c->end; c->at++) {
                digit = hex_value(*c->at);
                if (digit < 0)
                        return STATE_BAD_SYNTAX;
                code = code << 4 | (unsigned)digit;
                if (s->position == 3)
                        break;
                s->position++;
                s->escape = (uint16_t)code;
        }
        if (c->at == c->end)
                return STATE_HEX;

        if ((code >= 0xdc00 && code <= 0xdfff) != s->low_surrogate)
                return STATE_BAD_SYNTAX;
        c->at++;
        s->low_surrogate = code >= 0xd800 && code <= 0xdbff;
        return s->low_surrogate ? STATE_LOW_BACKSLASH : end_escape(s, code);
}

static inline State read_low_surrogate(Scan *s, Cursor *c, State state)
{
        if (*c->at != (state == STATE_LOW_BACKSLASH ? '\\' : 'u'))
                return STATE_BAD_SYNTAX;
        c->at++;
        s->position = 0;
        s->escape = 0;
        return state == STATE_LOW_BACKSLASH ? STATE_LOW_U : STATE_HEX;
}

Step scan_read_escape(Scan *s, State state, Cursor c)
{
        switch (state) {
        case STATE_ESCAPE:
                state = read_escape(s, &c);
                break;
        case STATE_HEX:
                state = read_hex(s, &c);
                break;
        default:
                state = read_low_surrogate(s, &c, state);
        }
        return (Step){ .at = c.at, .state = state };
}
