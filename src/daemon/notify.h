/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * As sd_notify(3), which waits for a manager that does not read: the queue of its socket may
 * hold ten messages only. fd goes with the message unless it is negative, and stays the caller's.
 * 0, also where there is nobody to tell, or -errno: -EAGAIN where the queue is full.
 */
int notify_send(const char *message, int fd);
