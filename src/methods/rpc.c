/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "methods/context.h"
#include "methods/discover.h"
#include "rpc/call.h"
#include "rpc/session.h"

static void rpc_cancel(Call *call, json_object *params, void *userdata)
{
        json_object *id = NULL;
        int r;

        (void)json_object_object_get_ex(params, "id", &id);
        switch (json_object_get_type(id)) {
        case json_type_null:
        case json_type_string:
        case json_type_int:
        case json_type_double:
                break;
        default:
                call_fail_params(call, "Parameter \"id\" must be a string, a number or null");
                return;
        }
        r = session_cancel(call_session(call), id);
        if (r == -ENOENT)
                call_fail(call, REASON_NOT_FOUND, 0, "No call with this id is running");
        else if (r < 0)
                call_fail(call, REASON_UNSUPPORTED, 0, "The call with this id cannot be cancelled");
        else
                call_reply_text(call, "{}", strlen("{}"));
}

static const Field info_fields[] = {
        { "title", FIELD_STRING, 0, "The agent's name, guestwire", NULL },
        { "version", FIELD_STRING, 0, "The agent's version", NULL },
        { "description", FIELD_STRING, 0, "What this is, for people", NULL },
        {},
};

static const Field discover_fields[] = {
        { "openrpc", FIELD_STRING, 0, "The version of the OpenRPC specification", NULL },
        { "info", FIELD_OBJECT, 0, "What is described", info_fields },
        { "methods", FIELD_ARRAY, 0, "The methods that this caller's port allows", NULL },
        {},
};

static const Field cancel_fields[] = {
        { "id", FIELD_ANY, FIELD_NULLABLE, "The id of the call to end: a string, a number or null",
          NULL },
        {},
};

const Method rpc_methods[] = {
        { .name = "rpc.cancel",
          .run = rpc_cancel,
          .summary = "Ends a running call of this connection, which fails with reason cancelled",
          .params = cancel_fields,
          .reasons = 1U << REASON_NOT_FOUND | 1U << REASON_UNSUPPORTED },
        { .name = "rpc.discover",
          .run = discover_run,
          .flags = METHOD_ASYNC,
          .summary = "Describes the methods of this port as an OpenRPC document",
          .result = discover_fields },
        {},
};
