/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "io/address.h"

/* How far a dial had come when it failed. */
typedef enum DialStage {
        DIAL_STAGE_LOOKUP,
        DIAL_STAGE_CONNECT,
        DIAL_STAGE_MUX,
} DialStage;

/*
 * The sentence for people: what failed and what to do about it. error: -errno; timeout: the
 * dial's, microseconds; detail: what a resolver or a mux said, or NULL. NULL without memory;
 * the caller frees.
 */
char *dial_problem(const Address *a, DialStage stage, int error, uint64_t timeout,
                   const char *detail);
