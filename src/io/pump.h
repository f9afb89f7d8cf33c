/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macros.h"

/*
 * Bytes from one end to the other, each way with a buffer of its own: a reader that stops stops
 * its writer, nothing is lost at close, and memory is held only while bytes are on their way. The
 * process must ignore SIGPIPE if `out` may be a pipe.
 *
 * The end of input is carried through: shutdown(2) for a socket, close(2) for an `out` of its
 * own. An end that fails (-ECONNRESET, -EPIPE) is neither read nor written any more, but what was
 * read from it is still delivered. Where it failed before the end of its input and the other end
 * is TCP, that one is reset rather than ended, as soon as it has received all of it; if it has
 * not within a second, it is ended, so that nothing is lost.
 */
typedef struct Pump Pump;
typedef struct PumpEnd PumpEnd;
typedef struct PumpSettings PumpSettings;

/* An end: a socket (in == out), or two descriptors such as standard input and output, which may
 * be files that cannot be waited for. Non-blocking where they can block. */
struct PumpEnd {
        int in;  /* read from; negative: there is no input from this end */
        int out; /* written to; negative: what comes for it is dropped */
};

/* ended: once, never from within pump_new(); the pump may be freed within. error: 0 when both
 * ways have come to their end and everything is written; -ETIMEDOUT for idle_timeout; else -errno,
 * for which `end` (0 or 1) says on which end. */
typedef void (*PumpFunction)(Pump *p, int error, unsigned end, void *userdata);

struct PumpSettings {
        uint64_t idle_timeout; /* microseconds without a byte either way; 0, TEXT_INFINITY: none */
        /* Where the end 0 (or 1) has come to its end of input and all of it is passed on, the
         * pump ends without waiting for the other way: for peers that cannot half-close. */
        bool end_with[2];
        /* The pump ends once something for the end 0 (or 1) is lost since it takes no more, rather
         * than go on to read and drop. */
        bool end_without[2];
        /* Added to as bytes move, may be NULL: from end 0 to 1, and from 1 to 0. */
        uint64_t *counters[2];
};

/* Takes both ends' descriptors over on success. 0 or -errno. */
int pump_new(sd_event *event, const PumpEnd ends[2], const PumpSettings *settings,
             PumpFunction ended, void *userdata, Pump **ret);
/* CLOCK_MONOTONIC of the last byte either way. */
uint64_t pump_last_active(const Pump *p);
Pump *pump_free(Pump *p);
/* For a socket that no pump has: closing it resets the connection, if it is TCP. */
void pump_reset_on_close(int fd);
DEFINE_CLEANUP(Pump, pump_free)
