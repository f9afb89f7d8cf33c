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
