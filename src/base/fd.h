/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <unistd.h>

#include "base/macros.h"

/*
 * Closes fd unless it is negative and keeps errno. Returns -EBADF, so that
 * `x->fd = fd_close(x->fd)` leaves an invalid number behind.
 */
static inline int fd_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void fd_closep(int *fd)
{
        fd_close(*fd);
}

#define _cleanup_close_ _cleanup_(fd_closep)
