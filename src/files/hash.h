/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* XXH3-128 over bytes that come one after the other, and over runs of zeros. */
typedef struct Hash Hash;

#define HASH_TEXT_SIZE 33U /* hexadecimal digits and a NUL */

struct Hash {
        void *state;
};

/* May be called again: a new beginning. 0 or -ENOMEM. */
int hash_begin(Hash *h);
void hash_add(Hash *h, const void *data, size_t n);
void hash_add_zeros(Hash *h, uint64_t n);
/* As xxhsum(1) prints it. Of what came so far: more may follow. */
void hash_text(const Hash *h, char ret[static HASH_TEXT_SIZE]);
void hash_done(Hash *h);

/* Adds the first `size` bytes of an open file. 0; -ENODATA where it is shorter; -errno of reading;
 * -EINTR where interrupt_fd (negative: none) is readable. */
int hash_add_file(Hash *h, int fd, uint64_t size, int interrupt_fd);
