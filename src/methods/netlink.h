/* SPDX-License-Identifier: MIT */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* Dumps of the kernel's network tables, rtnetlink(7). */

/*
 * One message of a dump; header and attributes are checked to lie within it. A negative
 * return ends the dump and is netlink_dump()'s.
 */
typedef int (*NetlinkFunction)(const struct nlmsghdr *message, void *userdata);

/*
 * Asks for all objects of `type` (RTM_GETLINK, RTM_GETADDR) and calls f for each answer. The
 * kernel answers each read itself, so that nothing is waited for. 0; -EAGAIN where the table
 * changed meanwhile and what came may be inconsistent; -errno.
 */
int netlink_dump(int fd, uint16_t type, NetlinkFunction f, void *userdata);
/* A socket for it, or -errno. */
int netlink_open(void);
