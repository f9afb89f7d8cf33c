/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/peer.h"

/*
 * Proofs that did not hold, counted for each of those who offered them: whoever guesses is held
 * off, and keeps nobody else out. A guest has few callers to tell apart; of more than there is
 * room for, the one that has been quiet longest is forgotten.
 */
typedef struct Attempts Attempts;
typedef struct Guesser Guesser;

#define ATTEMPTS_MAX 5U /* in ATTEMPTS_INTERVAL_USEC */
#define ATTEMPTS_INTERVAL_USEC (10U * 1000U * 1000U)
#define GUESSERS_MAX 16U

struct Guesser {
        PeerKind kind;
        uint32_t id; /* a CID, a uid; of TCP, which tells nobody apart, 0 */
        bool is_low; /* a source port below 1024: users of a host do not lock its root out */
        unsigned failed;
        uint64_t since; /* the first of them */
};

struct Attempts {
        Guesser guessers[GUESSERS_MAX];
};

/* 0, or after how many microseconds the peer may try again. now: of a clock that does not go
 * back. */
uint64_t attempts_wait(const Attempts *a, const Peer *peer, uint64_t now);
void attempts_failed(Attempts *a, const Peer *peer, uint64_t now);
