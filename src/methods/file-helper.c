/* SPDX-License-Identifier: MIT */
#include "methods/file-helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "methods/file-internal.h"
#include "methods/members.h"
#include "rpc/raw.h"

/* One that has nothing to do is kept so long: a caller who asks now and then need not wait for its
 * start. */
#define IDLE_USEC UINT64_C(60000000)

/* Its address is the key of a connection's helpers. */
static const char helpers_key;

/* Calls */

/* It is in no queue any more. */
static void file_call_free(FileCall *c)
{
        file_call_unwatch(c);
        list_remove(&c->link);
        free(c->request);
        free(c);
}

static Reason reason_from_text(const char *text)
{
        for (Reason r = 0; text && r < REASON_MAX; r++)
                if (strcmp(reason_to_text(r), text) == 0)
                        return r;
        return REASON_FAILED;
}

/* Ends a call with the error that a helper has told of. */
static void fail_as_told(Call *call, const char *json)
{
        _cleanup_json_ json_object *told = json_tokener_parse(json);
        _cleanup_free_ char *message = NULL;
        json_object *value = NULL;
        Reason reason;
        int error;

        if (!json_object_is_type(told, json_type_object)) {
                call_fail(call, REASON_FAILED, 0, "The file helper failed");
                return;
        }
        (void)json_object_object_get_ex(told, "message", &value);
        message = strdup(value ? json_object_get_string(value) : "The file helper failed");
        value = NULL;
        (void)json_object_object_get_ex(told, "reason", &value);
        reason = reason_from_text(json_object_get_string(value));
        value = NULL;
        (void)json_object_object_get_ex(told, "errno", &value);
        error = json_object_get_int(value);
        /* What else it has is for `data`. */
        json_object_object_del(told, "message");
        json_object_object_del(told, "reason");
        json_object_object_del(told, "errno");
        call_fail_data(call, reason, error, TAKE_PTR(told), "%s", message ?: "out of memory");
}

/* Helpers */

static void helper_pump(FileHelper *h);
static bool helper_start(FileHelper *h);

static FileHelper *helper_free(FileHelper *h)
{
        list_remove(&h->link);
        h->set->n--;
        h->process = file_process_free(h->process);
        free(h->user);
        free(h->root);
        free(h);
        return NULL;
}

/* Its process is of no use any more. The calls that wait get another one. */
static void helper_renew(FileHelper *h)
{
        h->process = file_process_free(h->process);
        h->greeted = false;
        if (h->current)
                file_call_free(TAKE_PTR(h->current));
        if (list_is_empty(&h->queue))
                (void)helper_free(h);
        else
                (void)helper_start(h);
}

/* All of its calls end with an error, and it goes. json: as a helper told it, or NULL. */
static void helper_fail(FileHelper *h, const char *json, Reason reason, int error,
                        const char *problem)
{
        ListLink calls = LIST_INIT(calls);

        /* Nothing that the end of a call brings about finds them, or the helper. */
        if (h->current)
                list_append(&calls, &h->current->link);
        list_foreach_safe (i, &h->queue) {
                list_remove(i);
                list_append(&calls, i);
        }
        h->current = NULL;
        list_foreach (i, &calls)
                CONTAINER_OF(i, FileCall, link)->helper = NULL;
        (void)helper_free(h);
        while (!list_is_empty(&calls)) {
                FileCall *c = CONTAINER_OF(calls.next, FileCall, link);
                Call *call = TAKE_PTR(c->call);

                file_call_free(c);
                if (call && json)
                        fail_as_told(call, json);
                else if (call)
                        call_fail(call, reason, error, "%s", problem);
        }
}

/* The current call's end. */
static void helper_take_reply(FileHelper *h, bool ok, const char *data, size_t n)
{
        FileCall *c = TAKE_PTR(h->current);
        Call *call = TAKE_PTR(c->call);
        int error = c->error;

        file_call_free(c);
        helper_pump(h);
        /* Last: it may bring about whatever. */
        if (!call)
                return;
        if (error != 0)
                call_fail(call, REASON_FAILED, error, "The connection cannot be lent: %s",
                          strerror(error));
        else if (ok && !memchr(data, '\n', n))
                call_reply_text(call, data, n);
        else
                fail_as_told(call, ok ? "" : data);
}

static void helper_on_message(HelperKind kind, const char *data, size_t n, void *userdata)
{
        _cleanup_free_ char *text = NULL;
        FileHelper *h = userdata;

        /* With a NUL, for json-c. */
        if (kind == HELPER_ERROR) {
                text = strndup(data, n);
                if (!text) {
                        helper_fail(h, NULL, REASON_FAILED, ENOMEM, "out of memory");
                        return;
                }
        }
        if (!h->greeted && kind == HELPER_RESULT) {
                h->greeted = true;
                helper_pump(h);
        } else if (!h->greeted && kind == HELPER_ERROR) {
                helper_fail(h, text, REASON_FAILED, 0, NULL);
        } else if (!h->greeted || !h->current) {
                helper_fail(h, NULL, REASON_UNAVAILABLE, EPROTO, "The file helper is confused");
        } else if (kind == HELPER_BEGIN) {
                file_call_begin(h->current);
        } else if (kind == HELPER_RETURN) {
                file_call_take_back(h->current, data, n);
        } else if (kind == HELPER_RESULT || kind == HELPER_ERROR) {
                helper_take_reply(h, kind == HELPER_RESULT, text ?: data, n);
        }
}

/* The process has ended, or could not be started; or it says what makes no sense. */
static void helper_on_lost(int error, const char *problem, void *userdata)
{
        FileHelper *h = userdata;
        bool lent = h->current && h->current->lent;
        bool aborting = h->current && h->current->aborting && h->current->error == 0;
        Call *call;

        if (!h->greeted) {
                helper_fail(h, NULL, REASON_UNAVAILABLE, error, problem);
                return;
        }
        /* One call may be what it could not bear; the others have another try. */
        call = h->current ? TAKE_PTR(h->current->call) : NULL;
        helper_renew(h);
        if (!call)
                return;
        call_set_cancel(call, NULL, NULL);
        if (lent)
                call_raw_return(call, NULL, 0, 0, 0, -EPROTO);
        if (aborting)
                call_fail(call, REASON_CANCELLED, 0, "Cancelled. %s", problem);
        else
                call_fail(call, REASON_UNAVAILABLE, error, "%s", problem);
}

static void helper_on_idle(void *userdata)
{
        (void)helper_free(userdata);
}

static const FileProcessOwner process_owner = {
        .message = helper_on_message,
        .lost = helper_on_lost,
        .idle = helper_on_idle,
};

static void helper_fail_to_start(FileHelper *h, int error)
{
        char problem[256];

        (void)snprintf(problem, sizeof(problem), "A file helper cannot be started: %s",
                       strerror(error));
        helper_fail(h, NULL, error == EOPNOTSUPP ? REASON_UNSUPPORTED : REASON_FAILED, error,
                    problem);
}

/* False: it could not be, its calls have ended and it is gone. */
static bool helper_start(FileHelper *h)
{
        const AgentContext *context = h->set->context;
        const FileProcessSettings settings = {
                .max_message = context->config->agent.max_message,
                .scope = h->scope,
                .idle_usec = IDLE_USEC,
        };
        Members m;
        _cleanup_json_ json_object *hello = NULL;
        const char *json = NULL;
        int r;

        members_init(&m);
        members_add_text(&m, "version", PACKAGE_VERSION);
        if (h->user)
                members_add_text(&m, "user", h->user);
        if (h->root)
                members_add_text(&m, "root", h->root);
        hello = members_take(&m);
        if (hello)
                json = json_object_to_json_string_ext(hello, JSON_C_TO_STRING_PLAIN);
        r = json ? file_process_new(h->set->context, &settings, &process_owner, h, &h->process)
                 : -ENOMEM;
        if (r >= 0) {
                file_process_send(h->process, HELPER_HELLO, json, strlen(json));
                return true;
        }
        if (r == -EBUSY)
                helper_fail(h, NULL, REASON_BUSY, 0, "Too many file helpers are at work");
        else
                helper_fail_to_start(h, -r);
        return false;
}

/* The next of the calls that wait. */
static void helper_pump(FileHelper *h)
{
        FileCall *c;

        if (!h->greeted || h->current)
                return;
        file_process_set_idle(h->process, list_is_empty(&h->queue));
        if (list_is_empty(&h->queue))
                return;
        c = CONTAINER_OF(h->queue.next, FileCall, link);
        list_remove(&c->link);
        h->current = c;
        file_process_send(h->process, HELPER_CALL, c->request, strlen(c->request));
}

static void on_cancel(Call *call, CallEnd why, void *userdata)
{
        FileCall *c = userdata;
        FileHelper *h = c->helper;

        if (c->begun) {
                /* What has arrived in part is removed before anybody hears of the end. */
                file_call_abort(c);
                if (why != CALL_GONE)
                        return;
                c->call = NULL;
        } else {
                c->call = NULL;
                /* It may hang in whatever file system. */
                if (h && h->current == c)
                        helper_renew(h);
                else
                        file_call_free(c);
        }
        call_fail_ended(call, why, "what was done is done");
}

/* The connection has ended, and with it all of its calls. */
static void helpers_free(void *userdata)
{
        FileHelpers *set = userdata;

        list_foreach_safe (i, &set->list) {
                FileHelper *h = CONTAINER_OF(i, FileHelper, link);

                if (h->current)
                        file_call_free(TAKE_PTR(h->current));
                (void)helper_free(h);
        }
        free(set);
}

/* The connection's, made where there are none; NULL without memory. */
static FileHelpers *helpers_of(AgentContext *context, Call *call)
{
        FileHelpers *set = call_companion(call, &helpers_key);

        if (set)
                return set;
        set = malloc(sizeof(*set));
        if (!set)
                return NULL;
        *set = (FileHelpers){ .context = context };
        list_init(&set->list);
        if (call_set_companion(call, &helpers_key, set, helpers_free) < 0) {
                free(set);
                return NULL;
        }
        return set;
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether it has a raw call to do. Others must not wait for the end of that: it waits for theirs,
 * since what is asked on channel 0 is answered before the connection is lent on. */
static bool helper_is_raw(const FileHelper *h)
{
        if (h->current && h->current->raw)
                return true;
        list_foreach (i, &h->queue)
                if (CONTAINER_OF(i, FileCall, link)->raw)
                        return true;
        return false;
}

static FileHelper *helpers_find(const FileHelpers *set, const char *user, const char *root)
{
        list_foreach (i, &set->list) {
                FileHelper *h = CONTAINER_OF(i, FileHelper, link);

                if (same_text(h->user, user) && same_text(h->root, root) && !helper_is_raw(h))
                        return h;
        }
        return NULL;
}

/* False: there is no room for another one. */
static bool helpers_make_room(FileHelpers *set)
{
        if (set->n < FILE_HELPERS_PER_CONNECTION)
                return true;
        list_foreach (i, &set->list) {
                FileHelper *h = CONTAINER_OF(i, FileHelper, link);

                if (h->greeted && !h->current && list_is_empty(&h->queue)) {
                        (void)helper_free(h);
                        return true;
                }
        }
        return false;
}

/* NULL without memory. It has no process yet. */
static FileHelper *helper_new(FileHelpers *set, const char *user, const ListenSettings *port)
{
        FileHelper *h = calloc(1, sizeof(*h));

        if (!h)
                return NULL;
        h->set = set;
        list_init(&h->queue);
        list_append(&set->list, &h->link);
        set->n++;
        h->scope = port ? port->program.scope : set->context->config->agent.scope;
        h->user = user ? strdup(user) : NULL;
        h->root = port && port->root ? strdup(port->root) : NULL;
        if ((user && !h->user) || (port && port->root && !h->root))
                return helper_free(h);
        return h;
}

/* What the helper is told of the call. NULL without memory. */
static char *make_request(const AgentContext *context, const Call *call, json_object *params)
{
        _cleanup_json_ json_object *request = NULL;
        const char *json;
        Members m;

        members_init(&m);
        members_add_text(&m, "method", call_name(call));
        members_add_unsigned(&m, "max_data", context->config->agent.max_message);
        members_add_value(&m, "params",
                          params ? json_object_get(params) : json_object_new_object());
        request = members_take(&m);
        json = request ? json_object_to_json_string_ext(request,
                                                        JSON_C_TO_STRING_PLAIN |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE)
                       : NULL;
        return json ? strdup(json) : NULL;
}

static FileCall *file_call_new(const AgentContext *context, Call *call, json_object *params)
{
        FileCall *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        list_init(&c->link);
        c->watch_fd = -EBADF;
        c->call = call;
        c->request = make_request(context, call, params);
        if (!c->request) {
                file_call_free(c);
                return NULL;
        }
        return c;
}

void file_helper_run(AgentContext *context, Call *call, json_object *params, bool raw,
                     unsigned channels_in)
{
        const ListenSettings *port = call_port_settings(call);
        json_object *user = NULL;
        const char *name;
        FileHelpers *set;
        FileHelper *h;
        FileCall *c;

        if (raw && call_raw_check(call) < 0)
                return;
        set = helpers_of(context, call);
        (void)json_object_object_get_ex(params, "user", &user);
        name = user ? json_object_get_string(user) : NULL;
        c = set ? file_call_new(context, call, params) : NULL;
        if (!c) {
                call_reply(call, NULL);
                return;
        }
        c->raw = raw;
        c->channels_in = channels_in;
        h = helpers_find(set, name, port ? port->root : NULL);
        if (!h && !helpers_make_room(set)) {
                file_call_free(c);
                call_fail(call, REASON_BUSY, 0,
                          "File helpers for %u users are at work for this connection already",
                          FILE_HELPERS_PER_CONNECTION);
                return;
        }
        if (!h)
                h = helper_new(set, name, port);
        if (!h) {
                file_call_free(c);
                call_reply(call, NULL);
                return;
        }
        c->helper = h;
        list_append(&h->queue, &c->link);
        call_set_cancel(call, on_cancel, c);
        if (h->process)
                helper_pump(h);
        else
                (void)helper_start(h);
}
