/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "rpc/call.h"

/* agent.reload; userdata is the AgentContext. */
void reload_run(Call *call, json_object *params, void *userdata);
