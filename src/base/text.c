/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *text_strip(char *text)
{
        static const char space[] = " \t\r\n\v\f";
        size_t n;

        text += strspn(text, space);
        for (n = strlen(text); n > 0 && strchr(space, text[n - 1]); n--)
                ;
        text[n] = '\0';
        return text;
}

/*
 * The length of the UTF-8 sequence at data (n > 0 bytes are there) and its code point; 0 where
 * there is none. The bounds of the second byte, RFC 3629 section 4, are what excludes overlong
 * forms, surrogates and what lies past U+10FFFF.
 */
static size_t utf8_sequence(const unsigned char *data, size_t n, uint32_t *ret)
{
        unsigned char lead = data[0], low = 0x80, high = 0xbf;
        uint32_t code;
        size_t length;

        if (lead < 0x80) {
                *ret = lead;
                return 1;
        }
        if (lead >= 0xc2 && lead <= 0xdf) {
                length = 2;
                code = lead & 0x1fU;
        } else if (lead >= 0xe0 && lead <= 0xef) {
                length = 3;
                code = lead & 0x0fU;
                low = lead == 0xe0 ? 0xa0 : low;
                high = lead == 0xed ? 0x9f : high;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
                length = 4;
                code = lead & 0x07U;
                low = lead == 0xf0 ? 0x90 : low;
                high = lead == 0xf4 ? 0x8f : high;
        } else
                return 0;

        if (n < length)
                return 0;
        for (size_t i = 1; i < length; i++) {
                if (data[i] < low || data[i] > high)
                        return 0;
                code = code << 6 | (data[i] & 0x3fU);
                low = 0x80;
                high = 0xbf;
        }
        *ret = code;
        return length;
}

bool text_is_utf8(const char *data, size_t n)
{
        const unsigned char *p = (const unsigned char *)data;
        size_t length;
        uint64_t eight;
        uint32_t code;

        for (; n > 0; p += length, n -= length) {
                /* Most of what there is is ASCII. */
                for (; n >= sizeof(eight); p += sizeof(eight), n -= sizeof(eight)) {
                        memcpy(&eight, p, sizeof(eight));
                        if (eight & UINT64_C(0x8080808080808080))
                                break;
                }
                if (n == 0)
                        break;
                length = utf8_sequence(p, n, &code);
                if (length == 0)
                        return false;
        }
        return true;
}

/* Control characters, C1 ones included (0x9b is a CSI to some terminals), and those that
 * reorder or break a line: the marks, separators and embeddings of U+200E.. and U+2066... */
static bool may_be_shown(uint32_t code)
{
        if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
                return false;
        if (code == 0x200e || code == 0x200f)
                return false;
        return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

char *text_show(const char *data, size_t n, size_t max)
{
        const unsigned char *p = (const unsigned char *)data;
        size_t shown = MIN_OF(n, max), i = 0, length, used = 0;
        uint32_t code = 0;
        char *s;

        if (shown > (SIZE_MAX - sizeof("...")) / 4)
                return NULL;
        s = malloc(shown * 4 + sizeof("..."));
        if (!s)
                return NULL;

        while (i < shown) {
                length = utf8_sequence(p + i, n - i, &code);
                if (length > shown - i)
                        break; /* a whole character or none of it */
                if (length > 0 && may_be_shown(code)) {
                        memcpy(s + used, p + i, length);
                        used += length;
                } else {
                        length = MAX_OF(length, (size_t)1);
                        for (size_t k = 0; k < length; k++)
                                used += (size_t)sprintf(s + used, "\\x%02x", p[i + k]);
                }
                i += length;
        }
        strcpy(s + used, i < n ? "..." : "");
        return s;
}

const char *text_errno_name(int error)
{
        static _Thread_local char number[16];
        const char *name;

        name = error == 0 ? NULL : strerrorname_np(error);
        if (name)
                return name;
        snprintf(number, sizeof(number), "E%d", error);
        return number;
}

char *text_format(const char *format, ...)
{
        va_list ap;
        char *s;
        int r;

        va_start(ap, format);
        r = vasprintf(&s, format, ap);
        va_end(ap);
        return r < 0 ? NULL : s;
}

size_t text_list_length(char *const *list)
{
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

void text_list_free(char **list)
{
        for (size_t i = 0; list && list[i]; i++)
                free(list[i]);
        free(list);
}

int text_list_take(char ***list, char *string)
{
        size_t n = text_list_length(*list);
        char **larger;

        larger = string ? reallocarray(*list, n + 2, sizeof(char *)) : NULL;
        if (!larger) {
                free(string);
                return -ENOMEM;
        }
        larger[n] = string;
        larger[n + 1] = NULL;
        *list = larger;
        return 0;
}
