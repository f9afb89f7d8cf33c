/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "io/address.h"

/* Who listens, as the kernel lists it. Nothing is bound or connected to find out. */

#define LISTENERS_NAME_SIZE 17U /* of a process in /proc, with its NUL */

/*
 * Whether some socket listens at an address (of vsock and TCP only the port is looked at). 1 with
 * its inode; 0 for nobody; -errno where the kernel does not tell: -ENOENT for vsock without
 * vsock_diag.
 */
int listeners_find(const Address *a, uint64_t *ret_inode);

/*
 * The process that holds a socket. 1 with its pid and name; 0 where none is found: it may be
 * another user's, or in another pid namespace; -errno without /proc.
 */
int listeners_owner(uint64_t inode, pid_t *ret_pid, char ret_name[static LISTENERS_NAME_SIZE]);
