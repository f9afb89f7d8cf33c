/* SPDX-License-Identifier: MIT */
#pragma once

#include "io/pump.h"

/*
 * Standard input and output as one end of a pump: whatever they are (terminals, pipes, files,
 * sockets, closed), non-blocking where they can block, and without a change to what other
 * processes share with us where that can be had.
 */
typedef struct Standard Standard;

struct Standard {
        PumpEnd end;    /* the pump's once it has taken it; else standard_done() closes it */
        int restore[2]; /* descriptors whose O_NONBLOCK is to go again, or -EBADF */
};

#define STANDARD_NULL \
        ((Standard){ .end = { .in = -EBADF, .out = -EBADF }, .restore = { -EBADF, -EBADF } })

/*
 * Puts /dev/null in the place of standard streams that are closed: no socket may become
 * somebody's standard output. To be called before anything is opened. 0 or -errno.
 */
int standard_guard(void);

/*
 * Takes the two over: 0 and 1 become /dev/null, so that the reader of what we write sees its
 * end when the pump closes it. 0 or -errno.
 */
int standard_take(Standard *ret);

/* Undoes what was changed of descriptions that we share. */
void standard_done(Standard *s);

/*
 * One of the three (0, 1 or 2) alone, for reading (O_RDONLY) or writing (O_WRONLY): returns a
 * descriptor of the caller's, -errno on failure, non-blocking where it can block. *ret_restore: a
 * descriptor to be given to standard_restore() when all is done, or -EBADF. 0 and 1 become
 * /dev/null; 2 stays for words of our own.
 */
int standard_take_one(int fd, int access_mode, int *ret_restore);
/* Closes it. A negative descriptor is fine. */
void standard_restore(int restore);
