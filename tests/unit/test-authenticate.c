/* SPDX-License-Identifier: MIT */

/* agent.challenge and agent.authenticate by a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "config/token.h"
#include "methods/attempts.h"
#include "rpc/proof.h"
#include "tests/lib/world.h"

/* How long the guest has slept, as it seems to all in this program. */
static time_t slept;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
        int r = (int)syscall(SYS_clock_gettime, clock, ts);

        if (r == 0 && clock == CLOCK_BOOTTIME)
                ts->tv_sec += slept;
        return r;
}

static const char token_text[] = "0123456789abcdef0123456789abcdef";

/* A guest with a token, and a caller on its port 1000. */
static World *world_with_token(const Peer *from)
{
        static const ListenSettings port = { .trust = TRUST_TOKEN };
        Peer peer = *from;
        World *w;

        if (peer.kind == PEER_VSOCK)
                peer.local_port = 1000;
        w = world_new(&peer, false);
        world_set_port(w, &port);
        w->config.token = token_new(token_text, strlen(token_text));
        assert_non_null(w->config.token);
        slept = 0;
        return w;
}

static World *world_with_token_free(World *w)
{
        (void)token_free(w->config.token);
        return world_free(w);
}
DEFINE_CLEANUP(World, world_with_token_free)

/* The answer to a new challenge. */
static void answer(World *w, uint32_t port, const char *token, Proof *ret,
                   char ret_mac[static PROOF_TEXT_SIZE])
{
        json_object *result = world_call(w, "agent.challenge");
        Proof p = { .port = port, .nonce = { 1, 2, 3 } };
        uint8_t mac[PROOF_SIZE];

        assert_as_declared(w, "agent.challenge", result);
        assert_int_equal(proof_from_text(member_text(result, "challenge"), p.challenge), 0);
        assert_int_equal(member_unsigned(result, "port"), port);
        assert_int_equal(member_unsigned(result, "expires_us"), 10 * SECOND);
        json_object_put(result);
        proof_make(&p, PROOF_CLIENT, token, strlen(token), mac);
        proof_to_text(mac, ret_mac);
        *ret = p;
}

/* The reply to a proof; the caller's. */
static json_object *prove(World *w, const Proof *p, const char *mac)
{
        _cleanup_free_ char *text = NULL;
        char nonce[PROOF_TEXT_SIZE];
        json_object *reply;

        proof_to_text(p->nonce, nonce);
        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.authenticate\","
                           "\"params\":{\"client_nonce\":\"%s\",\"mac\":\"%s\"}}\n",
                           nonce, mac);
        world_send(w, text);
        reply = json_tokener_parse(world_receive(w));
        assert_non_null(reply);
        return reply;
}

static void expect_proof(World *w, const Proof *p, const char *mac)
{
        _cleanup_json_ json_object *reply = prove(w, p, mac);
        json_object *result = member(reply, "result");
        uint8_t agents[PROOF_SIZE];

        assert_as_declared(w, "agent.authenticate", result);
        assert_int_equal(proof_from_text(member_text(result, "mac"), agents), 0);
        assert_true(proof_holds(p, PROOF_AGENT, token_text, strlen(token_text), agents));
        assert_true(json_object_get_boolean(member(result, "privileged")));
}

static json_object *expect_refusal(World *w, const Proof *p, const char *mac, const char *reason)
{
        json_object *reply = prove(w, p, mac), *error = member(reply, "error");

        assert_string_equal(member_text(member(error, "data"), "reason"), reason);
        return reply;
}

static void test_ports(void **state)
{
        static const Peer tcp_peer = { .kind = PEER_TCP, .port = 5, .local_port = 9 };
        static const Peer unix_peer = { .kind = PEER_UNIX, .uid = 5, .local_port = 9 };
        static const struct {
                const Peer *peer;
                uint32_t port;
        } cases[] = { { &vsock_peer, 1000 }, { &tcp_peer, 0 }, { &unix_peer, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(world_with_token_freep) World *w = world_with_token(cases[i].peer);
                char mac[PROOF_TEXT_SIZE];
                Proof p;

                answer(w, cases[i].port, token_text, &p, mac);
                expect_proof(w, &p, mac);
                assert_int_equal(w->proofs[true], 1);
                assert_int_equal(w->proofs[false], 0);
        }
}

static void test_expiry(void **state)
{
        _cleanup_(world_with_token_freep) World *w = world_with_token(&vsock_peer);
        char mac[PROOF_TEXT_SIZE];
        Proof p;

        answer(w, 1000, token_text, &p, mac);
        slept += 9;
        expect_proof(w, &p, mac);

        answer(w, 1000, token_text, &p, mac);
        slept += 10;
        json_object_put(expect_refusal(w, &p, mac, "timeout"));
        /* It is gone for good, and the next one is as good as ever. */
        json_object_put(expect_refusal(w, &p, mac, "not-found"));
        answer(w, 1000, token_text, &p, mac);
        expect_proof(w, &p, mac);
        /* Whoever is late is not guessing. */
        assert_int_equal(w->proofs[false], 0);
}

static void test_held_off(void **state)
{
        _cleanup_(world_with_token_freep) World *w = world_with_token(&vsock_peer);
        json_object *reply, *data;
        char mac[PROOF_TEXT_SIZE];
        Proof p;

        for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
                answer(w, 1000, "another token of thirty-two bytes", &p, mac);
                json_object_put(expect_refusal(w, &p, mac, "not-privileged"));
                slept++;
        }
        assert_int_equal(w->proofs[false], ATTEMPTS_MAX);
        answer(w, 1000, token_text, &p, mac);
        reply = expect_refusal(w, &p, mac, "limit");
        data = member(member(reply, "error"), "data");
        assert_in_range(member_unsigned(data, "retry_after_us"), 1, 5 * SECOND);
        json_object_put(reply);
        /* The challenge was not looked at, and the interval counts from the first failure. */
        slept += 5;
        expect_proof(w, &p, mac);
        assert_int_equal(w->proofs[false], ATTEMPTS_MAX);
}

/* By the clock alone, without a loop. */
static void test_attempts(void **state)
{
        static const Peer host = { .kind = PEER_VSOCK, .cid = 2, .port = 1024 };
        static const Peer root = { .kind = PEER_VSOCK, .cid = 2, .port = 1023 };
        static const Peer again = { .kind = PEER_VSOCK, .cid = 2, .port = 70000 };
        static const Peer sibling = { .kind = PEER_VSOCK, .cid = 22 };
        static const Peer user = { .kind = PEER_UNIX, .uid = 2 };
        Attempts a = { 0 };

        for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
                assert_int_equal(attempts_wait(&a, &host, 100), 0);
                attempts_failed(&a, &host, 100);
        }
        /* Another source port does not make another caller. */
        assert_int_equal(attempts_wait(&a, &again, 101), ATTEMPTS_INTERVAL_USEC - 1);
        assert_int_equal(attempts_wait(&a, &root, 101), 0);
        assert_int_equal(attempts_wait(&a, &sibling, 101), 0);
        assert_int_equal(attempts_wait(&a, &user, 101), 0);
        assert_int_equal(attempts_wait(&a, &host, 100 + ATTEMPTS_INTERVAL_USEC - 1), 1);
        assert_int_equal(attempts_wait(&a, &host, 100 + ATTEMPTS_INTERVAL_USEC), 0);

        /* Where there is no room, the one that began first is forgotten, and no other. */
        for (uint32_t i = 0; i < GUESSERS_MAX; i++) {
                const Peer guest = { .kind = PEER_VSOCK, .cid = 100 + i };

                for (unsigned k = 0; k < ATTEMPTS_MAX; k++)
                        attempts_failed(&a, &guest, 200 + i);
        }
        for (uint32_t i = 0; i < GUESSERS_MAX; i++) {
                const Peer guest = { .kind = PEER_VSOCK, .cid = 100 + i };

                assert_int_not_equal(attempts_wait(&a, &guest, 300), 0);
        }
        assert_int_equal(attempts_wait(&a, &host, 300), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ports),
                cmocka_unit_test(test_expiry),
                cmocka_unit_test(test_held_off),
                cmocka_unit_test(test_attempts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
