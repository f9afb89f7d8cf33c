/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "rpc/scan.h"
#include "rpc/stats.h"

/*
 * A connected socket as a sequence of JSON texts in and bytes out. It cuts the texts, bounds
 * them in size and time, stops reading a peer that does not read, and finds out when the peer
 * is gone. It knows no dialect.
 */
typedef struct Stream Stream;
typedef struct StreamSettings StreamSettings;
typedef struct StreamOwner StreamOwner;

/* Output that waits for a peer that does not read: above the first figure its texts are no
 * longer taken, from the second one on they are again. */
#define STREAM_OUTPUT_HIGH (256U * 1024U)
#define STREAM_OUTPUT_LOW (64U * 1024U)
/* How long a peer whose text was over a limit may go on sending before it is cut off: closing
 * at once would reset the connection and take the error with it. */
#define STREAM_DRAIN_USEC (1000U * 1000U)

struct StreamSettings {
        ScanLimits limits;
        uint64_t message_timeout; /* microseconds; TEXT_INFINITY: none */
        uint64_t idle_timeout;    /* microseconds; 0 or TEXT_INFINITY: none */
};

typedef enum StreamFault {
        STREAM_FAULT_SYNTAX,  /* not JSON: reading goes on after the next newline */
        STREAM_FAULT_CUT,     /* the input ended inside a text */
        STREAM_FAULT_LIMIT,   /* over a limit: ScanResult says which; the stream finishes */
        STREAM_FAULT_TIMEOUT, /* begun and not completed in time; the stream finishes */
        STREAM_FAULT_MEMORY,  /* there is none; the stream finishes */
        STREAM_FAULT_FRAME,   /* longer than frames may be; the stream finishes */
        STREAM_FAULT_CHANNEL, /* not one that the peer may use; the stream finishes */
} StreamFault;

/* How a stream tells its owner. None may free the stream, but `ended`. */
struct StreamOwner {
        /* A whole text; borrowed, like the scan with its marks. */
        void (*text)(Stream *s, const char *text, const Scan *scan, void *userdata);
        void (*fault)(Stream *s, StreamFault fault, ScanResult result, void *userdata);
        /* Does one unit of the work that earlier texts left over; false where there is none. No
         * text is taken before it all is done. */
        bool (*work)(Stream *s, void *userdata);
        /* Whether replies to earlier texts are still to come. */
        bool (*busy)(const Stream *s, void *userdata);
        /* Output that was full, as stream_is_full() said, has room again. */
        void (*writable)(Stream *s, void *userdata);
        /* Of frames (stream-raw.h), but for channel 0: bytes, of which as many were taken as it
         * returns, and a channel's end. */
        size_t (*frame)(Stream *s, uint8_t channel, const char *data, size_t n, void *userdata);
        void (*frame_end)(Stream *s, uint8_t channel, void *userdata);
        /* stream_raw_lend() has come to rest. False: not yet, stream_wake() will tell. */
        bool (*lend)(Stream *s, int fd, const char *received, size_t n, void *userdata);
        /* The peer has left for good while calls may be running, or all is done. error: 0 for an
         * orderly end, or -errno. The last call of a stream; it may be freed within. */
        void (*ended)(Stream *s, int error, void *userdata);
};

/* fd: a connected, non-blocking stream socket, taken over on success. keys, stats and owner must
 * outlive the stream. 0 or -errno. */
int stream_new(sd_event *event, int fd, const ScanKeys *keys, const StreamSettings *settings,
               Stats *stats, const StreamOwner *owner, void *userdata, Stream **ret);
void stream_set_settings(Stream *s, const StreamSettings *settings);

/*
 * Room for n bytes of output, to be filled and committed; NULL without memory: then the
 * stream is broken and will say so through `ended`. What is written goes out at the end of the
 * turn of the loop, so that the replies to a packet of texts leave as one.
 */
char *stream_reserve(Stream *s, size_t n);
void stream_commit(Stream *s, size_t n);

/* Whether what is written has to wait for the peer to read. Where it says so, `writable` follows.
 */
bool stream_is_full(Stream *s);

/* Takes no more texts; ends once the owner is not busy and all output is out. */
void stream_finish(Stream *s);
/* Ends at once, with error (-errno): what cannot be done must not be waited for. */
void stream_break(Stream *s, int error);
/* To be called when the owner may have ceased to be busy outside of a turn of the stream. */
void stream_touch(Stream *s);
/* A turn without an event of the socket, whatever for. */
void stream_wake(Stream *s);

/* CLOCK_MONOTONIC of the last byte either way. */
uint64_t stream_last_active(const Stream *s);

Stream *stream_free(Stream *s);
DEFINE_CLEANUP(Stream, stream_free)
