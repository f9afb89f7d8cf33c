/* SPDX-License-Identifier: MIT */
#include "handlers/handler.h"

const Handler handler_echo = { .guards_connection = true };
