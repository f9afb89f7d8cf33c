/* SPDX-License-Identifier: MIT */
#include "handlers/handler.h"

const Handler handler_exec = { .guards_connection = true };
