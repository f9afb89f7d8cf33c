/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "base/macros.h"

#define LINES_TAIL_MAX 4096U

/*
 * A program's standard error, to the log line by line: a pipe whose reading end is here. A
 * line is cut at a bound, and a flood is counted rather than logged; it is always read, so that the
 * program never waits for it.
 */
typedef struct Lines Lines;

/* *ret_fd: the writing end, close-on-exec, the caller's: to be given to the program and closed.
 * prefix (copied) begins each line; fields (copied, may be NULL) go with it. 0 or -errno. */
int lines_new(sd_event *event, const char *prefix, const LogFields *fields, Lines **ret,
              int *ret_fd);
/* The last bytes that have come, at most LINES_TAIL_MAX, once what the pipe holds now is read as
 * well: whole UTF-8 characters as far as it was UTF-8. *ret is borrowed, until the loop's next
 * turn.
 */
size_t lines_tail(Lines *l, const char **ret);
/* Lives until the pipe's end and then frees itself: a program's last words come after its
 * owner has let go. NULL is fine. */
Lines *lines_release(Lines *l);
