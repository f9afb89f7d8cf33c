/* SPDX-License-Identifier: MIT */
#include "methods/discover.h"

#include <errno.h>
#include <string.h>

#include "methods/local.h"
#include "methods/members.h"
#include "rpc/error.h"
#include "rpc/scan.h"
#include "rpc/session.h"

#define OPENRPC_VERSION "1.3.2"

/* How long local servers have to describe themselves. */
#define SERVERS_USEC UINT64_C(1000000)
#define TIMER_ACCURACY UINT64_C(10000)

/* What any call can meet, whatever the method. */
#define REASONS_OF_ALL (1U << REASON_BUSY | 1U << REASON_LIMIT)

static json_object *info_to_json(void)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "title", PACKAGE_NAME);
        members_add_text(&m, "version", PACKAGE_VERSION);
        members_add_text(&m, "description", "JSON-RPC 2.0 over AF_VSOCK: guestwire-protocol(7)");
        return members_take(&m);
}

static json_object *param_to_json(const Field *f)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "name", f->name);
        if (f->summary)
                members_add_text(&m, "description", f->summary);
        members_add_boolean(&m, "required", !(f->flags & FIELD_OPTIONAL));
        members_add_value(&m, "schema", field_to_schema(f));
        return members_take(&m);
}

static json_object *params_to_json(const Field *fields)
{
        _cleanup_json_ json_object *array = json_object_new_array();

        for (const Field *f = fields; f && f->name; f++)
                if (members_array_take(array, param_to_json(f)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static json_object *result_to_schema(const Method *method)
{
        static const Field nothing[] = { {} };

        if (method->flags & METHOD_RESULT_ANY)
                return field_to_schema(&(Field){ .type = FIELD_ANY });
        if (method->flags & METHOD_RESULT_STRING)
                return field_to_schema(&(Field){ .type = FIELD_STRING });
        return fields_to_schema(method->result ?: nothing);
}

static json_object *result_to_json(const Method *method)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "name", "result");
        members_add_value(&m, "schema", result_to_schema(method));
        return members_take(&m);
}

static unsigned method_reasons(const Method *method)
{
        unsigned reasons = method->reasons | REASONS_OF_ALL;

        if (method->flags & METHOD_PRIVILEGED)
                reasons |= 1U << REASON_NOT_PRIVILEGED;
        if (method->flags & METHOD_ASYNC)
                reasons |= 1U << REASON_CANCELLED;
        return reasons;
}

/*
 * OpenRPC wants the codes of a method's errors to differ, and all of ours are one code: so it
 * is one error, whose data lists the reasons that data.reason can be.
 */
static json_object *errors_to_json(const Method *method)
{
        _cleanup_json_ json_object *reasons = json_object_new_array();
        _cleanup_json_ json_object *array = json_object_new_array();
        unsigned mask = method_reasons(method);
        Members error, data;

        for (Reason r = 0; r < REASON_MAX; r++)
                if ((mask & 1U << r) &&
                    members_array_take(reasons, json_object_new_string(reason_to_text(r))) < 0)
                        return NULL;
        members_init(&data);
        members_add_value(&data, "reasons", TAKE_PTR(reasons));
        members_init(&error);
        members_add_value(&error, "code", json_object_new_int(RPC_APPLICATION_ERROR));
        members_add_text(&error, "message", "Application error; data.reason says which");
        members_add_members(&error, "data", &data);
        if (members_array_take(array, members_take(&error)) < 0)
                return NULL;
        return TAKE_PTR(array);
}

static json_object *method_to_json(const Method *method)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "name", method->name);
        if (method->summary)
                members_add_text(&m, "summary", method->summary);
        members_add_text(&m, "paramStructure", "by-name");
        members_add_value(&m, "params", params_to_json(method->params));
        members_add_value(&m, "result", result_to_json(method));
        members_add_value(&m, "errors", errors_to_json(method));
        members_add_boolean(&m, "x-privileged", method->flags & METHOD_PRIVILEGED);
        return members_take(&m);
}

typedef struct Asked Asked;
typedef struct Discovery Discovery;

/* A local server that is asked for its own document. */
struct Asked {
        Discovery *discovery;
        const LocalServer *server;
        size_t max_values;
        LocalRequest *request; /* NULL once it has answered */
        json_object *document;
};

/* A call of rpc.discover that waits for local servers. */
struct Discovery {
        Call *call;
        sd_event_source *timer;
        size_t n_waiting;
        size_t n;
        Asked asked[];
};

static json_object *discovery_find(const Discovery *d, const LocalServer *server)
{
        for (size_t i = 0; d && i < d->n; i++)
                if (d->asked[i].server == server)
                        return d->asked[i].document;
        return NULL;
}

/* A method that a server describes: whether a call of it would get there. */
static bool is_of_prefix(const MethodSet *methods, const Policy *policy, const Method *row,
                         json_object *described)
{
        json_object *name = NULL;
        const char *text;

        if (!json_object_is_type(described, json_type_object) ||
            !json_object_object_get_ex(described, "name", &name) ||
            !json_object_is_type(name, json_type_string))
                return false;
        text = json_object_get_string(name);
        return method_set_find(methods, text, strlen(text)) == row &&
               policy_allows_name(policy, text);
}

/* The methods of a prefix as its server describes them. 0; 1: it describes none; -ENOMEM. */
static int add_described(json_object *array, const MethodSet *methods, const Policy *policy,
                         const Method *row, json_object *document)
{
        json_object *list = NULL;
        int r = 1;

        if (!json_object_is_type(document, json_type_object) ||
            !json_object_object_get_ex(document, "methods", &list) ||
            !json_object_is_type(list, json_type_array))
                return 1;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *described = json_object_array_get_idx(list, i), *privileged;

                if (!is_of_prefix(methods, policy, row, described))
                        continue;
                /* Who may call is ours to say, not the server's. */
                privileged = json_object_new_boolean(row->flags & METHOD_PRIVILEGED);
                if (!privileged ||
                    json_object_object_add(described, "x-privileged", privileged) < 0) {
                        json_object_put(privileged);
                        return -ENOMEM;
                }
                if (members_array_take(array, json_object_get(described)) < 0)
                        return -ENOMEM;
                r = 0;
        }
        return r;
}

static int compare_names(const void *a, const void *b)
{
        json_object *names[2] = { NULL, NULL };

        (void)json_object_object_get_ex(*(json_object *const *)a, "name", &names[0]);
        (void)json_object_object_get_ex(*(json_object *const *)b, "name", &names[1]);
        return strcmp(json_object_get_string(names[0]) ?: "",
                      json_object_get_string(names[1]) ?: "");
}

/* d: what servers said, or NULL. */
static json_object *document_new(const MethodSet *methods, const Policy *policy, const Discovery *d)
{
        _cleanup_json_ json_object *array = json_object_new_array();
        const Method *const *list;
        size_t n;
        Members m;

        list = method_set_list(methods, &n);
        for (size_t i = 0; i < n; i++) {
                int r = 1;

                if (list[i]->flags & METHOD_PREFIX)
                        r = add_described(array, methods, policy, list[i],
                                          discovery_find(d, local_method_server(list[i])));
                if (r > 0 && policy_allows_name(policy, list[i]->name))
                        r = members_array_take(array, method_to_json(list[i]));
                if (r < 0)
                        return NULL;
        }
        if (d)
                json_object_array_sort(array, compare_names);
        members_init(&m);
        members_add_text(&m, "openrpc", OPENRPC_VERSION);
        members_add_value(&m, "info", info_to_json());
        members_add_value(&m, "methods", TAKE_PTR(array));
        return members_take(&m);
}

json_object *discover_document(const MethodSet *methods, const Policy *policy)
{
        return document_new(methods, policy, NULL);
}

static Discovery *discovery_free(Discovery *d)
{
        if (!d)
                return NULL;
        d->timer = sd_event_source_disable_unref(d->timer);
        for (size_t i = 0; i < d->n; i++) {
                (void)local_request_forget(d->asked[i].request);
                json_object_put(d->asked[i].document);
        }
        free(d);
        return NULL;
}
DEFINE_CLEANUP(Discovery, discovery_free)

static void discovery_finish(Discovery *d)
{
        json_object *document;
        Call *call = d->call;

        document = document_new(call_methods(call), session_policy(call_session(call)), d);
        (void)discovery_free(d);
        call_reply(call, document);
}

static int discovery_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        discovery_finish(userdata);
        return 0;
}

/* What was sent is bounded in bytes; before anything is built of it, its values are too. */
static json_object *parse_bounded(const char *json, size_t length, size_t max_values)
{
        static const ScanKeys no_keys = { .params = SCAN_KEYS_MAX };
        const ScanLimits limits = { length, max_values, SCAN_DEPTH_MAX };
        json_object *document = NULL;
        json_tokener *tokener;
        ScanResult r;
        size_t used;
        Scan scan;

        scan_init(&scan, &no_keys, &limits);
        r = scan_feed(&scan, json, length, &used);
        scan_done(&scan);
        tokener = r == SCAN_DONE ? json_tokener_new_ex(SCAN_DEPTH_MAX + 1) : NULL;
        if (!tokener)
                return NULL;
        document = json_tokener_parse_ex(tokener, json, (int)length);
        json_tokener_free(tokener);
        return document;
}

static void discovery_on_answer(const char *json, size_t length, void *userdata)
{
        Asked *asked = userdata;
        Discovery *d = asked->discovery;

        asked->request = NULL;
        if (json)
                asked->document = parse_bounded(json, length, asked->max_values);
        if (--d->n_waiting == 0)
                discovery_finish(d);
}

static void discovery_on_cancel(Call *call, CallEnd why, void *userdata)
{
        (void)discovery_free(userdata);
        call_fail(call, REASON_CANCELLED, 0, "Cancelled before all was described");
}

/* Asks each server once, however many prefixes are its. */
static void discovery_ask(Discovery *d, const AgentContext *context, const Method *row)
{
        LocalServer *server;
        Asked *asked;

        server = local_method_server(row);
        for (size_t i = 0; i < d->n; i++)
                if (d->asked[i].server == server)
                        return;
        asked = &d->asked[d->n++];
        *asked = (Asked){
                .discovery = d,
                .server = server,
                .max_values = context->config->agent.max_values,
        };
        if (local_server_ask(server, "rpc.discover", discovery_on_answer, asked, &asked->request) >=
            0)
                d->n_waiting++;
}

static size_t count_prefixes(const MethodSet *methods)
{
        const Method *const *list;
        size_t n, found = 0;

        list = method_set_list(methods, &n);
        for (size_t i = 0; i < n; i++)
                if (list[i]->flags & METHOD_PREFIX)
                        found++;
        return found;
}

void discover_run(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        const MethodSet *methods = call_methods(call);
        _cleanup_(discovery_freep) Discovery *d = NULL;
        const Method *const *list;
        size_t n, n_prefixes;

        n_prefixes = count_prefixes(methods);
        if (n_prefixes == 0) {
                call_reply(call, discover_document(methods, session_policy(call_session(call))));
                return;
        }
        d = calloc(1, sizeof(*d) + n_prefixes * sizeof(d->asked[0]));
        if (!d) {
                call_reply(call, NULL);
                return;
        }
        d->call = call;
        list = method_set_list(methods, &n);
        for (size_t i = 0; i < n; i++)
                if (list[i]->flags & METHOD_PREFIX)
                        discovery_ask(d, context, list[i]);
        if (d->n_waiting > 0 &&
            sd_event_add_time_relative(context->event, &d->timer, CLOCK_MONOTONIC, SERVERS_USEC,
                                       TIMER_ACCURACY, discovery_on_timeout, d) < 0)
                d->n_waiting = 0;
        if (d->n_waiting == 0) {
                discovery_finish(TAKE_PTR(d));
                return;
        }
        call_set_cancel(call, discovery_on_cancel, d);
        (void)TAKE_PTR(d);
}
