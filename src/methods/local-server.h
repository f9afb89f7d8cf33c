/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "io/address.h"
#include "rpc/call.h"

/*
 * A JSON-RPC server of this machine's on a Unix socket, and the one connection to it that all
 * calls share: made when it is first needed, and anew when it is needed after it was lost.
 */
typedef struct LocalServer LocalServer;
typedef struct LocalRequest LocalRequest;

/* In flight at once: one more is answered `busy`. */
#define LOCAL_SERVER_CALLS_MAX 1024U

/* The result of a request that no call stands behind: JSON text, borrowed; NULL: there is none. */
typedef void (*LocalResultFunction)(const char *json, size_t length, void *userdata);

/* max_message: bytes of one reply. 0 or -errno. */
int local_server_new(sd_event *event, const Address *address, size_t max_message,
                     LocalServer **ret);
LocalServer *local_server_ref(LocalServer *s);
LocalServer *local_server_unref(LocalServer *s);
DEFINE_CLEANUP(LocalServer, local_server_unref)

const Address *local_server_address(const LocalServer *s);
/* Holds from the next reply. */
void local_server_set_max_message(LocalServer *s, size_t max_message);

/*
 * Passes the call on under its own name; its end, whatever it is, is seen to here. params:
 * borrowed, NULL for none. timeout: microseconds, TEXT_INFINITY for none.
 */
void local_server_call(LocalServer *s, Call *call, json_object *params, uint64_t timeout);

/* A request of the agent's own. done is called once, never from within this function. 0, -EBUSY
 * or -errno. */
int local_server_ask(LocalServer *s, const char *method, LocalResultFunction done, void *userdata,
                     LocalRequest **ret);
/* Forgets a request before its end: done is not called. NULL is fine. */
LocalRequest *local_request_forget(LocalRequest *r);
