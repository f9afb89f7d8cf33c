/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "config/config.h"
#include "methods/context.h"
#include "rpc/method.h"

/*
 * Methods of the configuration's own: `[method NAME]` with a program for each call, and
 * `[method PREFIX.*]`, whose calls go to a local JSON-RPC server. They live as long as the
 * MethodSet that they are in, that is until the last call that uses them has ended.
 */
typedef struct LocalMethods LocalMethods;

/* Builds the rows of config's [method] sections. *ret_table: the table to add, which ends with a
 * NULL name (empty without sections). A server that `previous` (may be NULL) knows under the same
 * address keeps its connection. 0 or -errno. */
int local_methods_new(AgentContext *context, const Config *config, LocalMethods *previous,
                      LocalMethods **ret, const Method **ret_table);
/* For method_set_set_owner(): frees the rows when the set is freed. */
LocalMethods *local_methods_unref(LocalMethods *l);

/* Local servers' own OpenRPC documents, for rpc.discover: merges what each gives within a
 * second into `methods` (an array) and calls done. */
typedef void (*LocalDiscoverFunction)(json_object *methods, void *userdata);
