/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "rpc/scan.h"

/* The words between the agent, as a client, and a local JSON-RPC 2.0 server. */
typedef struct WireReply WireReply;

struct WireReply {
        uint64_t id; /* 0: nothing of ours is answered by it */
        bool is_error;
        char *json; /* the result, or the error object; within the text */
        size_t length;
};

/* For the scan that cuts a server's texts. */
extern const ScanKeys wire_reply_keys;

/*
 * Reads a whole text that the scan has marked. False where it is neither a reply nor a request or
 * notification: whoever sends that is no JSON-RPC server. An error has an integer `code` and a
 * string `message`. What a server asks or tells on its own has the id 0.
 */
bool wire_read(const Scan *scan, char *text, WireReply *ret);

/* One request in one line; method is UTF-8, params the JSON text of an object. 0, or -ENOMEM: then
 * nothing was appended. */
int wire_append_request(Buffer *b, uint64_t id, const char *method, const char *params,
                        size_t length);
/* The notification that a request need not be answered any more. As above. */
int wire_append_cancel(Buffer *b, uint64_t id);
