/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "rpc/proof.h"

#define TEXT_01 "0101010101010101010101010101010101010101010101010101010101010101"

/* Made by Python's hmac and hashlib. */
static const struct {
        const char *token;
        size_t n;
        uint32_t port;
        uint8_t challenge, nonce; /* 32 times */
        const char *client, *agent;
} vectors[] = {
        { "0123456789abcdef0123456789abcdef", 32, 0x3e8, 1, 2,
          "013577284f029c4e0f0ec395e5128a9f511730958137dac70af43f752c2ef035",
          "4b3bc5091e730a0d61236a7278b58d0ca735b0e29387c0d2dfe0b60f4e82832e" },
        { "0123456789abcdef0123456789abcdef", 32, 0x0, 0, 255,
          "65c2e19503381e13df151d122be4b8ffae236c94cfa1b4905c9cfaae69c0877a",
          "1217d37ea3034e89a53157720b0757db108cb48c95f1f772865f08bd8ae9f11e" },
        { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAA",
          100, 0x12345678, 170, 85,
          "10a3468738f6e32b0dd22658b9ab2138d8d3a0698e2bd0c45cf269b68486de8c",
          "93d103c3934d5d3734b68f3e1fbfe33f03ea684fa43aa573b6dc572d5c8541e7" },
        { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 64, 0xffffffff, 0, 0,
          "bd7ad9f4029404841603a754a9f3ea4ff7a4627efac4f4021e52ebab10aa64eb",
          "3ab42231e2365090a070276194ccf100b2dd6024c765cbd80f8f3f098212dcb4" },
};

static void test_vectors(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                Proof p = { .port = vectors[i].port };
                uint8_t mac[PROOF_SIZE];
                char text[PROOF_TEXT_SIZE];

                memset(p.challenge, vectors[i].challenge, sizeof(p.challenge));
                memset(p.nonce, vectors[i].nonce, sizeof(p.nonce));
                proof_make(&p, PROOF_CLIENT, vectors[i].token, vectors[i].n, mac);
                proof_to_text(mac, text);
                assert_string_equal(text, vectors[i].client);
                assert_true(proof_holds(&p, PROOF_CLIENT, vectors[i].token, vectors[i].n, mac));
                assert_false(proof_holds(&p, PROOF_AGENT, vectors[i].token, vectors[i].n, mac));

                proof_make(&p, PROOF_AGENT, vectors[i].token, vectors[i].n, mac);
                proof_to_text(mac, text);
                assert_string_equal(text, vectors[i].agent);
                assert_true(proof_holds(&p, PROOF_AGENT, vectors[i].token, vectors[i].n, mac));
        }
}

/* Whatever bit is another: of the token, the port, the challenge, the nonce, the MAC. */
static void test_every_bit_counts(void **state)
{
        uint8_t token[PROOF_SIZE] = { 1, [PROOF_SIZE - 1] = 2 }, mac[PROOF_SIZE];
        Proof p = { .port = 1000, .challenge = { 4 }, .nonce = { 5 } };
        uint8_t *const parts[] = { token, p.challenge, p.nonce, mac };

        proof_make(&p, PROOF_CLIENT, token, sizeof(token), mac);
        for (size_t k = 0; k < ELEMENTSOF(parts); k++)
                for (size_t i = 0; i < PROOF_SIZE; i++)
                        for (unsigned bit = 0; bit < 8; bit++) {
                                parts[k][i] ^= (uint8_t)(1U << bit);
                                assert_false(
                                        proof_holds(&p, PROOF_CLIENT, token, sizeof(token), mac));
                                parts[k][i] ^= (uint8_t)(1U << bit);
                        }
        for (unsigned bit = 0; bit < 32; bit++) {
                p.port ^= 1U << bit;
                assert_false(proof_holds(&p, PROOF_CLIENT, token, sizeof(token), mac));
                p.port ^= 1U << bit;
        }
        assert_false(proof_holds(&p, PROOF_CLIENT, token, sizeof(token) - 1, mac));
        assert_true(proof_holds(&p, PROOF_CLIENT, token, sizeof(token), mac));
}

static void test_text(void **state)
{
        static const char *const wrong[] = {
                "",
                TEXT_01 "0",
                TEXT_01 "01",
                "010101010101010101010101010101010101010101010101010101010101010",
                "0x01010101010101010101010101010101010101010101010101010101010101",
                "0101010101010101010101010101010101010101010101010101010101010g01",
                "/101010101010101010101010101010101010101010101010101010101010101",
                ":101010101010101010101010101010101010101010101010101010101010101",
                "@101010101010101010101010101010101010101010101010101010101010101",
                "`101010101010101010101010101010101010101010101010101010101010101",
        };
        uint8_t bytes[PROOF_SIZE], same[PROOF_SIZE];
        char text[PROOF_TEXT_SIZE];

        for (size_t i = 0; i < PROOF_SIZE; i++)
                bytes[i] = (uint8_t)(i * 37 + 0x6a);
        proof_to_text(bytes, text);
        assert_int_equal(strspn(text, "0123456789abcdef"), 64);
        assert_int_equal(proof_from_text(text, same), 0);
        assert_memory_equal(bytes, same, sizeof(bytes));
        for (char *c = text; *c; c++)
                if (*c >= 'a')
                        *c = (char)(*c - 'a' + 'A');
        memset(same, 0, sizeof(same));
        assert_int_equal(proof_from_text(text, same), 0);
        assert_memory_equal(bytes, same, sizeof(bytes));

        /* What cannot be read leaves the bytes as they were. */
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(proof_from_text(wrong[i], same), -EINVAL);
                assert_memory_equal(bytes, same, sizeof(bytes));
        }
}

static void test_random(void **state)
{
        uint8_t seen[64][PROOF_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(seen); i++) {
                assert_int_equal(proof_random(seen[i]), 0);
                for (size_t k = 0; k < i; k++)
                        assert_memory_not_equal(seen[i], seen[k], PROOF_SIZE);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_every_bit_counts),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
