/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/buffer.h"
#include "rpc/dialect.h"

/* How JSON-RPC's replies are written: dialect-jsonrpc.c decides what and when. batch: where the
 * replies of a batch are collected, or NULL: straight in the stream and with a newline. */
void jsonrpc_write_result(Session *s, Buffer *batch, const char *id, size_t id_length,
                          const char *json, size_t length);
void jsonrpc_write_error(Session *s, Buffer *batch, const char *id, size_t id_length,
                         const CallError *error);
/* All that was collected, as one array. */
void jsonrpc_write_batch(Session *s, const Buffer *batch);
void jsonrpc_write_notification(Session *s, void *state, const char *method, const char *params,
                                size_t length);
