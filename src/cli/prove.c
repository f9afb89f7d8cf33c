/* SPDX-License-Identifier: MIT */
#include "cli/prove.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"
#include "rpc/proof.h"

int prove_load(const Settings *s, Token **ret)
{
        _cleanup_free_ char *credential = NULL, *problem = NULL, *shown = NULL;
        int r;

        if (!s->token) {
                r = credential_path("guestwire.token", &credential);
                if (r == -ENOENT)
                        return EXIT_OK;
                if (r < 0) {
                        output_error("out of memory");
                        return EXIT_REFUSED;
                }
        }
        r = token_read(credential ?: s->token, credential ? 0 : TOKEN_CHECK_FILE, ret, &problem);
        if (r >= 0 || (r == -ENOENT && credential))
                return EXIT_OK;
        shown = output_shown(credential ?: s->token);
        output_error("the token in %s: %s", shown, problem ?: strerror(-r));
        return EXIT_USAGE;
}

static int add_text(json_object *object, const char *key, const uint8_t bytes[static PROOF_SIZE])
{
        char text[PROOF_TEXT_SIZE];

        proof_to_text(bytes, text);
        return json_object_object_add(object, key, json_object_new_string(text)) == 0 ? 0 : -ENOMEM;
}

/* A member of what an agent answered, which may be anything. */
static bool take_bytes(json_object *object, const char *key, uint8_t ret[static PROOF_SIZE])
{
        json_object *member = NULL;

        return json_object_is_type(object, json_type_object) &&
               json_object_object_get_ex(object, key, &member) &&
               json_object_is_type(member, json_type_string) &&
               proof_from_text(json_object_get_string(member), ret) >= 0;
}

static int distrusted(const Client *c, const char *why)
{
        _cleanup_free_ char *to = address_to_text(client_target(c));

        output_error("what answers at %s %s: nothing more was asked of it", to ?: "?", why);
        return EXIT_CONNECTION;
}

/* Which port the agent must have been called on, for what it proves to be about this call. */
static uint32_t port_of(const Address *target)
{
        return target->kind == ADDRESS_VSOCK || target->kind == ADDRESS_MUX ? target->port : 0;
}

static int ask_challenge(Client *c, const Settings *s, Proof *proof)
{
        _cleanup_json_ json_object *result = NULL;
        json_object *port = NULL;
        int r;

        r = target_call(c, s, "agent.challenge", NULL, &result);
        if (r != EXIT_OK)
                return r;
        if (!take_bytes(result, "challenge", proof->challenge))
                return distrusted(c, "gave no challenge that guestwire knows");
        /* It goes into the proof, and is only looked at to say why that would fail. */
        if (json_object_object_get_ex(result, "port", &port) &&
            json_object_get_int64(port) != (int64_t)proof->port)
                return distrusted(c, "was called by another port than we call: something between "
                                     "us passes the connection on, where a token cannot be proved");
        return EXIT_OK;
}

int prove_token(Client *c, const Settings *s, const Token *token)
{
        _cleanup_json_ json_object *params = NULL, *result = NULL;
        Proof proof = { .port = port_of(client_target(c)) };
        uint8_t mac[PROOF_SIZE];
        int r;

        r = ask_challenge(c, s, &proof);
        if (r != EXIT_OK)
                return r;
        r = proof_random(proof.nonce);
        if (r < 0) {
                output_error("no random numbers: %s", strerror(-r));
                return EXIT_REFUSED;
        }
        proof_make(&proof, PROOF_CLIENT, token->bytes, token->n, mac);
        params = json_object_new_object();
        if (!params || add_text(params, "client_nonce", proof.nonce) < 0 ||
            add_text(params, "mac", mac) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = target_call(c, s, "agent.authenticate", params, &result);
        if (r != EXIT_OK)
                return r;
        if (!take_bytes(result, "mac", mac) ||
            !proof_holds(&proof, PROOF_AGENT, token->bytes, token->n, mac))
                return distrusted(c, "does not know the token");
        return EXIT_OK;
}
