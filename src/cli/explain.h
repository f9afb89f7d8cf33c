/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "io/address.h"

/*
 * Errors as sentences that say what to do. All return allocated text, or NULL without memory.
 * What a guest said is shown with its control characters escaped.
 */

/* Why a connection could not be made. error: negative errno; problem: the dial's words or NULL. */
char *explain_dial(const Address *target, int error, const char *problem);
/* Why a connection ended that had been made. n_answers: how many calls were answered before. */
char *explain_end(const Address *target, int error, uint64_t n_answers);
/* What the guest said no with: JSON-RPC's error object (an integer `code`, a string `message`). */
char *explain_refusal(const Address *target, const char *method, json_object *error);
