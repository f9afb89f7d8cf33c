/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "io/peer.h"
#include "rpc/error.h"
#include "rpc/method.h"

/*
 * One call of one caller. Whoever runs it ends it exactly once; ending it frees it. Until
 * then it may be kept across turns of the loop.
 */
typedef struct Call Call;

/* Ends the call with a result, which is taken over. NULL means no memory: -32603. */
void call_reply(Call *call, json_object *result);
/* Ends the call with a result that is JSON text already (valid, without a newline). */
void call_reply_text(Call *call, const char *json, size_t length);
/* Ends the call with an application error, -32000. error: errno (positive) or 0. */
void call_fail(Call *call, Reason reason, int error, const char *format, ...) _printf_(4, 5);
/* The same with further members for `data` (an object, taken over; may be NULL). */
void call_fail_data(Call *call, Reason reason, int error, json_object *data, const char *format,
                    ...) _printf_(5, 6);
/* Ends the call with the error of somebody else who ran it: JSON text of an object that has an
 * integer `code` and a string `message`, without a newline, which becomes the reply's as it is. */
void call_fail_passed(Call *call, const char *json, size_t length);
/* Ends the call with -32602; the message names the parameter. */
void call_fail_params(Call *call, const char *format, ...) _printf_(2, 3);

typedef enum CallEnd {
        CALL_CANCELLED, /* rpc.cancel: the error is sent once the holder has ended the call */
        CALL_GONE,      /* the caller has gone away: nobody reads the reply */
        CALL_SHUTDOWN,  /* the daemon stops and has no more time */
} CallEnd;

/*
 * Tells the holder of a running call to bring it to an end. The holder must still end the
 * call, at once or when its work has wound up, by call_fail(call, REASON_CANCELLED, ...). Once
 * the caller is gone (CALL_GONE) nothing but its end may be asked of the call.
 */
typedef void (*CallCancelFunction)(Call *call, CallEnd why, void *userdata);
/* Ends it so, and says why: `what` becomes of what it did. */
void call_fail_ended(Call *call, CallEnd why, const char *what);
/* An ASYNC method sets this before it returns. */
void call_set_cancel(Call *call, CallCancelFunction f, void *userdata);

const Method *call_method(const Call *call);
/* The method's name as it was called: of a METHOD_PREFIX longer than its row's. */
const char *call_name(const Call *call);
const Peer *call_peer(const Call *call);
/* The methods in force when it began, which it keeps. */
MethodSet *call_methods(const Call *call);
/* Whether the caller is privileged on this port. */
bool call_is_privileged(const Call *call);
/* The connection that the call came by; what rpc.cancel and streaming methods need. */
struct Session *call_session(const Call *call);

/*
 * What comes before the reply: a notification to the caller, in its dialect. params is taken over.
 * Who produces many asks first whether the caller reads: above STREAM_OUTPUT_HIGH of output
 * waiting it does not, and `writable` is called once it does again (in a later turn of the loop).
 */
void call_notify(Call *call, const char *method, json_object *params);
bool call_is_congested(const Call *call);
void call_set_writable(Call *call, void (*writable)(Call *call, void *userdata), void *userdata);

/* The id that the caller gave the call, as JSON text; NULL for a call without. Borrowed. */
const char *call_id_text(const Call *call);
/* Another call of the same connection that is running and has this id (json_object_equal), or
 * NULL. */
Call *call_find(const Call *call, json_object *id);
/* What call_set_cancel() was given, if it was given that function; else NULL. So a method knows
 * calls of its own. */
void *call_holder(const Call *call, CallCancelFunction f);

/*
 * Things that live as long as a connection, by a key of their owner's (an address). A later
 * one of the same key replaces the earlier, which is freed; value NULL just frees. 0 or -ENOMEM:
 * then value is not taken over.
 */
void *call_companion(const Call *call, const void *key);
int call_set_companion(Call *call, const void *key, void *value, void (*free_value)(void *value));
/* The settings of the port that the call came by, as the session's owner gave them, or NULL.
 * Borrowed, for the turn of the loop: a reload may replace them. */
const void *call_port_settings(const Call *call);
