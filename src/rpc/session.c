/* SPDX-License-Identifier: MIT */
#include "rpc/session-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "rpc/dialect.h"

/* One for all sessions: there is one thread, and each text is parsed whole. */
static json_tokener *tokener;

/* In the order in which they are offered; a session begins in the first. */
static const Dialect *const dialects[] = { &dialect_jsonrpc };

const char *const *session_dialects(void)
{
        static const char *names[ELEMENTSOF(dialects) + 1];

        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                names[i] = dialects[i]->name;
        return names;
}

/*
 * Parses what scan has found to be sound. -EINVAL where a name comes twice, of which json-c
 * would keep the last, or a number is past what it can hold.
 */
static int session_parse_params(const Request *request, json_object **ret, const char **ret_problem)
{
        json_object *params;

        if (request->params_too_large) {
                *ret_problem = "a number in params is out of range: integers fit 64 bits";
                return -EINVAL;
        }
        if (!tokener) {
                tokener = json_tokener_new_ex(SCAN_DEPTH_MAX + 1);
                if (!tokener)
                        return -ENOMEM;
                json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        }
        json_tokener_reset(tokener);
        params = json_tokener_parse_ex(tokener, request->params, (int)request->params_length);
        if (!params) {
                *ret_problem = "params cannot be read";
                return -EINVAL;
        }
        if (json_object_is_type(params, json_type_object) &&
            (size_t)json_object_object_length(params) != request->params_members) {
                json_object_put(params);
                *ret_problem = "a parameter is given twice";
                return -EINVAL;
        }
        *ret = params;
        return 0;
}

/* Parameters by name, or none. By position there is only the empty list. 0, or the call is ended.
 */
static int session_check_params(Call *call, const Request *request, json_object **ret)
{
        const Field *fields = call->method->params;
        _cleanup_free_ char *text = NULL;
        const char *problem = NULL;
        json_object *params = NULL;
        int r;

        if (request->params) {
                r = session_parse_params(request, &params, &problem);
                if (r < 0)
                        goto fail;
        }
        if (params && json_object_is_type(params, json_type_array)) {
                if (json_object_array_length(params) > 0) {
                        json_object_put(params);
                        if (fields && fields->name)
                                call_fail_params(call,
                                                 "parameters go by name, not by position: "
                                                 "{\"%s\": ...}",
                                                 fields->name);
                        else if (call->method->flags & METHOD_PREFIX)
                                call_fail_params(call, "parameters go by name, not by position: "
                                                       "{\"NAME\": ...}");
                        else
                                call_fail_params(call,
                                                 "parameters go by name, not by position; "
                                                 "%s takes none",
                                                 call_name(call));
                        return -EINVAL;
                }
                json_object_put(params);
                params = NULL;
        }
        if ((!params && (!fields || !fields->name)) || (call->method->flags & METHOD_PREFIX)) {
                *ret = params;
                return 0;
        }
        r = params_check(fields, params, &text);
        if (r < 0) {
                json_object_put(params);
                problem = text;
                goto fail;
        }
        *ret = params;
        return 0;

fail:
        if (r == -EINVAL)
                call_fail_params(call, "%s", problem ?: "the parameters do not fit");
        else
                call_fail_protocol(call, RPC_INTERNAL_ERROR, "out of memory");
        return r;
}

static void session_run(Call *call, const Request *request)
{
        json_object *params = NULL;

        if (session_check_params(call, request, &params) < 0)
                return;
        call->method->run(call, params, method_set_userdata(call->methods));
        json_object_put(params);
}

void session_request(Session *s, const Request *request)
{
        const Method *method;
        Call *call;

        call = call_new(s, request);
        if (!call) {
                stream_break(s->stream, -ENOMEM);
                return;
        }
        s->n_calls++;
        if (s->n_calls > s->settings.max_calls) {
                call_fail(call, REASON_BUSY, 0,
                          "%zu calls of this connection are running, the most that max-calls "
                          "allows; wait for one to end",
                          s->settings.max_calls);
                return;
        }
        method = method_set_find(s->methods, request->method, request->method_length);
        if (!method || memchr(request->method, '\0', request->method_length)) {
                call_fail_protocol(call, RPC_METHOD_NOT_FOUND,
                                   "no method %.*s; rpc.discover lists them",
                                   (int)MIN_OF(request->method_length, (size_t)128),
                                   request->method);
                return;
        }
        if (call_set_method(call, s->methods, method, request) < 0) {
                call_fail_protocol(call, RPC_INTERNAL_ERROR, "out of memory");
                return;
        }
        switch (policy_check(&s->settings.policy, method, call_name(call))) {
        case 0:
                session_run(call, request);
                break;
        case -EPERM:
                call_fail(call, REASON_NOT_PRIVILEGED, 0,
                          "%s is for privileged callers; `trust` of this port says who is one",
                          call_name(call));
                break;
        default:
                call_fail(call, REASON_NOT_ALLOWED, 0,
                          "%s is excluded on this port by `methods` or `block-methods`",
                          call_name(call));
                break;
        }
}

void session_call_ended(Session *s, const Call *call, const char *outcome)
{
        s->n_calls--;
        session_raw_ended(s, call);
        if (call->method && (call->method->flags & METHOD_PRIVILEGED)) {
                CallRecord record = {
                        .name = call_name(call),
                        .outcome = outcome,
                        .duration = call_duration(call),
                };

                s->owner->privileged_call(s, &record, s->userdata);
        }
        /* Where the peer has ended its input, the end of the last call ends the session; and a raw
         * call's connection is lent once it is alone. */
        if (s->raw.call)
                stream_wake(s->stream);
        else if (s->n_calls == 0)
                stream_touch(s->stream);
}

bool session_has_id(const Session *s, const char *id, size_t length)
{
        list_foreach (i, &s->calls) {
                const Call *call = CONTAINER_OF(i, Call, link);

                if (!call->no_reply && call->id_length == length &&
                    memcmp(call->id, id, length) == 0)
                        return true;
        }
        return false;
}

int session_cancel(Session *s, json_object *id)
{
        Call *call;

        call = session_find(s, id, NULL);
        if (!call)
                return -ENOENT;
        if (!call->cancel)
                return -EOPNOTSUPP;
        call->cancel(call, CALL_CANCELLED, call->cancel_userdata);
        return 0;
}

static Call *session_next_untold(Session *s)
{
        list_foreach (i, &s->calls) {
                Call *call = CONTAINER_OF(i, Call, link);

                if (!call->told)
                        return call;
        }
        return NULL;
}

void session_cancel_all(Session *s, CallEnd why)
{
        Call *call;

        /* One that ends may take others with it: after each the walk begins anew. */
        while ((call = session_next_untold(s))) {
                call->told = true;
                if (call->cancel)
                        call->cancel(call, why, call->cancel_userdata);
        }
}

static void session_on_text(Stream *stream, const char *text, const Scan *scan, void *userdata)
{
        Session *s = userdata;

        s->dialect->text(s, s->dialect_state, text, scan);
}

static void session_on_fault(Stream *stream, StreamFault fault, ScanResult result, void *userdata)
{
        Session *s = userdata;

        s->dialect->fault(s, s->dialect_state, fault, result);
}

static bool session_on_work(Stream *stream, void *userdata)
{
        Session *s = userdata;

        return s->dialect->work(s, s->dialect_state);
}

static bool session_on_busy(const Stream *stream, void *userdata)
{
        Session *s = userdata;

        return s->n_calls > 0 || s->dialect->busy(s, s->dialect_state);
}

static void session_on_ended(Stream *stream, int error, void *userdata)
{
        Session *s = userdata;

        s->owner->ended(s, error, s->userdata);
}

static const StreamOwner session_stream_owner = {
        .text = session_on_text,
        .fault = session_on_fault,
        .work = session_on_work,
        .busy = session_on_busy,
        .writable = session_on_writable,
        .frame = session_on_frame,
        .frame_end = session_on_frame_end,
        .lend = session_on_lend,
        .ended = session_on_ended,
};

static StreamSettings session_stream_settings(const SessionSettings *settings)
{
        return (StreamSettings){
                .limits = {
                        .bytes = settings->max_message,
                        .values = settings->max_values,
                        .depth = SCAN_DEPTH_MAX,
                },
                .message_timeout = settings->message_timeout,
                .idle_timeout = settings->idle_timeout,
        };
}

void session_set_settings(Session *s, const SessionSettings *settings)
{
        StreamSettings stream_settings = session_stream_settings(settings);

        s->settings = *settings;
        stream_set_settings(s->stream, &stream_settings);
}

void session_set_privileged(Session *s, bool privileged)
{
        s->settings.policy.privileged = privileged;
}

void session_authenticated(Session *s, bool proved)
{
        if (s->owner->authenticated)
                s->owner->authenticated(s, proved, s->userdata);
}

void session_set_methods(Session *s, MethodSet *methods)
{
        MethodSet *old = s->methods;

        s->methods = method_set_ref(methods);
        (void)method_set_unref(old);
}

void session_stop(Session *s)
{
        stream_finish(s->stream);
}

uint64_t session_idle_since(const Session *s)
{
        return s->n_calls > 0 ? UINT64_MAX : stream_last_active(s->stream);
}

const Peer *session_peer(const Session *s)
{
        return &s->peer;
}

const Policy *session_policy(const Session *s)
{
        return &s->settings.policy;
}

const SessionSettings *session_settings(const Session *s)
{
        return &s->settings;
}

Stream *session_stream(Session *s)
{
        return s->stream;
}

Stats *session_stats(Session *s)
{
        return s->stats;
}

const Dialect *session_dialect(const Session *s)
{
        return s->dialect;
}

void *session_dialect_state(const Session *s)
{
        return s->dialect_state;
}

ListLink *session_calls(Session *s)
{
        return &s->calls;
}

int session_new(sd_event *event, int fd, const Peer *peer, MethodSet *methods, Stats *stats,
                const SessionSettings *settings, const SessionOwner *owner, void *userdata,
                Session **ret)
{
        _cleanup_(session_freep) Session *s = NULL;
        StreamSettings stream_settings = session_stream_settings(settings);
        int r;

        s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (Session){
                .owner = owner,
                .userdata = userdata,
                .methods = method_set_ref(methods),
                .stats = stats,
                .dialect = dialects[0],
                .settings = *settings,
                .peer = *peer,
        };
        list_init(&s->calls);

        r = s->dialect->open(s, &s->dialect_state);
        if (r < 0)
                return r;
        r = stream_new(event, fd, s->dialect->keys, &stream_settings, stats, &session_stream_owner,
                       s, &s->stream);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Session *session_free(Session *s)
{
        if (!s)
                return NULL;
        /* One that ends may take others with it. */
        while (!list_is_empty(&s->calls))
                call_detach(CONTAINER_OF(s->calls.next, Call, link));
        session_free_companions(s);
        s->stream = stream_free(s->stream);
        if (s->dialect_state)
                s->dialect->close(s, s->dialect_state);
        (void)method_set_unref(s->methods);
        free(s);
        return NULL;
}
