/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "io/address.h"

/*
 * A connection in the making: name look-up (TCP, in a thread), connect, the mux
 * handshake; never blocks the loop.
 */
typedef struct Dial Dial;

typedef enum DialFlags {
        /* vsock: bind a source port below 1024, never 1000, from a place on downward that differs
         * by process, after 1 from 1023 on, the next on EADDRINUSE; where that is not permitted
         * (EACCES) go on unprivileged. */
        DIAL_PRIVILEGED_PORT = 1 << 0,
} DialFlags;

/*
 * The end of a dial, called once, never from within dial_start(). fd >= 0: connected,
 * non-blocking, the callee's to close. fd < 0: -errno (-ETIMEDOUT, -ECONNREFUSED,
 * -ECONNRESET where a mux ended the handshake or virtio reset it: nobody listens, -EPROTO where its
 * answer made no sense, -EHOSTUNREACH for a name that does not resolve), and `problem` a
 * sentence that says so, valid during the call. The dial is freed by its owner (dial_free),
 * also from within this call.
 */
typedef void (*DialFunction)(Dial *d, int fd, const char *problem, void *userdata);

/* timeout: microseconds, TEXT_INFINITY for none. 0, or -errno where it could not be begun. */
int dial_start(sd_event *event, const Address *a, unsigned flags, uint64_t timeout,
               DialFunction done, void *userdata, Dial **ret);
/* Ends it without a call. NULL is fine. */
Dial *dial_free(Dial *d);
DEFINE_CLEANUP(Dial, dial_free)
