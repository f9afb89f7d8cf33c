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
