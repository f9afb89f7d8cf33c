/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * At most `burst` events in each `interval` (microseconds). Counts what was held back, so
 * that the next record let through can say how many went before it unseen.
 */
typedef struct RateLimit RateLimit;

struct RateLimit {
        uint64_t interval;
        unsigned burst;
        uint64_t begin;
        unsigned passed;
        unsigned held_back;
};

/* now: CLOCK_MONOTONIC, microseconds. *ret_held_back: how many were refused since the last yes. */
static inline bool ratelimit_pass(RateLimit *r, uint64_t now, unsigned *ret_held_back)
{
        if (r->passed == 0 || now - r->begin >= r->interval) {
                r->begin = now;
                r->passed = 0;
        }
        if (r->passed >= r->burst) {
                r->held_back++;
                return false;
        }
        r->passed++;
        *ret_held_back = r->held_back;
        r->held_back = 0;
        return true;
}
