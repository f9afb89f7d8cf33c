/* SPDX-License-Identifier: MIT */
#include "handlers/handler.h"

const Handler handler_forward = { .guards_connection = true };
