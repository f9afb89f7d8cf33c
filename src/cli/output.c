/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define SHOWN_MAX ((size_t)4096)

static bool output_is_terminal(void)
{
        static int is_terminal = -1;

        if (is_terminal < 0)
                is_terminal = isatty(STDOUT_FILENO) > 0;
        return is_terminal > 0;
}

static bool want_colours(void)
{
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

        if (!output_is_terminal() || (no && no[0]))
                return false;
        return term && term[0] && strcmp(term, "dumb") != 0;
}

const char *output_style(Style s)
{
        static const char *const sequences[] = {
                [STYLE_BOLD] = "\x1b[1m",  [STYLE_DIM] = "\x1b[2m",  [STYLE_GOOD] = "\x1b[32m",
                [STYLE_WARN] = "\x1b[33m", [STYLE_BAD] = "\x1b[31m", [STYLE_OFF] = "\x1b[0m",
        };
        static int colours = -1;

        if (colours < 0)
                colours = want_colours();
        return colours ? sequences[s] : "";
}

void output_error(const char *format, ...)
{
        va_list ap;

        /* What was printed before is to be seen before. */
        fflush(stdout);
        fputs("guestwire: ", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
}

/*
 * Characters that JSON lets stand in a string, but that a terminal obeys (DEL, C1) or that hide
 * or turn round what follows (the bidirectional marks). p: valid UTF-8 that ends in NUL.
 */
static unsigned hidden_character(const unsigned char *p, size_t *ret_length)
{
        unsigned code;

        if (p[0] == 0x7f) {
                *ret_length = 1;
                return 0x7f;
        }
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
                *ret_length = 2;
                return p[1];
        }
        if (p[0] != 0xe2 || (p[1] != 0x80 && p[1] != 0x81) || p[2] == 0)
                return 0;
        code = 0x2000U + (p[1] - 0x80U) * 64U + (p[2] - 0x80U);
        if (code != 0x200e && code != 0x200f && !(code >= 0x2028 && code <= 0x202e) &&
            !(code >= 0x2066 && code <= 0x2069))
                return 0;
        *ret_length = 3;
        return code;
}

void output_json(json_object *value, bool indent)
{
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
        const unsigned char *p, *plain;
        size_t length = 0;
        unsigned code;

        flags |= indent && output_is_terminal() ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                                                : JSON_C_TO_STRING_PLAIN;
        p = (const unsigned char *)json_object_to_json_string_ext(value, flags);
        if (!p) {
                output_error("out of memory");
                exit(1);
        }
        for (plain = p; *p; p += length) {
                code = hidden_character(p, &length);
                if (code == 0) {
                        length = 1;
                        continue;
                }
                fwrite(plain, 1, (size_t)(p - plain), stdout);
                printf("\\u%04x", code);
                plain = p + length;
        }
        fwrite(plain, 1, (size_t)(p - plain), stdout);
        putchar('\n');
}

char *output_shown(const char *text)
{
        char *shown = text_show(text, strlen(text), SHOWN_MAX);

        return shown ?: strdup("?");
}

void output_pair(int width, const char *key, const char *value)
{
        printf("  %s%-*s%s  %s\n", output_style(STYLE_DIM), width, key, output_style(STYLE_OFF),
               value);
}

int output_finish(void)
{
        if (fflush(stdout) < 0)
                return -errno;
        return ferror(stdout) ? -EIO : 0;
}
