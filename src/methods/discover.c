/* SPDX-License-Identifier: MIT */
#include "methods/discover.h"

#include "methods/members.h"
#include "rpc/error.h"

#define OPENRPC_VERSION "1.3.2"

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

static json_object *result_to_json(const Method *method)
{
        static const Field nothing[] = { {} };
        Members m;

        members_init(&m);
        members_add_text(&m, "name", "result");
        members_add_value(&m, "schema", fields_to_schema(method->result ?: nothing));
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
        members_add_text(&m, "summary", method->summary);
        members_add_text(&m, "paramStructure", "by-name");
        members_add_value(&m, "params", params_to_json(method->params));
        members_add_value(&m, "result", result_to_json(method));
        members_add_value(&m, "errors", errors_to_json(method));
        members_add_boolean(&m, "x-privileged", method->flags & METHOD_PRIVILEGED);
        return members_take(&m);
}

json_object *discover_document(const MethodSet *methods, const Policy *policy)
{
        _cleanup_json_ json_object *array = json_object_new_array();
        const Method *const *list;
        size_t n;
        Members m;

        list = method_set_list(methods, &n);
        for (size_t i = 0; i < n; i++)
                if (policy_allows_name(policy, list[i]->name) &&
                    members_array_take(array, method_to_json(list[i])) < 0)
                        return NULL;
        members_init(&m);
        members_add_text(&m, "openrpc", OPENRPC_VERSION);
        members_add_value(&m, "info", info_to_json());
        members_add_value(&m, "methods", TAKE_PTR(array));
        return members_take(&m);
}
