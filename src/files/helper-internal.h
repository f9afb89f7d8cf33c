/* SPDX-License-Identifier: MIT */
#pragma once

#include "files/helper-wire.h"
#include "files/job.h"
#include "files/path.h"
#include "files/transfer.h"
#include "files/wire.h"

/* What the files of the helper share, and nobody else. */
typedef struct Helper Helper;
typedef struct HelperMessage HelperMessage;

struct Helper {
        int fd; /* to the daemon */
        FileRoot root;
        bool greeted;
};

/* A message as it came; to be freed by helper_message_done(). */
struct HelperMessage {
        HelperKind kind;
        char *data; /* a NUL follows */
        size_t n;
        int fd; /* that came with it; or negative */
};

#define HELPER_MESSAGE_NULL ((HelperMessage){ .fd = -EBADF })

/* Waits for the next one. False at the end of input: the daemon has no more use for us. */
bool helper_receive(Helper *h, HelperMessage *ret);
void helper_message_done(HelperMessage *m);
#define _cleanup_helper_message_ _cleanup_(helper_message_done)
/* Where the daemon has gone, the next helper_receive() tells. */
void helper_send(Helper *h, HelperKind kind, const void *data, size_t n);
void helper_send_two(Helper *h, HelperKind kind, const void *head, size_t n_head, const void *data,
                     size_t n);
/* The call's end: its result or its error. */
void helper_send_reply(Helper *h, FileJob *j);

/*
 * How SIGTERM is taken: at once, or (gentle) as if the daemon had closed the socket, so that what a
 * transfer has begun is removed first.
 */
void helper_set_gentle(bool gentle);

/* file.get and file.put, from the call to its end. False: the daemon has gone. */
bool helper_run_get(Helper *h, FileJob *j);
bool helper_run_put(Helper *h, FileJob *j);
