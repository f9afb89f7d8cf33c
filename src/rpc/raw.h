/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/call.h"

/*
 * Raw calls: after a first answer the connection carries frames until the call has ended and the
 * caller has ended its channel 0; then it is JSON again. Channel 0 is the conversation going on:
 * what the caller asks there is answered there, and the end of the call is one of these answers.
 */
typedef struct RawOwner RawOwner;

struct RawOwner {
        /* Bytes on a channel other than 0. Returns how many were taken; fewer than n, and nothing
         * more is read (from any channel) until call_raw_resume(). */
        size_t (*data)(Call *call, uint8_t channel, const char *data, size_t n, void *userdata);
        /* The caller has ended a channel other than 0. */
        void (*end)(Call *call, uint8_t channel, void *userdata);
};

/* Whether the call can become raw by now, for who has work to do before it does. 0, or the call is
 * ended with the error: as call_raw_begin() has it. */
int call_raw_check(Call *call);

/*
 * Answers the call with `answer` (taken over) and makes it raw. channels_in: a mask of 1U <<
 * channel that the caller may use; other channels are an error of the caller's that ends the
 * connection. 0; on failure the call is ended with the error: -EBUSY where it is not alone
 * on its connection, -EOPNOTSUPP where its dialect, a batch or a notification cannot carry frames,
 * -ENOMEM. From then on it ends like any call; its reply goes out on channel 0, then channel 0's
 * end. Channels of ours that were not ended are ended before the reply.
 */
int call_raw_begin(Call *call, json_object *answer, unsigned channels_in, const RawOwner *owner,
                   void *userdata);
/* After data() took less than it was offered. */
void call_raw_resume(Call *call);
/* Whether the caller has ended channel 0: nothing more is read, here or by a borrower, until the
 * call has ended. */
bool call_raw_is_input_over(const Call *call);

/* Room for a frame's payload of up to n bytes (at most FRAME_PAYLOAD_MAX), to be filled and
 * committed with what it really is, before anything else is done with this or another call: 0
 * bytes commit nothing. It leaves at once where it can. NULL without memory: the connection
 * breaks. Whoever produces asks call_is_congested() first. */
char *call_raw_reserve(Call *call, uint8_t channel, size_t n);
void call_raw_commit(Call *call, size_t n);
/*
 * A frame of up to n bytes (at most FRAME_PAYLOAD_MAX) of what fd has to read: out of a pipe that
 * holds much it goes without passing through our memory. Nobody else reads from fd meanwhile; it
 * should be non-blocking. How many bytes went (into the output, at least); 0 at the end of file;
 * -EAGAIN and -errno as read(2) says; -ENOTCONN where the caller is gone. SIGPIPE must be ignored.
 */
ssize_t call_raw_splice(Call *call, uint8_t channel, int fd, size_t n);
/* Ends one of our channels. */
void call_raw_end(Call *call, uint8_t channel);

/*
 * Lends the connection to another process. Once all output is out, calls made on channel 0 are
 * answered and a frame of channel 0 that came next is taken, `ready` is called (in a later turn of
 * the loop) with the socket (borrowed, non-blocking: it is to be passed on by SCM_RIGHTS), and with
 * what had been received beyond the last frame taken, which may begin with white space where no
 * frame was taken yet. Until call_raw_return() nothing is read from it or written to it here. The
 * borrower must stop between two frames, both ways; it reads nothing where
 * call_raw_is_input_over(). The call must not be ended before it has been given back.
 */
typedef void (*RawReadyFunction)(Call *call, int fd, const char *received, size_t n,
                                 void *userdata);
void call_raw_lend(Call *call, RawReadyFunction ready, void *userdata);
/* It is given back, perhaps from within `ready`: with what was received and not taken, how many
 * bytes went either way (for the statistics), and -errno where the peer is gone or the frames are
 * broken, which ends the connection (the call gets its CALL_GONE). */
void call_raw_return(Call *call, const char *received, size_t n, uint64_t bytes_received,
                     uint64_t bytes_sent, int error);
