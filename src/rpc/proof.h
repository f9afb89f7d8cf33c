/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How two that share a token show it to each other without telling it: by an HMAC-SHA-256 under
 * the token over who is speaking, the port that was called, and 32 random bytes of each of them.
 * docs/protocol.md has it to the byte.
 */
#define PROOF_SIZE 32U                       /* of a challenge, a nonce and a MAC */
#define PROOF_TEXT_SIZE (2 * PROOF_SIZE + 1) /* hexadecimal digits and a NUL */
#define PROOF_LIFETIME_USEC (10U * 1000U * 1000U)

/* Who speaks: neither's words are of use as the other's. */
typedef enum ProofSide {
        PROOF_CLIENT,
        PROOF_AGENT,
} ProofSide;

typedef struct Proof Proof;

/* What both know. */
struct Proof {
        uint32_t port; /* AF_VSOCK's; 0 on other sockets */
        uint8_t challenge[PROOF_SIZE];
        uint8_t nonce[PROOF_SIZE]; /* the client's */
};

void proof_make(const Proof *p, ProofSide side, const void *token, size_t n,
                uint8_t ret[static PROOF_SIZE]);
/* Whether mac is the one that proof_make() makes; in constant time. */
bool proof_holds(const Proof *p, ProofSide side, const void *token, size_t n,
                 const uint8_t mac[static PROOF_SIZE]);

/* Bytes that nobody can foresee. 0; -EAGAIN early in boot, when there are none yet; -errno. */
int proof_random(uint8_t ret[static PROOF_SIZE]);

/* Lower-case digits; of both cases they are read. 0 or -EINVAL. */
void proof_to_text(const uint8_t bytes[static PROOF_SIZE], char ret[static PROOF_TEXT_SIZE]);
int proof_from_text(const char *text, uint8_t ret[static PROOF_SIZE]);
