/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "io/address.h"

/*
 * A connection to an agent, and calls over it, one at a time. Each function runs a loop of its
 * own until its work is done, the deadline has come, or client_interrupt() was called. Nothing
 * is printed here. The guest is not trusted: what it sends is bounded, checked, and ignored
 * unless it answers the call.
 */
typedef struct Client Client;

/* What one reply may be. A reply past it ends the connection with -EMSGSIZE. */
#define CLIENT_REPLY_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define CLIENT_REPLY_VALUES_MAX ((size_t)256 * 1024)

/* dial_flags: DialFlags. Nothing is connected yet. 0, -ENOMEM, -errno of sd_event_new(). */
int client_new(const Address *target, unsigned dial_flags, Client **ret);
Client *client_free(Client *c);
DEFINE_CLEANUP(Client, client_free)

/* CLOCK_MONOTONIC in microseconds: when what follows gives up with -ETIMEDOUT; TEXT_INFINITY
 * (the default) for never. */
void client_set_deadline(Client *c, uint64_t usec);

/* Connects. 0; -errno as dial_start() and DialFunction have it, with client_problem(). */
int client_connect(Client *c);

/*
 * Connects again and again, the pauses growing from 20 ms to 1 s, until the agent has answered a
 * call (any answer will do), or `until` or the deadline has passed: -ETIMEDOUT. 0; -errno for
 * what waiting cannot cure. failed: may be NULL; told after each attempt why it failed.
 */
typedef void (*ClientFailedFunction)(Client *c, int error, void *userdata);
int client_wait(Client *c, uint64_t until, ClientFailedFunction failed, void *userdata);
/* The same until a connection is made: nothing is sent to what need not be an agent. */
int client_wait_connected(Client *c, uint64_t until, ClientFailedFunction failed, void *userdata);

/* The socket of a connection by which nothing was called yet, or a last call: non-blocking. The
 * caller's from now on; the client has none. */
int client_take_fd(Client *c);

/*
 * One call. params: an object or array, borrowed, or NULL for none. 0 with *ret_result (owned
 * by the caller; NULL is JSON's null); CLIENT_REFUSED with *ret_error, the error object: it has
 * an integer `code` and a string `message`; -ETIMEDOUT (the connection is still good, a late
 * reply will be ignored); -EINTR; -ECONNRESET, -EPIPE or another -errno where the connection
 * ended; -EBADMSG where the answer is not JSON-RPC; -EMSGSIZE.
 */
#define CLIENT_REFUSED 1
int client_call(Client *c, const char *method, json_object *params, json_object **ret_result,
                json_object **ret_error);

/*
 * One call after whose reply no JSON need follow, such as a raw call (cli/raw.h): what comes behind
 * the reply stays as it is. The same outcomes; after 0 client_take_fd() has the socket, and
 * client_take_received() what was received behind the reply, the caller's from now on.
 */
int client_call_last(Client *c, const char *method, json_object *params, json_object **ret_result,
                     json_object **ret_error);
Buffer client_take_received(Client *c);
/* The connection again, for further calls. fd is taken over, also on failure, and *received, which
 * is left empty. 0 or -errno. */
int client_give_fd(Client *c, int fd, Buffer *received);
/* The id of the last call, as JSON. Valid until the next one. */
const char *client_last_id(const Client *c);

/* Lets time pass, until `until` (CLOCK_MONOTONIC, microseconds). 0; -EINTR; -errno where the
 * connection ended meanwhile. */
int client_pause(Client *c, uint64_t until);

/* Makes the function that is running, or the next one, return -EINTR. Fit for event sources. */
void client_interrupt(Client *c);

/* The loop, for sources of the caller's. Borrowed. */
sd_event *client_event(Client *c);
const Address *client_target(const Client *c);
/* How many replies to calls came, over all connections of this client. */
uint64_t client_answers(const Client *c);
/* Whether a connection was made; also after its end, until the next attempt: what failed then
 * is not connecting. */
bool client_is_connected(const Client *c);
/* Why connecting failed, in the dial's words, or NULL. Valid until the next attempt. */
const char *client_problem(const Client *c);

/* CLOCK_MONOTONIC, microseconds. */
uint64_t client_now(void);
/* now + span, which may be TEXT_INFINITY and does not wrap. */
uint64_t client_later(uint64_t now, uint64_t span);
