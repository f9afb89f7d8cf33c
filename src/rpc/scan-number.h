/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The size of a JSON number whose bytes come in any pieces: whether the types that json-c has
 * (int64_t, uint64_t, double) can hold it. No digits are kept, however many there are.
 */
typedef struct ScanNumber ScanNumber;

struct ScanNumber {
        bool negative;
        bool is_double; /* has a fraction or an exponent */
        bool in_exponent;
        bool exponent_negative;
        bool integer_overflow;
        int8_t order;      /* significant digits so far against the bound's: <0, 0, >0 */
        uint16_t digits;   /* significant ones, counted no further than the bound has */
        int64_t magnitude; /* the number is 0.DIGITS * 10^(magnitude +- exponent) */
        int64_t exponent;
        uint64_t integer;
};

void scan_number_begin(ScanNumber *n);
/* The next bytes of a number, which must be one by RFC 8259's grammar. */
void scan_number_feed(ScanNumber *n, const unsigned char *data, size_t length);
/* After the last byte. An integer (no fraction, no exponent) fits from -2^63 to 2^64-1, any other
 * number as long as the nearest double is finite. */
bool scan_number_fits(const ScanNumber *n);
