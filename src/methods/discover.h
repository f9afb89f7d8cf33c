/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "rpc/call.h"
#include "rpc/method.h"
#include "rpc/policy.h"

/*
 * The OpenRPC document of the methods that the policy allows by name: what a caller finds on
 * this port. It is made anew each time, since it depends on the caller. The caller owns it;
 * NULL without memory. What a local server answers is one entry, its prefix.
 */
json_object *discover_document(const MethodSet *methods, const Policy *policy);

/* rpc.discover: the same with the documents of local servers, as far as they give one in time;
 * userdata is the AgentContext. */
void discover_run(Call *call, json_object *params, void *userdata);
