/* SPDX-License-Identifier: MIT */

/*
 * `trust = token`: privilege for who proves the token that guest and host share, where source ports
 * and user ids prove nothing. The agent proves it, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "methods/context.h"
#include "methods/facts.h"
#include "methods/members.h"
#include "rpc/proof.h"
#include "rpc/session.h"

typedef struct Challenge Challenge;

/* The one that a connection may answer: its last, once. */
struct Challenge {
        uint8_t bytes[PROOF_SIZE];
        uint64_t issued; /* CLOCK_BOOTTIME: a guest that sleeps grows older */
};

/* Of call_companion(). */
static const char challenge_key;

static void challenge_free(void *value)
{
        explicit_bzero(value, sizeof(Challenge));
        free(value);
}

/* Whether there is something to prove; else the call is ended. */
static bool authenticate_is_possible(Call *call, const AgentContext *context)
{
        const ListenSettings *port = call_port_settings(call);

        if (!port || !(port->trust & TRUST_TOKEN)) {
                call_fail(call, REASON_UNSUPPORTED, 0,
                          "`trust` of this port does not name token: nothing is gained by proving "
                          "it here");
                return false;
        }
        if (!context->config->token) {
                call_fail(call, REASON_UNAVAILABLE, 0,
                          "The agent has no token: it was given neither the credential "
                          "guestwire.token nor a token-file");
                return false;
        }
        return true;
}

static uint32_t authenticate_port(const Call *call)
{
        const Peer *p = call_peer(call);

        return p->kind == PEER_VSOCK ? p->local_port : 0;
}

static void agent_challenge(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        char text[PROOF_TEXT_SIZE];
        Challenge *challenge;
        Members m;
        int r;

        if (!authenticate_is_possible(call, context))
                return;
        challenge = calloc(1, sizeof(*challenge));
        r = challenge ? proof_random(challenge->bytes) : -ENOMEM;
        if (r >= 0) {
                proof_to_text(challenge->bytes, text);
                challenge->issued = facts_now(CLOCK_BOOTTIME);
                r = call_set_companion(call, &challenge_key, challenge, challenge_free);
        }
        if (r < 0) {
                free(challenge);
                if (r == -EAGAIN)
                        call_fail(call, REASON_NOT_READY, -r,
                                  "The guest has no random numbers yet: try again in a moment");
                else if (r == -ENOMEM)
                        call_reply(call, NULL);
                else
                        call_fail(call, REASON_FAILED, -r, "No random numbers: %s", strerror(-r));
                return;
        }
        members_init(&m);
        members_add_text(&m, "challenge", text);
        members_add_unsigned(&m, "port", authenticate_port(call));
        members_add_unsigned(&m, "expires_us", PROOF_LIFETIME_USEC);
        call_reply(call, members_take(&m));
}

/* 32 bytes, or the call is ended. */
static bool authenticate_take(Call *call, json_object *params, const char *key,
                              uint8_t ret[static PROOF_SIZE])
{
        if (proof_from_text(json_object_get_string(json_object_object_get(params, key)), ret) >= 0)
                return true;
        call_fail_params(call, "Parameter \"%s\" must be %u bytes as %u hexadecimal digits", key,
                         PROOF_SIZE, 2 * PROOF_SIZE);
        return false;
}

/* Uses the connection's challenge up, whatever becomes of it; or the call is ended. */
static bool authenticate_take_challenge(Call *call, uint8_t ret[static PROOF_SIZE])
{
        Challenge *challenge = call_companion(call, &challenge_key);
        bool expired;

        if (!challenge) {
                call_fail(call, REASON_NOT_FOUND, 0,
                          "There is no challenge to answer, or it was answered: agent.challenge "
                          "gives one");
                return false;
        }
        memcpy(ret, challenge->bytes, PROOF_SIZE);
        expired = facts_now(CLOCK_BOOTTIME) - challenge->issued >= PROOF_LIFETIME_USEC;
        (void)call_set_companion(call, &challenge_key, NULL, NULL);
        if (expired)
                call_fail(call, REASON_TIMEOUT, 0,
                          "The challenge is older than %u s: agent.challenge gives another",
                          PROOF_LIFETIME_USEC / 1000000);
        return !expired;
}

static void authenticate_reply(Call *call, const Proof *proof, const Token *token)
{
        uint8_t mac[PROOF_SIZE];
        char text[PROOF_TEXT_SIZE];
        Members m;

        proof_make(proof, PROOF_AGENT, token->bytes, token->n, mac);
        proof_to_text(mac, text);
        members_init(&m);
        members_add_text(&m, "mac", text);
        members_add_boolean(&m, "privileged", call_is_privileged(call));
        call_reply(call, members_take(&m));
}

static void agent_authenticate(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        const Token *token = context->config->token;
        Proof proof = { .port = authenticate_port(call) };
        uint64_t now = facts_now(CLOCK_BOOTTIME), wait;
        uint8_t mac[PROOF_SIZE];
        bool proved;

        if (!authenticate_is_possible(call, context) ||
            !authenticate_take(call, params, "client_nonce", proof.nonce) ||
            !authenticate_take(call, params, "mac", mac))
                return;
        wait = attempts_wait(&context->attempts, call_peer(call), now);
        if (wait > 0) {
                Members m;

                members_init(&m);
                members_add_unsigned(&m, "retry_after_us", wait);
                call_fail_data(call, REASON_LIMIT, 0, members_take(&m),
                               "Too many proofs from there did not hold: try again in %llu s",
                               (unsigned long long)(wait / 1000000 + 1));
                return;
        }
        if (!authenticate_take_challenge(call, proof.challenge))
                return;
        proved = proof_holds(&proof, PROOF_CLIENT, token->bytes, token->n, mac);
        if (!proved)
                attempts_failed(&context->attempts, call_peer(call), now);
        session_authenticated(call_session(call), proved);
        if (proved)
                authenticate_reply(call, &proof, token);
        else
                call_fail(call, REASON_NOT_PRIVILEGED, 0,
                          "The mac does not hold: the caller's token is not this guest's");
}

static const Field challenge_result[] = {
        { "challenge", FIELD_STRING, 0, "32 random bytes, as hexadecimal digits", NULL },
        { "port", FIELD_INTEGER, 0,
          "The AF_VSOCK port that was called, which goes into the proof; 0 on other sockets",
          NULL },
        { "expires_us", FIELD_INTEGER, 0, "Microseconds until it is good for nothing", NULL },
        {},
};

static const Field authenticate_params[] = {
        { "client_nonce", FIELD_STRING, 0, "32 random bytes of the caller's, in hexadecimal",
          NULL },
        { "mac", FIELD_STRING, 0, "The caller's proof of the token, in hexadecimal", NULL },
        {},
};

static const Field authenticate_result[] = {
        { "mac", FIELD_STRING, 0, "The agent's proof of the token, in hexadecimal", NULL },
        { "privileged", FIELD_BOOLEAN, 0, "Whether privileged methods are open to the caller now",
          NULL },
        {},
};

const Method authenticate_methods[] = {
        { .name = "agent.authenticate",
          .run = agent_authenticate,
          .summary = "Makes a caller privileged that proves the token of this guest",
          .params = authenticate_params,
          .result = authenticate_result,
          .reasons = 1U << REASON_NOT_FOUND | 1U << REASON_NOT_PRIVILEGED | 1U << REASON_TIMEOUT |
                     1U << REASON_UNAVAILABLE | 1U << REASON_UNSUPPORTED },
        { .name = "agent.challenge",
          .run = agent_challenge,
          .summary = "Gives 32 random bytes for agent.authenticate, once, for 10 seconds",
          .result = challenge_result,
          .reasons = 1U << REASON_FAILED | 1U << REASON_NOT_READY | 1U << REASON_UNAVAILABLE |
                     1U << REASON_UNSUPPORTED },
        {},
};
