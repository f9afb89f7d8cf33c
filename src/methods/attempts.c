/* SPDX-License-Identifier: MIT */
#include "methods/attempts.h"

#include <stddef.h>

#include "base/macros.h"

static uint32_t guesser_id(const Peer *peer)
{
        switch (peer->kind) {
        case PEER_VSOCK:
                return peer->cid;
        case PEER_UNIX:
                return peer->uid;
        case PEER_TCP:
                break;
        }
        return 0;
}

static bool guesser_is_low(const Peer *peer)
{
        return peer->kind == PEER_VSOCK && peer->port < 1024;
}

/* Whether what it did is still held against it. */
static bool guesser_counts(const Guesser *g, uint64_t now)
{
        return g->failed > 0 && now - g->since < ATTEMPTS_INTERVAL_USEC;
}

/* Its index, or GUESSERS_MAX. */
static size_t attempts_find(const Attempts *a, const Peer *peer, uint64_t now)
{
        const uint32_t id = guesser_id(peer);
        size_t i = 0;

        while (i < ELEMENTSOF(a->guessers) &&
               !(guesser_counts(&a->guessers[i], now) && a->guessers[i].kind == peer->kind &&
                 a->guessers[i].id == id && a->guessers[i].is_low == guesser_is_low(peer)))
                i++;
        return i;
}

uint64_t attempts_wait(const Attempts *a, const Peer *peer, uint64_t now)
{
        size_t i = attempts_find(a, peer, now);

        if (i == ELEMENTSOF(a->guessers) || a->guessers[i].failed < ATTEMPTS_MAX)
                return 0;
        return a->guessers[i].since + ATTEMPTS_INTERVAL_USEC - now;
}

void attempts_failed(Attempts *a, const Peer *peer, uint64_t now)
{
        size_t i = attempts_find(a, peer, now), oldest = 0;

        if (i < ELEMENTSOF(a->guessers)) {
                a->guessers[i].failed++;
                return;
        }
        for (size_t k = 0; k < ELEMENTSOF(a->guessers); k++) {
                if (!guesser_counts(&a->guessers[k], now)) {
                        oldest = k;
                        break;
                }
                if (a->guessers[k].since < a->guessers[oldest].since)
                        oldest = k;
        }
        a->guessers[oldest] = (Guesser){
                .kind = peer->kind,
                .id = guesser_id(peer),
                .is_low = guesser_is_low(peer),
                .failed = 1,
                .since = now,
        };
}
