/* SPDX-License-Identifier: MIT */
#include "rpc/scan-number.h"

#include "base/macros.h"
#include "rpc/scan-private.h"

/* How large it is */

/*
 * 2^1024 - 2^970, half way from the largest double to the one that would come next: from here
 * on the nearest double is infinity (a tie goes to the even neighbour, which is that one).
 */
static const char bound[] =
        "179769313486231580793728971405303415079934132710037826936173778980444968292764"
        "750946649017977587207096330286416692887910946555547851940402630657488671505820"
        "681908902000708383676273854845817711531764475730270069855571366959622842914819"
        "860834936475292719074168444365510704342711559699508093042880177904174497792";
#define BOUND_DIGITS (sizeof(bound) - 1)

/* Larger than any count of digits in a text, so that no exponent cut to it can come back into
 * range by them. */
#define EXPONENT_MAX INT64_C(1000000000000)

void scan_number_begin(ScanNumber *n)
{
        *n = (ScanNumber){ 0 };
}

static void feed_digit(ScanNumber *n, unsigned digit)
{
        if (n->in_exponent) {
                n->exponent = MIN_OF(n->exponent * 10 + digit, EXPONENT_MAX);
                return;
        }
        if (!n->is_double && (__builtin_mul_overflow(n->integer, 10U, &n->integer) ||
                              __builtin_add_overflow(n->integer, digit, &n->integer)))
                n->integer_overflow = true;

        if (n->digits == 0 && digit == 0) {
                /* Not significant; after the point it makes the number smaller. */
                n->magnitude -= n->is_double;
                return;
        }
        n->magnitude += !n->is_double;
        if (n->digits >= BOUND_DIGITS)
                return;
        if (n->order == 0)
                n->order = (int8_t)((int)digit - (bound[n->digits] - '0'));
        n->digits++;
}

void scan_number_feed(ScanNumber *n, const unsigned char *data, size_t length)
{
        for (size_t i = 0; i < length; i++)
                switch (data[i]) {
                case '-':
                        if (n->in_exponent)
                                n->exponent_negative = true;
                        else
                                n->negative = true;
                        break;
                case '+':
                        break;
                case '.':
                        n->is_double = true;
                        break;
                case 'e':
                case 'E':
                        n->is_double = true;
                        n->in_exponent = true;
                        break;
                default:
                        feed_digit(n, (unsigned)data[i] - '0');
                }
}

bool scan_number_fits(const ScanNumber *n)
{
        int64_t magnitude;

        if (!n->is_double)
                return !n->integer_overflow &&
                       !(n->negative && n->integer > (uint64_t)INT64_MAX + 1);
        if (n->digits == 0)
                return true; /* zero, whatever its exponent */

        magnitude = n->magnitude + (n->exponent_negative ? -n->exponent : n->exponent);
        if (magnitude != (int64_t)BOUND_DIGITS)
                return magnitude < (int64_t)BOUND_DIGITS;
        return n->order < 0 || (n->order == 0 && n->digits < BOUND_DIGITS);
}

/* Where it ends */

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

Step scan_read_number(Scan *s, State begin, Cursor c)
{
        const unsigned char *part = c.at;
        unsigned next = STATE_NUMBER;
        State state = begin;
        size_t n;

        for (; c.at < c.end; c.at++) {
                next = number_step(state, *c.at);
                if (next == 0)
                        return (Step){ .at = c.at, .state = STATE_BAD_SYNTAX };
                if (next == STATE_DONE)
                        break;
                state = (State)next;
        }
        n = (size_t)(c.at - part);
        if (s->in_params && !(next == STATE_DONE && is_small_number(begin, state, n)))
                judge_number(s, begin, part, n, next == STATE_DONE);
        if (next == STATE_DONE)
                state = end_value(s, cursor_offset(&c));
        return (Step){ .at = c.at, .state = state };
}

State scan_end_number(Scan *s, State state, unsigned char byte, uint32_t offset)
{
        if (s->depth > 0 || state < STATE_NUMBER || state > STATE_EXPONENT ||
            number_step(state, byte) != STATE_DONE)
                return state;
        return end_value(s, offset);
}
