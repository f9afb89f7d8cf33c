/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "methods/context.h"
#include "rpc/call.h"

/*
 * Calls of file.* are run by helpers: processes of their own, outside the agent's sandbox where
 * there is one, each for one connection and one user. A helper may hang (a network file system
 * whose server is away): it holds up no call but those of its connection and user, which can be
 * cancelled, and end with the connection.
 */
typedef struct FilePool FilePool;

/* Those of one connection, and those of all. At these the call is `busy`. */
#define FILE_HELPERS_PER_CONNECTION 8U
#define FILE_HELPERS_MAX 128U

/*
 * Hands the call over, whose parameters (borrowed, may be NULL) are sound; it ends, now or later.
 * raw: it becomes a raw call, in which the caller may use the channels of this mask.
 */
void file_helper_run(AgentContext *context, Call *call, json_object *params, bool raw,
                     unsigned channels_in);
