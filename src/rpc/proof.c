/* SPDX-License-Identifier: MIT */
#include "rpc/proof.h"

#include <assert.h>
#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>

#include "base/macros.h"

static_assert(PROOF_SIZE == SHA256_DIGEST_SIZE, "a MAC is a digest of SHA-256");

void proof_make(const Proof *p, ProofSide side, const void *token, size_t n,
                uint8_t ret[static PROOF_SIZE])
{
        const char *speaker = side == PROOF_CLIENT ? "guestwire-1 client" : "guestwire-1 agent";
        const uint8_t port[] = { (uint8_t)(p->port >> 24), (uint8_t)(p->port >> 16),
                                 (uint8_t)(p->port >> 8), (uint8_t)p->port };
        struct hmac_sha256_ctx context;

        /* Everything behind the speaker's name is of a fixed size, and neither name begins the
         * other: no two proofs have the same bytes. */
        hmac_sha256_set_key(&context, n, token);
        hmac_sha256_update(&context, strlen(speaker), (const uint8_t *)speaker);
        hmac_sha256_update(&context, sizeof(port), port);
        hmac_sha256_update(&context, sizeof(p->challenge), p->challenge);
        hmac_sha256_update(&context, sizeof(p->nonce), p->nonce);
        hmac_sha256_digest(&context, PROOF_SIZE, ret);
        /* It holds what stands for the token. */
        explicit_bzero(&context, sizeof(context));
}

bool proof_holds(const Proof *p, ProofSide side, const void *token, size_t n,
                 const uint8_t mac[static PROOF_SIZE])
{
        uint8_t right[PROOF_SIZE];
        bool holds;

        proof_make(p, side, token, n, right);
        holds = memeql_sec(right, mac, sizeof(right));
        explicit_bzero(right, sizeof(right));
        return holds;
}

int proof_random(uint8_t ret[static PROOF_SIZE])
{
        ssize_t n;

        /* As few bytes are had whole or not at all. */
        n = getrandom(ret, PROOF_SIZE, GRND_NONBLOCK);
        if (n < 0)
                return -errno;
        return n == PROOF_SIZE ? 0 : -EIO;
}

void proof_to_text(const uint8_t bytes[static PROOF_SIZE], char ret[static PROOF_TEXT_SIZE])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < PROOF_SIZE; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[2 * PROOF_SIZE] = '\0';
}

/* Its value, or -1. */
static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int proof_from_text(const char *text, uint8_t ret[static PROOF_SIZE])
{
        uint8_t bytes[PROOF_SIZE];

        if (strlen(text) != (size_t)2 * PROOF_SIZE)
                return -EINVAL;
        for (size_t i = 0; i < PROOF_SIZE; i++) {
                int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                bytes[i] = (uint8_t)(high << 4 | low);
        }
        memcpy(ret, bytes, sizeof(bytes));
        return 0;
}
