/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "rpc/scan.h"

/* The answer to a call, as JSON-RPC 2.0 puts it: one of the two. */
typedef struct Reply Reply;

struct Reply {
        json_object *result; /* NULL is JSON's null where there is no error */
        json_object *error;  /* has an integer `code` and a string `message` */
};

#define REPLY_NULL ((Reply){ 0 })

/* A scan that marks the members of a reply. */
void reply_scan_init(Scan *s, size_t max_bytes, size_t max_values);

/*
 * Looks in a text that the scan has found whole for the reply to the call `id` ("" for none: then
 * everything is passed over). An error without an id answers whatever is asked: the guest could
 * not read which. 1 with *ret, which the caller owns (reply_done); 0 where there is none, as in
 * notifications and late replies; -EBADMSG for what is not JSON-RPC 2.0, or not to be held in
 * json-c's numbers; -ENOMEM.
 */
int reply_find(const Scan *s, const char *text, const char *id, Reply *ret);

void reply_done(Reply *r);
