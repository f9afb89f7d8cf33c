/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/macros.h"

/*
 * What the daemon and a file helper say to each other, over a socketpair: the length of the payload
 * in four bytes, the most significant first, a byte that says what it is, the payload. Each call is
 * asked for and answered before the next one is.
 *
 *     daemon               helper
 *     HELLO                RESULT or ERROR (then it ends)
 *     CALL                 RESULT or ERROR; of a raw call also BEGIN first, and then
 *     LEND (a connection)  RETURN, and where it is not paused RESULT or ERROR
 *     ABORT                stops a raw call, wherever it is: its RESULT or ERROR is yet to come,
 *                          or is on its way already
 */
typedef enum HelperKind {
        HELPER_HELLO,  /* JSON: version, user (absent: as it is), root (absent: none) */
        HELPER_CALL,   /* JSON: method, params, max_data */
        HELPER_LEND,   /* with a descriptor: 1 where nothing is to be read from it, else 0, in a
                        * byte; bytes that were received on it */
        HELPER_ABORT,  /* nothing */
        HELPER_RESULT, /* JSON: the call's result */
        HELPER_ERROR,  /* JSON: reason, message, errno (a number) and what else `data` has */
        HELPER_BEGIN,  /* JSON: the answer; a connection is wanted */
        HELPER_RETURN, /* a HelperReturn; bytes that were received and not taken */
        HELPER_KIND_MAX,
} HelperKind;

#define HELPER_HEADER_SIZE 5U

/* How a connection comes back. */
typedef struct HelperReturn HelperReturn;

struct HelperReturn {
        bool paused;       /* a frame on channel 0 is to be taken; then it is wanted again */
        int error;         /* of the connection, -errno; 0: it is between two frames, both ways */
        uint64_t received; /* bytes */
        uint64_t sent;
};

#define HELPER_RETURN_SIZE 21U

void helper_return_write(const HelperReturn *r, uint8_t to[static HELPER_RETURN_SIZE]);
/* 0, or -EBADMSG. */
int helper_return_read(HelperReturn *ret, const char *data, size_t n);

/* How long the payload after this header is. */
size_t helper_payload_size(const uint8_t header[static HELPER_HEADER_SIZE]);
/*
 * The message that `in` begins with, if all of it has come: 1, with its payload borrowed from
 * `in`, which is then consumed by HELPER_HEADER_SIZE + *ret_n; 0: not yet; -EMSGSIZE: over `max`
 * bytes; -EBADMSG: of no kind.
 */
int helper_take(const Buffer *in, size_t max, HelperKind *ret_kind, const char **ret_data,
                size_t *ret_n);
/* Appends a whole message, of a payload in one piece or in two. 0 or -ENOMEM. */
int helper_append(Buffer *out, HelperKind kind, const void *data, size_t n);
int helper_append_two(Buffer *out, HelperKind kind, const void *head, size_t n_head,
                      const void *data, size_t n);
