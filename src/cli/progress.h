/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * One line on standard error that tells how far something is, with its rate and the time that is
 * left; nothing at all where that is no terminal.
 */
typedef struct Progress Progress;

struct Progress {
        bool on;
        bool shown; /* a line stands there that is not ended */
        uint64_t began;
        uint64_t last;    /* when it was drawn */
        uint64_t rate_at; /* the rate's last sample */
        uint64_t rate_done;
        double rate; /* bytes in a second, smoothed; 0: not known yet */
        char *name;  /* sound to be shown */
};

/* name: what it is, as bytes. Whether there is a terminal is looked at here. */
void progress_begin(Progress *p, const char *name);
/* total: 0 where it is not known. Cheap: draws ten times in a second. */
void progress_update(Progress *p, uint64_t done, uint64_t total);
/* Takes the line away, so that something else can be printed there. */
void progress_hide(Progress *p);
/* Draws the last one, for good. */
void progress_end(Progress *p, uint64_t done, uint64_t total);
void progress_done(Progress *p);

/* "512 B", "1.5 MiB". */
void progress_size(char ret[static 32], uint64_t bytes);
