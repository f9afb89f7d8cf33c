/* SPDX-License-Identifier: MIT */
#pragma once

#include <systemd/sd-event.h>

#include "base/macros.h"

/*
 * A listening socket that was passed to us and belongs to no section. Its socket unit goes on
 * listening, so that whoever calls there is connected by the kernel: rather than wait for an
 * answer that never comes, he is hung up on.
 */
typedef struct Stranger Stranger;

/* fd stays the caller's, and open for as long as the stranger is there; name, for the log, is
 * copied. 0; -EINVAL: it does not listen; -errno. */
int stranger_new(sd_event *event, int fd, const char *name, Stranger **ret);

Stranger *stranger_free(Stranger *s);
DEFINE_CLEANUP(Stranger, stranger_free)
