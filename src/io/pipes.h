/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/fd.h"

/*
 * Pipes for splice(2). Making one and sizing it takes three system calls and 4 KiB of the
 * kernel's memory, so that a few empty ones are kept for the next who needs one. One pool serves
 * the process: there is one thread.
 */
typedef struct Pipe Pipe;

/* What one holds. As much again as a Unix socket's buffer, and no more: it is what a reader that
 * has stopped pins in the kernel for each connection. */
#define PIPE_SIZE (256U * 1024U)

struct Pipe {
        int in; /* the end that is read from */
        int out;
};

#define PIPE_NULL ((Pipe){ .in = -EBADF, .out = -EBADF })

/* An empty, non-blocking pipe. 0 or -errno (-EMFILE, -ENFILE). */
int pipe_take(Pipe *ret);
/* Gives it back. A pipe that is not empty must be closed instead. */
void pipe_give(Pipe *p);
void pipe_close(Pipe *p);
/* Closes those that are kept. */
void pipes_drop(void);
