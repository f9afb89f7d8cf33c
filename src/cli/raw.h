/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "base/buffer.h"
#include "cli/client.h"
#include "cli/reply.h"

/*
 * Raw calls from the caller's side (docs/protocol.md): after the first answer the connection
 * carries frames (rpc/frame.h), until the call's reply has come on channel 0 and both sides have
 * ended that.
 */
typedef struct RawCall RawCall;

struct RawCall {
        int fd;          /* non-blocking */
        Buffer received; /* what came behind the first answer; it may begin with white space */
        char id[24];     /* the call's, as JSON */
};

#define RAW_CALL_NULL ((RawCall){ .fd = -EBADF })

/*
 * Makes a raw call: params, borrowed, has `raw` among its members. 0 with *ret, which the caller
 * owns, and *ret_answer, the first answer, likewise; else as client_call(), and the client's
 * connection is still its own.
 */
int client_raw_begin(Client *c, const char *method, json_object *params, RawCall *ret,
                     json_object **ret_answer, json_object **ret_error);

/* Gives the connection back for further calls. Between two frames: both sides have ended channel 0,
 * and `received` holds what came behind that. Left empty, also on failure. 0 or -errno. */
int client_raw_end(Client *c, RawCall *raw);

void raw_call_done(RawCall *raw);
#define _cleanup_raw_call_ _cleanup_(raw_call_done)

/* Whether a text that came on channel 0 is the call's reply, which is its end. 1 with *ret, the
 * caller's; 0; -EBADMSG where it is no sound JSON-RPC; -ENOMEM. */
int raw_call_find_reply(const RawCall *raw, const char *text, size_t n, Reply *ret);
