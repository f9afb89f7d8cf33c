/* SPDX-License-Identifier: MIT */
#include "config/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define BLANK " \t\n\r"

/* `\;` is there for find(1)'s sake, as in systemd.service(5). */
static const char simple_escapes[] = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"''s ;;";

static int words_refuse(const char *sentence, char **ret_problem)
{
        char *problem = strdup(sentence);

        if (!problem)
                return -ENOMEM;
        *ret_problem = problem;
        return -EINVAL;
}

/* Exactly n digits of a base of 8 or 16. */
static bool digits_value(const char *p, size_t n, unsigned base, uint32_t *ret)
{
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        uint32_t value = 0;

        for (size_t i = 0; i < n; i++) {
                const char *d = p[i] ? strchr(digits, p[i]) : NULL;
                unsigned digit = d ? (unsigned)(d - digits) % 16 : base;

                if (digit >= base)
                        return false;
                value = value * base + digit;
        }
        *ret = value;
        return true;
}

/* UTF-8 of a code point that may be none: what comes out is checked as a whole. */
static size_t code_to_utf8(uint32_t code, char ret[static 4])
{
        if (code < 0x80) {
                ret[0] = (char)code;
                return 1;
        }
        if (code < 0x800) {
                ret[0] = (char)(0xc0 | code >> 6);
                ret[1] = (char)(0x80 | (code & 0x3f));
                return 2;
        }
        if (code < 0x10000) {
                ret[0] = (char)(0xe0 | code >> 12);
                ret[1] = (char)(0x80 | (code >> 6 & 0x3f));
                ret[2] = (char)(0x80 | (code & 0x3f));
                return 3;
        }
        ret[0] = (char)(0xf0 | (code >> 18 & 7));
        ret[1] = (char)(0x80 | (code >> 12 & 0x3f));
        ret[2] = (char)(0x80 | (code >> 6 & 0x3f));
        ret[3] = (char)(0x80 | (code & 0x3f));
        return 4;
}

/*
 * At the character after a backslash. Its bytes (never more than the escape has) go to
 * *out. How many characters the escape takes, or -EINVAL.
 */
static int escape_undo(const char *p, char out[static 4], size_t *ret_n)
{
        static const struct {
                char letter;
                unsigned digits;
        } wide[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
        uint32_t value = 0;

        for (const char *s = simple_escapes; *s; s += 2)
                if (*p == s[0]) {
                        out[0] = s[1];
                        *ret_n = 1;
                        return 1;
                }
        for (size_t i = 0; i < ELEMENTSOF(wide); i++) {
                if (*p != wide[i].letter)
                        continue;
                if (!digits_value(p + 1, wide[i].digits, 16, &value) || value == 0 ||
                    value > 0x10ffff)
                        return -EINVAL;
                *ret_n = wide[i].letter == 'x' ? 1 : code_to_utf8(value, out);
                if (wide[i].letter == 'x')
                        out[0] = (char)value;
                return 1 + (int)wide[i].digits;
        }
        if (!digits_value(p, 3, 8, &value) || value == 0 || value > 0xff)
                return -EINVAL;
        out[0] = (char)value;
        *ret_n = 1;
        return 3;
}

static int escape_refuse(const char *p, char **ret_problem)
{
        _cleanup_free_ char *shown = NULL;
        char *problem;

        if (!p[1])
                return words_refuse("the value ends in a backslash: write one as \\\\, or "
                                    "continue the value on the next line by indenting that",
                                    ret_problem);
        shown = text_show(p, strnlen(p, 4), 4);
        if (!shown)
                return -ENOMEM;
        problem = text_format("'%s' is no escape: write a backslash as \\\\, a space as \\s, a "
                              "byte as \\xNN (\\x00 cannot be held)",
                              shown);
        if (!problem)
                return -ENOMEM;
        *ret_problem = problem;
        return -EINVAL;
}

/*
 * The word at *p, which is no blank, into word; *p is then behind it. Quotes may begin and end
 * anywhere in a word, as systemd takes them.
 */
static int word_take(const char **p, char *word, size_t *ret_n, char **ret_problem)
{
        char quote = '\0';
        size_t n = 0;

        for (; **p && (quote || !strchr(BLANK, **p)); (*p)++) {
                size_t k = 0;
                int r;

                if (**p == quote) {
                        quote = '\0';
                } else if (!quote && (**p == '"' || **p == '\'')) {
                        quote = **p;
                } else if (**p != '\\') {
                        word[n++] = **p;
                } else {
                        r = escape_undo(*p + 1, word + n, &k);
                        if (r < 0)
                                return escape_refuse(*p, ret_problem);
                        n += k;
                        *p += r;
                }
        }
        if (quote)
                return words_refuse("there is a quote that is not closed: add the other, or "
                                    "write one that stands for itself with a backslash (' ;' "
                                    "begins a comment, between quotes too: write \\;)",
                                    ret_problem);
        if (!text_is_utf8(word, n))
                return words_refuse("the escapes make invalid UTF-8: write every byte of a "
                                    "character, such as \\xc3\\xa9",
                                    ret_problem);
        word[n] = '\0';
        *ret_n = n;
        return 0;
}

int words_split(const char *text, char ***ret, char **ret_problem)
{
        _cleanup_text_list_ char **list = NULL;
        _cleanup_free_ char *word = NULL;
        size_t n_words = 0, size = 0;
        const char *p = text;

        /* Room for the four bytes that an escape may be given before it is known. */
        word = malloc(strlen(text) + 4);
        list = calloc(1, sizeof(*list));
        if (!word || !list)
                return -ENOMEM;

        for (p += strspn(p, BLANK); *p; p += strspn(p, BLANK)) {
                size_t n = 0;
                int r;

                r = word_take(&p, word, &n, ret_problem);
                if (r < 0)
                        return r;
                /* Grown by doubling: a line may hold thousands. */
                if (n_words + 1 >= size) {
                        char **larger =
                                reallocarray(list, MAX_OF(size * 2, (size_t)8), sizeof(char *));

                        if (!larger)
                                return -ENOMEM;
                        list = larger;
                        size = MAX_OF(size * 2, (size_t)8);
                }
                list[n_words] = strndup(word, n);
                if (!list[n_words])
                        return -ENOMEM;
                list[++n_words] = NULL;
        }
        *ret = TAKE_PTR(list);
        return 0;
}

static void word_print(FILE *f, const char *word)
{
        const bool quoted = !*word || strpbrk(word, " '");

        if (quoted)
                fputc('"', f);
        for (const char *p = word; *p; p++) {
                if (*p == '\\' || *p == '"')
                        fprintf(f, "\\%c", *p);
                else if (*p == '\n')
                        fputs("\\n", f);
                else if (*p == '\t')
                        fputs("\\t", f);
                else if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        fprintf(f, "\\x%02x", (unsigned)*p);
                else if (*p == ';' && (p == word || p[-1] == ' '))
                        fputs("\\;", f);
                else
                        fputc(*p, f);
        }
        if (quoted)
                fputc('"', f);
}

char *words_join(char *const *words)
{
        char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        if (!f)
                return NULL;
        for (char *const *w = words; w && *w; w++) {
                if (w > words)
                        fputc(' ', f);
                word_print(f, *w);
        }
        if (fclose(f) < 0) {
                free(text);
                return NULL;
        }
        return text;
}
