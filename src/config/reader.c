/* SPDX-License-Identifier: MIT */
#include "config/reader.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "config/quote.h"

/* INI_MAX_LINE less the NUL, and MAX_SECTION and MAX_NAME less theirs: beyond, inih cuts. */
#define READER_LINE_MAX 199
#define READER_NAME_MAX 49

/*
 * What inih is given is a text of our own making: of each line only what means something
 * ("[section]", "key = value" without its comment, " continuation"), and only once it is known
 * that every build of inih reads it alike. Where a build does not after all (other limits, no
 * continuation lines), its answer to a line differs from what was seen here, and the line is
 * refused.
 */
typedef struct Reader Reader;

struct Reader {
        const char *text;
        size_t n;
        size_t at;
        unsigned line;
        const ConfigReaderCalls *calls;
        void *userdata;

        bool any_section;                  /* a header was there, sound or not */
        char section[READER_NAME_MAX + 1]; /* the sound header that holds; "" after a bad one */

        /* The line that inih is to read next, and the key and value it is to answer with. */
        char feed[READER_LINE_MAX + 3];
        size_t feed_n;
        size_t feed_at;
        char fed_key[READER_NAME_MAX + 1];
        const char *fed_value; /* in feed */
        size_t fed_value_n;
        bool awaiting;
        bool answered;
        bool misread;

        /* The value under way. */
        enum { VALUE_NONE, VALUE_TAKEN, VALUE_REFUSED } state;
        unsigned value_line;
        bool words; /* it keeps its quotes */
        Buffer value;
        int error;
};

static void _printf_(2, 3) reader_problem(Reader *r, const char *format, ...)
{
        char problem[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(problem, sizeof(problem), format, ap);
        va_end(ap);
        r->calls->error(r->userdata, r->line, problem);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

/* The value is complete when what follows it cannot continue it. */
static void reader_end_value(Reader *r)
{
        _cleanup_free_ char *value = NULL, *problem = NULL;
        int k;

        if (r->state == VALUE_TAKEN && r->error == 0) {
                r->error = buffer_append(&r->value, "", 1);
                if (r->error == 0 && !r->words && *buffer_peek(&r->value) == '"') {
                        k = quote_undo(buffer_peek(&r->value), &value, &problem);
                        if (k == -EINVAL)
                                r->calls->error(r->userdata, r->value_line, problem);
                        else if (k < 0)
                                r->error = k;
                        else
                                r->calls->value(r->userdata, r->value_line, r->fed_key, value);
                } else if (r->error == 0) {
                        r->calls->value(r->userdata, r->value_line, r->fed_key,
                                        buffer_peek(&r->value));
                }
        }
        buffer_done(&r->value);
        r->state = VALUE_NONE;
}

/* Cuts the comment: ";" after white space, wherever it stands, as inih sees it in key lines. */
static size_t without_comment(const char *line, size_t n)
{
        for (size_t i = 1; i < n; i++)
                if (line[i] == ';' && is_blank(line[i - 1])) {
                        n = i;
                        break;
                }
        while (n > 0 && is_blank(line[n - 1]))
                n--;
        return n;
}

static void reader_feed(Reader *r, const char *prefix, const char *text, size_t n,
                        const char *suffix)
{
        r->feed_n = (size_t)snprintf(r->feed, sizeof(r->feed), "%s%.*s%s\n", prefix, (int)n, text,
                                     suffix);
        r->feed_at = 0;
}

/* An answer is due: the n bytes of the line fed that end it. */
static void reader_expect(Reader *r, size_t n)
{
        r->fed_value = r->feed + r->feed_n - 1 - n;
        r->fed_value_n = n;
        r->awaiting = true;
        r->answered = r->misread = false;
}

static void reader_header(Reader *r, const char *line, size_t n)
{
        const char *close, *name = line + 1;
        size_t name_n;

        reader_end_value(r);
        r->any_section = true;
        r->section[0] = '\0';

        n = without_comment(line, n);
        close = memchr(line, ']', n);
        if (!close) {
                reader_problem(r, "the section's name has no closing bracket: write [name]");
                return;
        }
        n -= (size_t)(close + 1 - line);
        while (name < close && is_blank(*name))
                name++;
        name_n = (size_t)(close - name);
        while (name_n > 0 && is_blank(name[name_n - 1]))
                name_n--;
        if (n > 0 && close[1] != ';') {
                reader_problem(r, "there is text after the closing bracket: remove it, or begin "
                                  "it with ' ;' if it is a comment");
        } else if (name_n == 0) {
                reader_problem(r, "the section has no name: write [name]");
        } else if (name_n > READER_NAME_MAX) {
                reader_problem(r, "the section's name is %zu bytes long: use at most %d", name_n,
                               READER_NAME_MAX);
        } else {
                memcpy(r->section, name, name_n);
                r->section[name_n] = '\0';
                r->calls->section(r->userdata, r->line, r->section);
                reader_feed(r, "[", r->section, name_n, "]");
        }
}

static void reader_key(Reader *r, const char *line, size_t n)
{
        const char *separator;
        size_t key_n;

        reader_end_value(r);
        r->state = VALUE_REFUSED;

        n = without_comment(line, n);
        for (key_n = 0; key_n < n && line[key_n] != '=' && line[key_n] != ':'; key_n++)
                ;
        separator = line + key_n;
        if (key_n == n) {
                reader_problem(r, "there is no '=': write 'key = value', begin a comment "
                                  "with '#', or indent what continues a value");
                return;
        }
        if (*separator == ':') {
                reader_problem(r, "':' does not separate a key from its value: write "
                                  "'key = value'");
                return;
        }
        while (key_n > 0 && is_blank(line[key_n - 1]))
                key_n--;
        if (key_n == 0) {
                reader_problem(r, "there is no key before '=': write 'key = value'");
                return;
        }
        if (key_n > READER_NAME_MAX) {
                reader_problem(r, "the key's name is %zu bytes long: use at most %d", key_n,
                               READER_NAME_MAX);
                return;
        }
        if (!r->any_section) {
                reader_problem(r,
                               "the key '%.*s' stands before any section: write a [section] "
                               "line above it",
                               (int)key_n, line);
                return;
        }
        /* Whose keys those below a bad header are cannot be told. */
        if (!r->section[0])
                return;

        memcpy(r->fed_key, line, key_n);
        r->fed_key[key_n] = '\0';
        r->value_line = r->line;
        r->words = r->calls->takes_words && r->calls->takes_words(r->userdata, r->fed_key);
        reader_feed(r, "", line, n, "");
        for (separator++; separator < line + n && is_blank(*separator); separator++)
                ;
        reader_expect(r, (size_t)(line + n - separator));
}

static void reader_continuation(Reader *r, const char *line, size_t n)
{
        const char *begin = line;

        while (is_blank(*begin))
                begin++;
        n = without_comment(begin, n - (size_t)(begin - line));

        if (*begin == '[') {
                reader_problem(r, "an indented line continues the value above and may not begin "
                                  "with '[': remove the indentation if this is a section");
        } else if (memchr(begin, '=', n)) {
                reader_problem(r, "an indented line continues the value above and may not hold "
                                  "'=': remove the indentation if this is a key (within double "
                                  "quotes, '=' can be written \\x3d)");
        } else if (r->state == VALUE_NONE) {
                reader_problem(r, "an indented line continues a value, and there is none above: "
                                  "remove the indentation");
        } else if (r->state == VALUE_TAKEN) {
                reader_feed(r, " ", begin, n, "");
                reader_expect(r, n);
        }
}

/* What is refused of a line whatever it says. */
static bool reader_line_is_sound(Reader *r, const char *line, size_t n)
{
        if (memchr(line, '\0', n)) {
                reader_problem(r, "there is a NUL byte: the file must be plain text");
                return false;
        }
        if (n > READER_LINE_MAX) {
                reader_problem(r,
                               "the line is %zu bytes long: use at most %d; a value is "
                               "continued on the next line by indenting that",
                               n, READER_LINE_MAX);
                return false;
        }
        if (!text_is_utf8(line, n)) {
                reader_problem(r, "the line is not valid UTF-8: convert the file, or write bytes "
                                  "as \\xNN within double quotes");
                return false;
        }
        for (size_t i = 0; i < n; i++)
                if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) {
                        reader_problem(r,
                                       "there is a control character (0x%02x): remove it, or "
                                       "write it as \\x%02x within double quotes",
                                       (unsigned)line[i], (unsigned)line[i]);
                        return false;
                }
        return true;
}

static void reader_line(Reader *r, const char *line, size_t n)
{
        const char *begin = line;

        if (!reader_line_is_sound(r, line, n)) {
                /* Unless it would have continued it, the value above has ended. */
                if (n > 0 && !is_blank(*line)) {
                        reader_end_value(r);
                        r->state = VALUE_REFUSED;
                        if (*line == '[') {
                                r->any_section = true;
                                r->section[0] = '\0';
                        }
                }
                return;
        }
        while (begin < line + n && is_blank(*begin))
                begin++;
        if (begin == line + n || *begin == '#' || *begin == ';')
                return;
        if (begin > line)
                reader_continuation(r, line, n);
        else if (*line == '[')
                reader_header(r, line, n);
        else
                reader_key(r, line, n);
}

/* Did inih read the line that it was given as it was meant? */
static void reader_check_answer(Reader *r)
{
        if (r->awaiting && (!r->answered || r->misread)) {
                reader_problem(r, "this system's inih library does not read this line as it "
                                  "should: write it shorter, on one line");
                r->state = VALUE_REFUSED;
        }
        r->awaiting = false;
}

/* Like fgets(), for inih: the lines that were found sound, one after the other. */
static char *reader_next(char *s, int size, void *userdata)
{
        Reader *r = userdata;
        size_t n;

        if (size < 2)
                return NULL;
        if (r->feed_at == r->feed_n) {
                reader_check_answer(r);
                r->feed_n = r->feed_at = 0;
        }
        while (r->feed_n == 0) {
                const char *line = r->text + r->at;
                size_t left = r->n - r->at;
                const char *end;

                if (left == 0 || r->error < 0)
                        return NULL;
                end = memchr(line, '\n', left);
                n = end ? (size_t)(end - line) : left;
                r->at += n + (end ? 1 : 0);
                r->line++;
                if (n > 0 && line[n - 1] == '\r')
                        n--;
                reader_line(r, line, n);
        }
        n = MIN_OF(r->feed_n - r->feed_at, (size_t)size - 1);
        memcpy(s, r->feed + r->feed_at, n);
        s[n] = '\0';
        r->feed_at += n;
        return s;
}

/* Whether the value so far ends in a backslash that escapes nothing. */
static bool reader_value_is_joined(const Reader *r)
{
        const char *value;
        size_t n = 0;

        if (r->value.size == 0)
                return false;
        value = buffer_peek(&r->value);
        if (*value != '"' && !r->words)
                return false;
        while (n < r->value.size && value[r->value.size - 1 - n] == '\\')
                n++;
        return n % 2 == 1;
}

/* inih's handler, for a key line and again for each line that continues it. */
static int reader_take(void *userdata, const char *section, const char *name, const char *value)
{
        Reader *r = userdata;

        /* Some builds announce a section so. */
        if (!name)
                return 1;
        if (r->answered || !value || strlen(value) != r->fed_value_n ||
            memcmp(value, r->fed_value, r->fed_value_n) != 0 || strcmp(section, r->section) != 0 ||
            strcmp(name, r->fed_key) != 0) {
                r->misread = true;
                return 1;
        }
        r->answered = true;
        r->state = VALUE_TAKEN;
        if (reader_value_is_joined(r))
                r->value.size--;
        else if (r->value.size > 0 && *value)
                r->error = buffer_append(&r->value, " ", 1);
        if (r->error == 0)
                r->error = buffer_append(&r->value, value, strlen(value));
        return 1;
}

int config_reader_run(const char *text, size_t n, const ConfigReaderCalls *calls, void *userdata)
{
        Reader r = { .text = text, .n = n, .calls = calls, .userdata = userdata };

        /* inih skips a byte order mark or does not, as it was built. */
        if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                r.at = 3;

        if (ini_parse_stream(reader_next, &r, reader_take, &r) == -2)
                r.error = -ENOMEM;
        reader_check_answer(&r);
        reader_end_value(&r);
        buffer_done(&r.value);
        return r.error;
}
