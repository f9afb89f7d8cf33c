/* SPDX-License-Identifier: MIT */
#include "rpc/scan-number.h"

#include "base/macros.h"

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
