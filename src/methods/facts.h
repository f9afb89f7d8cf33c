/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the kernel and the system's own small files say. */

/*
 * Reads at most size - 1 bytes of a file below `root` ("" for the real one) and ends them with
 * NUL. Never waits, whatever the path leads to. The number of bytes read, or -errno.
 */
ssize_t facts_read(const char *root, const char *path, char *buffer, size_t size);

/*
 * A number of kibibytes after `key` ("MemAvailable:") at the beginning of a line, as
 * /proc/meminfo and smaps_rollup have it, in bytes. 0; -ENOENT where there is no such line.
 */
int facts_find_kibibytes(const char *text, const char *key, uint64_t *ret_bytes);

/*
 * The time zone's name by localtime(5): where /etc/localtime below root leads, "UTC" where it
 * is absent. NULL where it is a file of its own, which has no name. buffer holds the path.
 */
const char *facts_timezone(const char *root, char *buffer, size_t size);

/* Microseconds of a clock, clock_gettime(2). */
uint64_t facts_now(clockid_t clock);
