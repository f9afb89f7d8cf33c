/* SPDX-License-Identifier: MIT */
#pragma once

#include "config/config.h"
#include "methods/context.h"
#include "methods/local-server.h"
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
DEFINE_CLEANUP(LocalMethods, local_methods_unref)

/* The server behind a METHOD_PREFIX row of such a table, and the bytes that its replies may have.
 */
LocalServer *local_method_server(const Method *row);
