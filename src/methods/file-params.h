/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "rpc/call.h"

/* Parameters of file.*, beyond their types: what a helper is given makes sense. */

/* All those that have a meaning of their own, and that there is a path. False: the call has ended
 * with -32602. */
bool file_params_check(Call *call, json_object *params);
/* That just one of two is there, which say the same in two ways. False: as above. */
bool file_params_check_one(Call *call, json_object *params, const char *a, const char *b);
bool file_params_have(json_object *params, const char *name);
