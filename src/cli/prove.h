/* SPDX-License-Identifier: MIT */
#pragma once

#include "cli/client.h"
#include "cli/verb.h"
#include "config/token.h"

/*
 * The token that --token names, or else the credential guestwire.token of this process; NULL where
 * there is neither. EXIT_OK with *ret the caller's, or another ExitCode: then the reason has been
 * printed.
 */
int prove_load(const Settings *s, Token **ret);

/*
 * Proves the token to the agent and has the agent prove it to us: one that cannot is refused, since
 * nothing else tells it from whoever else has come to answer there. EXIT_OK, or another ExitCode:
 * then the reason has been printed.
 */
int prove_token(Client *c, const Settings *s, const Token *token);
