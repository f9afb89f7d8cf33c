/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "cli/raw.h"

/*
 * Our standard streams and signals at one side, the frames of a raw call that runs a program at the
 * other. Nothing is printed here, but for what the program writes.
 */
typedef struct ExecStreamSettings ExecStreamSettings;
typedef struct ExecStreamEnd ExecStreamEnd;

typedef enum ExecInputKind {
        EXEC_INPUT_NONE,  /* the call has no channel for it */
        EXEC_INPUT_EMPTY, /* ended at once */
        EXEC_INPUT_OURS,
} ExecInputKind;

struct ExecStreamSettings {
        ExecInputKind input;
        bool terminal;  /* the program has one: it follows the size of ours */
        bool send_size; /* at once, for it may have been another until now */
        bool take_over; /* and our keys are its, where our standard input is a terminal too */
        /* SIGINT, SIGTERM and SIGHUP are sent to the program, and end us when they come again;
         * else they end us at once. */
        bool pass_signals;
        /* Whose program it is, as exec.signal and exec.resize take it: `call` or `job`. Borrowed.
         */
        const char *whose;
        json_object *id;
};

typedef enum ExecStreamOutcome {
        EXEC_STREAM_REPLIED,     /* the call has ended */
        EXEC_STREAM_GAVE_UP,     /* a signal told us to */
        EXEC_STREAM_READER_LEFT, /* nobody reads our standard output, or error, any more */
} ExecStreamOutcome;

struct ExecStreamEnd {
        Reply reply; /* of EXEC_STREAM_REPLIED; the caller's */
        int signal;  /* of EXEC_STREAM_GAVE_UP */
        /* Of a failure: the stream of ours whose it is, or NULL for the connection. */
        const char *stream;
};

#define EXEC_STREAM_END_NULL ((ExecStreamEnd){ .reply = REPLY_NULL })

/*
 * Runs until the call has ended, or nothing can be passed on any more: then the connection, which
 * is the caller's to close, is good for nothing. An ExecStreamOutcome, or -errno with ret->stream:
 * of the connection also -ECONNRESET at its end, -EBADMSG and -EMSGSIZE for what is no sound
 * frame. Our standard streams are used up, and our terminal is as it was.
 */
int exec_stream_run(sd_event *event, RawCall *raw, const ExecStreamSettings *settings,
                    ExecStreamEnd *ret);
