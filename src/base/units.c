/* SPDX-License-Identifier: MIT */

/* Numbers, sizes, modes and time spans. */
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return INT_MAX;
}

/*
 * Reads the digits at *text up to the first byte that is none, and moves *text there. -EINVAL
 * without a single digit, -ERANGE past 64 bits. (strtoull() would take signs, spaces and, in
 * base 8 or 10, whatever follows.)
 */
static int read_digits(const char **text, unsigned base, uint64_t *ret)
{
        const char *p = *text;
        uint64_t v = 0;

        for (; digit_value(*p) < (int)base; p++)
                if (__builtin_mul_overflow(v, base, &v) ||
                    __builtin_add_overflow(v, (unsigned)digit_value(*p), &v))
                        return -ERANGE;

        if (p == *text)
                return -EINVAL;
        *text = p;
        *ret = v;
        return 0;
}

int text_to_u64(const char *text, uint64_t *ret)
{
        unsigned base = 10;
        uint64_t v;
        int r;

        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
                base = 16;
                text += 2;
        }

        /* What is no number at all is -EINVAL, also where its digits alone would not fit. */
        if (text[strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789")] != '\0')
                return -EINVAL;
        r = read_digits(&text, base, &v);
        if (r < 0)
                return r;
        *ret = v;
        return 0;
}

int text_to_u32(const char *text, uint32_t *ret)
{
        uint64_t v;
        int r;

        r = text_to_u64(text, &v);
        if (r < 0)
                return r;
        if (v > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t)v;
        return 0;
}

int text_to_boolean(const char *text, bool *ret)
{
        static const char *const yes[] = { "yes", "true", "on", "1" };
        static const char *const no[] = { "no", "false", "off", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(text, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(text, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}

int text_to_mode(const char *text, unsigned *ret)
{
        uint64_t v;
        int r;

        if (text[strspn(text, "01234567")] != '\0')
                return -EINVAL;
        r = read_digits(&text, 8, &v);
        if (r < 0)
                return r;
        if (v > 07777)
                return -ERANGE;
        *ret = (unsigned)v;
        return 0;
}

/* The letters by rising power of 1024, beginning with 1024^1. */
static const char size_letters[] = "KMG";

int text_to_size(const char *text, uint64_t *ret)
{
        const char *letter;
        uint64_t v;
        int r;

        r = read_digits(&text, 10, &v);
        if (r < 0)
                return r;
        if (*text != '\0') {
                letter = strchr(size_letters, *text);
                if (!letter || text[1] != '\0')
                        return -EINVAL;
                if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * (letter - size_letters + 1)),
                                           &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

void text_from_size(char ret[static 32], uint64_t size)
{
        size_t power = 0;

        while (size != 0 && size % 1024 == 0 && power < sizeof(size_letters) - 1) {
                size /= 1024;
                power++;
        }
        if (power == 0)
                snprintf(ret, 32, "%" PRIu64, size);
        else
                snprintf(ret, 32, "%" PRIu64 "%c", size, size_letters[power - 1]);
}

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
/* systemd.time(7): a month is 30.44 days, a year 365.25 days. */
#define USEC_PER_MONTH (UINT64_C(2629800) * USEC_PER_SEC)
#define USEC_PER_YEAR (UINT64_C(31557600) * USEC_PER_SEC)

typedef struct TimeUnit TimeUnit;

struct TimeUnit {
        const char *name;
        uint64_t usec;
};

static const TimeUnit time_units[] = {
        { "us", 1 },
        { "usec", 1 },
        { "\xc2\xb5s", 1 }, /* U+00B5 MICRO SIGN */
        { "\xce\xbcs", 1 }, /* U+03BC GREEK SMALL LETTER MU */
        { "ms", USEC_PER_MSEC },
        { "msec", USEC_PER_MSEC },
        { "s", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC },
        { "m", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE },
        { "minutes", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hours", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
        { "w", USEC_PER_WEEK },
        { "week", USEC_PER_WEEK },
        { "weeks", USEC_PER_WEEK },
        { "M", USEC_PER_MONTH },
        { "month", USEC_PER_MONTH },
        { "months", USEC_PER_MONTH },
        { "y", USEC_PER_YEAR },
        { "year", USEC_PER_YEAR },
        { "years", USEC_PER_YEAR },
};

#define SPACES " \t"

/* Reads the unit's name at *text, up to the next digit, space or the end. 0: not one of ours. */
static uint64_t read_unit(const char **text)
{
        size_t n = strcspn(*text, SPACES "0123456789");

        for (size_t i = 0; i < ELEMENTSOF(time_units); i++)
                if (strlen(time_units[i].name) == n && memcmp(*text, time_units[i].name, n) == 0) {
                        *text += n;
                        return time_units[i].usec;
                }
        return 0;
}

/* What the decimal places at *text are worth; less than a microsecond is dropped. */
static int read_fraction(const char **text, uint64_t *ret_billionths)
{
        uint64_t v = 0, weight = 100000000;
        const char *p = *text;

        for (; *p >= '0' && *p <= '9'; p++) {
                v += (uint64_t)(*p - '0') * weight;
                weight /= 10;
        }
        if (p == *text)
                return -EINVAL;
        *text = p;
        *ret_billionths = v;
        return 0;
}

/* unit * billionths / 10^9 without an overflow on the way: a year has more than 2^64 / 10^9 us. */
static uint64_t scale_fraction(uint64_t unit, uint64_t billionths)
{
        return (uint64_t)((unsigned __int128)unit * billionths / 1000000000);
}

/* One "number unit" at *text; a number without unit (allowed only if bare_allowed) is seconds. */
static int read_time_part(const char **text, bool bare_allowed, uint64_t *ret)
{
        uint64_t number, billionths = 0, unit, v;
        bool too_large = false;
        int r;

        r = read_digits(text, 10, &number);
        if (r == -ERANGE) {
                too_large = true;
                number = 0;
                *text += strspn(*text, "0123456789");
        } else if (r < 0)
                return r;
        if (**text == '.') {
                (*text)++;
                r = read_fraction(text, &billionths);
                if (r < 0)
                        return r;
        }

        *text += strspn(*text, SPACES);
        if (**text == '\0' && bare_allowed)
                unit = USEC_PER_SEC;
        else
                unit = read_unit(text);
        if (unit == 0)
                return -EINVAL;
        if (too_large || __builtin_mul_overflow(number, unit, &v) ||
            __builtin_add_overflow(v, scale_fraction(unit, billionths), &v))
                return -ERANGE;
        *ret = v;
        return 0;
}

int text_to_usec(const char *text, uint64_t *ret)
{
        uint64_t sum = 0, v;
        bool first = true, too_large = false;
        int r;

        if (strcmp(text, "infinity") == 0) {
                *ret = TEXT_INFINITY;
                return 0;
        }

        /* Surrounding space is the caller's to strip, as in every parser here. */
        if (*text == '\0' || strchr(SPACES, text[strlen(text) - 1]))
                return -EINVAL;

        for (; *text != '\0'; text += strspn(text, SPACES)) {
                r = read_time_part(&text, first, &v);
                /* Go on: bad text is bad text, however large the number before it. */
                if (r == -ERANGE)
                        too_large = true;
                else if (r < 0)
                        return r;
                else if (__builtin_add_overflow(sum, v, &sum))
                        too_large = true;
                first = false;
        }
        /* The largest number stands for infinity and is not to be had by counting. */
        if (too_large || sum == TEXT_INFINITY)
                return -ERANGE;
        *ret = sum;
        return 0;
}

void text_from_usec(char ret[static 64], uint64_t usec)
{
        static const TimeUnit units[] = {
                { "w", USEC_PER_WEEK },
                { "d", USEC_PER_DAY },
                { "h", USEC_PER_HOUR },
                { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC },
                { "ms", USEC_PER_MSEC },
                { "us", 1 },
        };
        size_t n = 0;

        if (usec == TEXT_INFINITY || usec == 0) {
                snprintf(ret, 64, "%s", usec == 0 ? "0" : "infinity");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                if (usec < units[i].usec)
                        continue;
                n += (size_t)snprintf(ret + n, 64 - n, "%s%" PRIu64 "%s", n > 0 ? " " : "",
                                      usec / units[i].usec, units[i].name);
                usec %= units[i].usec;
        }
}
