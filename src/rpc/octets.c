/* SPDX-License-Identifier: MIT */
#include "rpc/octets.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/base64.h"
#include "base/macros.h"
#include "base/text.h"

/* RFC 3629: how long a character is, by its first byte; 0 where none begins with it. */
static size_t character_length(unsigned char first)
{
        if (first < 0x80)
                return 1;
        if (first >= 0xC2 && first < 0xE0)
                return 2;
        if (first >= 0xE0 && first < 0xF0)
                return 3;
        return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

/* Whether some end makes a character of the n bytes at p. */
static bool can_be_completed(const unsigned char *p, size_t n)
{
        char character[4];

        memcpy(character, p, n);
        memset(character + n, 0x80, sizeof(character) - n);
        if (text_is_utf8(character, character_length(p[0])))
                return true;
        if (n > 1)
                return false;
        /* After some first bytes the second has bounds of its own; one of the two is within them.
         */
        character[1] = (char)0xBF;
        return text_is_utf8(character, character_length(p[0]));
}

size_t octets_whole(const char *data, size_t n)
{
        const unsigned char *p = (const unsigned char *)data;

        for (size_t cut = 1; cut <= 3 && cut <= n; cut++) {
                unsigned char c = p[n - cut];

                if ((c & 0xC0) == 0x80)
                        continue;
                return character_length(c) > cut && can_be_completed(p + n - cut, cut) ? n - cut
                                                                                       : n;
        }
        return n;
}

void octets_check(OctetsCheck *c, const char *data, size_t n)
{
        size_t whole;

        /* First the character that the last piece has cut. */
        for (; c->n_cut > 0 && n > 0; data++, n--) {
                c->cut[c->n_cut++] = *data;
                if (octets_whole(c->cut, c->n_cut) < c->n_cut)
                        continue;
                c->bad = c->bad || !text_is_utf8(c->cut, c->n_cut);
                c->n_cut = 0;
        }
        if (n == 0 || c->bad)
                return;
        whole = octets_whole(data, n);
        c->bad = !text_is_utf8(data, whole);
        c->n_cut = (uint8_t)(n - whole);
        memcpy(c->cut, data + whole, c->n_cut);
}

static json_object *new_base64(const char *data, size_t n)
{
        json_object *o = NULL;
        Buffer b = BUFFER_NULL;

        if (base64_encode(&b, data, n) >= 0 && b.size <= INT_MAX)
                o = json_object_new_string_len(buffer_peek(&b), (int)b.size);
        buffer_done(&b);
        return o;
}

int octets_add(json_object *object, const OctetsKeys *keys, const char *data, size_t n)
{
        bool text = text_is_utf8(data, n);
        json_object *value;

        if (n > INT_MAX)
                return -ENOMEM;
        value = text ? json_object_new_string_len(n > 0 ? data : "", (int)n) : new_base64(data, n);
        if (value && json_object_object_add_ex(object, text ? keys->text : keys->base64, value,
                                               JSON_C_OBJECT_ADD_CONSTANT_KEY) == 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

/* What a byte of a JSON string is written as: 0: itself; 'u': \u00XX; else a backslash and that. */
static const char escapes[256] = {
        [0 ... 7] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0B] = 'u',
        ['\f'] = 'f',    ['\r'] = 'r', [0x0E ... 0x1F] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

#define ESCAPE_MAX 6U /* \u001f */
/* So much at a time, which bounds what is reserved for escapes that do not come. */
#define ESCAPE_BLOCK ((size_t)16 * 1024)

static size_t escape(char *to, const unsigned char *from, size_t n)
{
        static const char digits[] = "0123456789abcdef";
        char *p = to;

        for (size_t i = 0; i < n; i++) {
                char e = escapes[from[i]];

                if (e == 0) {
                        *p++ = (char)from[i];
                        continue;
                }
                *p++ = '\\';
                *p++ = e;
                if (e == 'u') {
                        *p++ = '0';
                        *p++ = '0';
                        *p++ = digits[from[i] >> 4];
                        *p++ = digits[from[i] & 15];
                }
        }
        return (size_t)(p - to);
}

size_t octets_written_length(bool text, const char *data, size_t n)
{
        size_t length = n;

        if (!text)
                return base64_length(n);
        for (size_t i = 0; i < n; i++) {
                char e = escapes[(unsigned char)data[i]];

                length += (e != 0) + (e == 'u') * (ESCAPE_MAX - 2);
        }
        return length;
}

static int write_text(Buffer *json, const char *data, size_t n)
{
        while (n > 0) {
                size_t piece = MIN_OF(n, ESCAPE_BLOCK), room = piece * ESCAPE_MAX;
                char *p;

                /* Where somebody has counted, there is just as much room as it takes. */
                if (json->data && json->capacity - json->begin - json->size < room)
                        room = octets_written_length(true, data, piece);
                p = buffer_reserve(json, room);
                if (!p)
                        return -ENOMEM;
                buffer_commit(json, escape(p, (const unsigned char *)data, piece));
                data += piece;
                n -= piece;
        }
        return 0;
}

int octets_write_begin(Buffer *json, const OctetsKeys *keys, bool text)
{
        const char *key = text ? keys->text : keys->base64;
        int r;

        r = buffer_append(json, "\"", 1);
        if (r >= 0)
                r = buffer_append(json, key, strlen(key));
        return r < 0 ? r : buffer_append(json, "\":\"", 3);
}

int octets_write_piece(Buffer *json, bool text, const char *data, size_t n)
{
        return text ? write_text(json, data, n) : base64_encode(json, data, n);
}

int octets_read(json_object *object, const OctetsKeys *keys, Buffer *to, const char **ret_key,
                const char **ret_problem)
{
        json_object *text = NULL, *base64 = NULL;
        int r;

        (void)json_object_object_get_ex(object, keys->text, &text);
        (void)json_object_object_get_ex(object, keys->base64, &base64);
        if (text && base64) {
                *ret_key = keys->base64;
                *ret_problem = "is given beside the same as text";
                return -EINVAL;
        }
        if (text) {
                r = buffer_append(to, json_object_get_string(text),
                                  (size_t)json_object_get_string_len(text));
                return r < 0 ? r : 1;
        }
        if (!base64)
                return 0;
        r = base64_decode(to, json_object_get_string(base64),
                          (size_t)json_object_get_string_len(base64));
        if (r == -EINVAL) {
                *ret_key = keys->base64;
                *ret_problem = "is not base64";
        }
        return r < 0 ? r : 1;
}
