/* SPDX-License-Identifier: MIT */
#include "rpc/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rpc/call-internal.h"

static uint64_t monotonic_now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

Call *call_new(Session *s, const Request *request)
{
        Call *call;

        call = malloc(sizeof(*call) + request->id_length + 1);
        if (!call)
                return NULL;
        *call = (Call){
                .session = s,
                .stats = session_stats(s),
                .group = request->group,
                .no_reply = request->no_reply,
                .id_length = request->id_length,
        };
        if (request->id_length > 0)
                memcpy(call->id, request->id, request->id_length);
        call->id[request->id_length] = '\0';
        list_append(session_calls(s), &call->link);
        call->stats->calls_total++;
        call->stats->calls_running++;
        return call;
}

/* The call leaves its session, and is no more. */
static void call_end(Call *call, const char *outcome)
{
        list_remove(&call->link);
        call->stats->calls_running--;
        if (call->session)
                session_call_ended(call->session, call, outcome);
        (void)method_set_unref(call->methods);
        free(call->name);
        free(call);
}

void call_detach(Call *call)
{
        list_remove(&call->link);
        session_call_ended(call->session, call, "gone");
        call->session = NULL;
        if (call->cancel)
                call->cancel(call, CALL_GONE, call->cancel_userdata);
}

/* Whether somebody waits for the words of this call's end. */
static bool call_is_heard(const Call *call)
{
        return call->session && (!call->no_reply || call->group);
}

static void call_end_error(Call *call, const CallError *error, const char *outcome)
{
        Session *s = call->session;

        if (s)
                session_raw_finish(s, call);
        if (call_is_heard(call))
                session_dialect(s)->error(s, session_dialect_state(s), call, error);
        call_end(call, outcome);
}

void call_reply_text(Call *call, const char *json, size_t length)
{
        Session *s = call->session;

        if (s)
                session_raw_finish(s, call);
        if (call_is_heard(call))
                session_dialect(s)->result(s, session_dialect_state(s), call, json, length);
        call_end(call, "ok");
}

void call_reply(Call *call, json_object *result)
{
        const char *json = NULL;
        size_t length = 0;

        if (result)
                json = json_object_to_json_string_length(
                        result, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        if (json)
                call_reply_text(call, json, length);
        else
                call_fail_protocol(call, RPC_INTERNAL_ERROR, "out of memory");
        json_object_put(result);
}

void call_fail_protocol(Call *call, RpcCode code, const char *format, ...)
{
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        call->stats->errors_protocol[code]++;
        call_end_error(call, &(CallError){ .code = rpc_code_to_number(code), .message = message },
                       rpc_code_to_text(code));
}

static void call_fail_application(Call *call, Reason reason, int error, json_object *data,
                                  const char *format, va_list ap)
{
        char message[512];

        (void)vsnprintf(message, sizeof(message), format, ap);
        call->stats->errors_reason[reason]++;
        call_end_error(call,
                       &(CallError){ .code = RPC_APPLICATION_ERROR,
                                     .reason = reason_to_text(reason),
                                     .message = message,
                                     .error = error,
                                     .data = data },
                       reason_to_text(reason));
        json_object_put(data);
}

void call_fail(Call *call, Reason reason, int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        call_fail_application(call, reason, error, NULL, format, ap);
        va_end(ap);
}

void call_fail_data(Call *call, Reason reason, int error, json_object *data, const char *format,
                    ...)
{
        va_list ap;

        va_start(ap, format);
        call_fail_application(call, reason, error, data, format, ap);
        va_end(ap);
}

void call_fail_passed(Call *call, const char *json, size_t length)
{
        call_end_error(call, &(CallError){ .passed = json, .passed_length = length }, "error");
}

void call_fail_ended(Call *call, CallEnd why, const char *what)
{
        call_fail(call, REASON_CANCELLED, 0, "%s: %s",
                  why == CALL_SHUTDOWN ? "The agent stops" : "Cancelled", what);
}

void call_fail_params(Call *call, const char *format, ...)
{
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        call_fail_protocol(call, RPC_INVALID_PARAMS, "%s", message);
}

void call_set_cancel(Call *call, CallCancelFunction f, void *userdata)
{
        call->cancel = f;
        call->cancel_userdata = userdata;
}

void call_set_writable(Call *call, void (*writable)(Call *call, void *userdata), void *userdata)
{
        call->writable = writable;
        call->writable_userdata = userdata;
}

void *call_holder(const Call *call, CallCancelFunction f)
{
        return call->cancel == f ? call->cancel_userdata : NULL;
}

void call_notify(Call *call, const char *method, json_object *params)
{
        Session *s = call->session;
        const char *json = NULL;
        size_t length;

        if (params)
                json = json_object_to_json_string_length(
                        params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        if (s && json)
                session_dialect(s)->notify(s, session_dialect_state(s), method, json, length);
        else if (s)
                stream_break(session_stream(s), -ENOMEM);
        json_object_put(params);
}

int call_set_method(Call *call, MethodSet *methods, const Method *method, const Request *request)
{
        if (method->flags & METHOD_PREFIX) {
                call->name = strndup(request->method, request->method_length);
                if (!call->name)
                        return -ENOMEM;
        }
        call->method = method;
        call->methods = method_set_ref(methods);
        if (method->flags & METHOD_PRIVILEGED)
                call->begun = monotonic_now();
        return 0;
}

uint64_t call_duration(const Call *call)
{
        return call->begun > 0 ? monotonic_now() - call->begun : 0;
}

const Method *call_method(const Call *call)
{
        return call->method;
}

const char *call_name(const Call *call)
{
        return call->name ?: call->method->name;
}

MethodSet *call_methods(const Call *call)
{
        return call->methods;
}

const Peer *call_peer(const Call *call)
{
        return session_peer(call->session);
}

bool call_is_privileged(const Call *call)
{
        return session_policy(call->session)->privileged;
}

Session *call_session(const Call *call)
{
        return call->session;
}

const char *call_id_text(const Call *call)
{
        return call->id_length > 0 ? call->id : NULL;
}

const char *call_id(const Call *call, size_t *ret_length)
{
        *ret_length = call->id_length;
        return call->id;
}

void *call_group(const Call *call)
{
        return call->group;
}

bool call_wants_reply(const Call *call)
{
        return !call->no_reply;
}
