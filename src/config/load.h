/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* No configuration is larger by far; what is, is no configuration. */
#define CONFIG_FILE_MAX (1024U * 1024U)

/*
 * Reads a regular file whole. 0 with its bytes in *ret (allocated) and their number in *ret_n;
 * CONFIG_FILE_MASKED for /dev/null, by that name or by a link to it; -errno, among them
 * -ENOENT, -EFBIG for one larger than CONFIG_FILE_MAX, and -EBADFD for what is no regular file.
 */
#define CONFIG_FILE_MASKED 1
int config_read_file(const char *path, char **ret, size_t *ret_n);
