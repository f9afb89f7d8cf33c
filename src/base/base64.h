/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/buffer.h"

/* Base64 as RFC 4648 section 4 has it: with + and /, padded, on one line. */

/* How many characters n bytes become. n: at most SIZE_MAX / 2. */
size_t base64_length(size_t n);
/* Appends the text of n bytes. 0 or -ENOMEM. */
int base64_encode(Buffer *to, const void *data, size_t n);
/* Appends the bytes of a text; white space in it is passed over. 0; -EINVAL for what is no base64,
 * also where it is cut or its padding is missing; -ENOMEM. On failure nothing is appended. */
int base64_decode(Buffer *to, const char *text, size_t n);
