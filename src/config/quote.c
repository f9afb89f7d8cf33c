/* SPDX-License-Identifier: MIT */
#include "config/quote.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

/* The columns to keep to where lines are continued; well below what the reader takes. */
#define WRAP_COLUMNS 96
#define WRAP_INDENT 8
/* A line without quotes may be as long as this before it is continued. */
#define LINE_COLUMNS 160

static const char simple_escapes[] = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"''??";

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* At the character after a backslash. How many characters it takes, or -EINVAL. */
static int escape_undo(const char *p, unsigned *ret)
{
        unsigned value = 0;
        int n = 0;

        for (const char *s = simple_escapes; *s; s += 2)
                if (*p == s[0]) {
                        *ret = (unsigned char)s[1];
                        return 1;
                }

        if (*p == 'x') {
                if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
                        return -EINVAL;
                value = (unsigned)hex_digit(p[1]) * 16 + (unsigned)hex_digit(p[2]);
                n = 3;
        } else {
                while (n < 3 && p[n] >= '0' && p[n] <= '7')
                        value = value * 8 + (unsigned)(p[n++] - '0');
        }
        if (n == 0 || value == 0 || value > 0xff)
                return -EINVAL;
        *ret = value;
        return n;
}

static int escape_refuse(const char *p, char **ret_problem)
{
        _cleanup_free_ char *shown = NULL;
        char *problem;

        shown = text_show(p, strnlen(p, 4), 4);
        if (!shown)
                return -ENOMEM;
        problem = text_format("'%s' is no escape: write a backslash as \\\\, a byte as \\xNN "
                              "(\\x00 cannot be held)",
                              shown);
        if (!problem)
                return -ENOMEM;
        *ret_problem = problem;
        return -EINVAL;
}

static int quote_refuse(const char *sentence, char **ret_problem)
{
        char *problem = strdup(sentence);

        if (!problem)
                return -ENOMEM;
        *ret_problem = problem;
        return -EINVAL;
}

int quote_undo(const char *text, char **ret, char **ret_problem)
{
        _cleanup_free_ char *value = NULL;
        const char *p = text + 1;
        size_t n = 0;

        value = malloc(strlen(text) + 1);
        if (!value)
                return -ENOMEM;

        while (*p && *p != '"') {
                unsigned c = 0;
                int r;

                if (*p != '\\') {
                        value[n++] = *p++;
                        continue;
                }
                r = escape_undo(p + 1, &c);
                if (r < 0)
                        return escape_refuse(p, ret_problem);
                value[n++] = (char)c;
                p += 1 + r;
        }
        if (*p != '"')
                return quote_refuse("the value begins with a double quote and does not end with "
                                    "one: add it (and write ' ;', which begins a comment, as "
                                    "\\x20\\x3b)",
                                    ret_problem);
        if (p[1])
                return quote_refuse("there is text after the closing double quote: remove it, or "
                                    "write a quote within the value as \\\"",
                                    ret_problem);
        value[n] = '\0';
        if (!text_is_utf8(value, n))
                return quote_refuse("the escapes make invalid UTF-8: write every byte of a "
                                    "character, such as \\xc3\\xa9",
                                    ret_problem);
        *ret = TAKE_PTR(value);
        return 0;
}

/* Whether a value can stand without quotes on a line of its own. */
static bool is_plain(const char *value)
{
        if (strchr("\" ;", *value))
                return false;
        for (const char *p = value; *p; p++) {
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return false;
                if (*p == ' ' && strchr(";", p[1]))
                        return false;
        }
        return true;
}

/* The same on as many lines as it needs, where any word may become the first of one. */
static bool is_plain_words(const char *value)
{
        for (const char *p = value; *p;) {
                size_t n = strcspn(p, " ");

                if (n == 0 || n > WRAP_COLUMNS - WRAP_INDENT || memchr(p, '=', n) ||
                    (p > value && strchr("[;#", *p)))
                        return false;
                p += n + (p[n] == ' ');
        }
        return is_plain(value);
}

/* Where a character stands: it may have to be escaped there and not elsewhere. */
typedef enum Place {
        PLACE_LINE_FIRST = 1 << 0, /* before all else on a line that continues */
        PLACE_CONTINUED = 1 << 1,  /* on such a line */
        PLACE_AFTER_SPACE = 1 << 2,
} Place;

static bool must_be_hex(unsigned char c, unsigned place)
{
        if (c < 0x20 || c == 0x7f)
                return true;
        if (c == '=')
                return place & PLACE_CONTINUED;
        if (c == ';')
                return place & (PLACE_LINE_FIRST | PLACE_AFTER_SPACE);
        return (place & PLACE_LINE_FIRST) && (c == ' ' || c == '#' || c == '[');
}

/* The bytes of the character at p as they stand within quotes. Returns how many of p it took. */
static size_t quote_character(const char *p, unsigned place, char ret[static 8])
{
        unsigned char c = (unsigned char)*p;
        size_t n = 1;

        for (const char *s = simple_escapes; *s; s += 2)
                if (*p == s[1] && *p != '\'' && *p != '?') {
                        (void)snprintf(ret, 8, "\\%c", s[0]);
                        return 1;
                }
        if (must_be_hex(c, place)) {
                (void)snprintf(ret, 8, "\\x%02x", c);
                return 1;
        }
        while (c >= 0x80 && ((unsigned char)p[n] & 0xc0) == 0x80 && n < 4)
                n++;
        memcpy(ret, p, n);
        ret[n] = '\0';
        return n;
}

/* The columns of the word at p, as quoted, at most. */
static size_t word_columns(const char *p)
{
        size_t n = 0;

        while (*p && *p != ' ') {
                char piece[8];

                p += quote_character(p, PLACE_LINE_FIRST | PLACE_CONTINUED, piece);
                n += strlen(piece);
        }
        return n;
}

static void print_quoted(FILE *f, size_t column, const char *value)
{
        unsigned place = 0;

        fputc('"', f);
        column++;
        for (const char *p = value; *p;) {
                char piece[8];
                size_t taken;

                /* A single space between words gives way to the end of a line. */
                if (*p == ' ' && p > value && p[-1] != ' ' && p[1] && p[1] != ' ' &&
                    column + 1 + word_columns(p + 1) > WRAP_COLUMNS) {
                        fprintf(f, "\n%*s", WRAP_INDENT, "");
                        column = WRAP_INDENT;
                        place = PLACE_LINE_FIRST | PLACE_CONTINUED;
                        p++;
                        continue;
                }
                taken = quote_character(p, place, piece);
                if (column + strlen(piece) > WRAP_COLUMNS + WRAP_INDENT) {
                        fprintf(f, "\\\n%*s", WRAP_INDENT, "");
                        column = WRAP_INDENT;
                        place = PLACE_LINE_FIRST | PLACE_CONTINUED;
                        taken = quote_character(p, place, piece);
                }
                fputs(piece, f);
                column += strlen(piece);
                place &= PLACE_CONTINUED;
                if (*p == ' ')
                        place |= PLACE_AFTER_SPACE;
                p += taken;
        }
        fputc('"', f);
}

static void print_words(FILE *f, size_t column, const char *value)
{
        for (const char *p = value; *p;) {
                size_t n = strcspn(p, " ");

                if (p > value) {
                        if (column + 1 + n > WRAP_COLUMNS) {
                                fprintf(f, "\n%*s", WRAP_INDENT, "");
                                column = WRAP_INDENT;
                        } else {
                                fputc(' ', f);
                                column++;
                        }
                }
                fwrite(p, 1, n, f);
                column += n;
                p += n + (p[n] == ' ');
        }
}

void quote_print(FILE *f, const char *key, const char *value)
{
        size_t column = strlen(key) + strlen(" = ");

        if (!*value) {
                fprintf(f, "%s =\n", key);
                return;
        }
        fprintf(f, "%s = ", key);
        if (column + strlen(value) <= LINE_COLUMNS && is_plain(value))
                fputs(value, f);
        else if (is_plain_words(value))
                print_words(f, column, value);
        else
                print_quoted(f, column, value);
        fputc('\n', f);
}

/* A character of words_join()'s, or an escape, which no line's end may part. */
static size_t atom_length(const char *p)
{
        size_t n = 1;

        if (*p == '\\')
                return p[1] == 'x' ? 4 : 2;
        while ((unsigned char)*p >= 0x80 && ((unsigned char)p[n] & 0xc0) == 0x80 && n < 4)
                n++;
        return n;
}

/* The columns up to the end of the word at p, with what may have to be escaped on a new line. */
static size_t joined_word_columns(const char *p)
{
        bool quoted = false;
        size_t n = 0;

        for (; *p && (quoted || *p != ' '); p += atom_length(p)) {
                quoted ^= *p == '"';
                n += *p == '=' ? 4 : atom_length(p);
        }
        return n + 3;
}

static void print_atom(FILE *f, const char *p, size_t n, unsigned place, size_t *column)
{
        if (n == 1 && must_be_hex((unsigned char)*p, place)) {
                fprintf(f, "\\x%02x", (unsigned)*p);
                *column += 4;
        } else {
                fwrite(p, 1, n, f);
                *column += n;
        }
}

static void print_joined_words(FILE *f, size_t column, const char *text)
{
        unsigned place = 0;
        bool quoted = false;

        for (const char *p = text; *p;) {
                size_t n = atom_length(p);

                if (*p == ' ' && !quoted &&
                    column + 1 + joined_word_columns(p + 1) > WRAP_COLUMNS) {
                        fprintf(f, "\n%*s", WRAP_INDENT, "");
                        column = WRAP_INDENT;
                        place = PLACE_LINE_FIRST | PLACE_CONTINUED;
                        p++;
                        continue;
                }
                /* A separator keeps its place: at a line's beginning it would be lost. */
                if (column + 4 > WRAP_COLUMNS + WRAP_INDENT && (quoted || *p != ' ')) {
                        fprintf(f, "\\\n%*s", WRAP_INDENT, "");
                        column = WRAP_INDENT;
                        place = PLACE_LINE_FIRST | PLACE_CONTINUED;
                }
                print_atom(f, p, n, place, &column);
                quoted ^= *p == '"';
                place &= PLACE_CONTINUED;
                p += n;
        }
}

void quote_print_words(FILE *f, const char *key, const char *text)
{
        size_t column = strlen(key) + strlen(" = ");

        if (!*text) {
                fprintf(f, "%s =\n", key);
                return;
        }
        fprintf(f, "%s = ", key);
        if (column + strlen(text) <= LINE_COLUMNS)
                fputs(text, f);
        else
                print_joined_words(f, column, text);
        fputc('\n', f);
}
