/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>

#include "base/fd.h"
#include "files/hash.h"
#include "files/record.h"
#include "files/transfer.h"

/* What sending and receiving share. */
typedef struct TransferOps TransferOps;

struct TransferOps {
        /* A step. TRANSFER_STEP: there is more to do; else as transfer_run(). */
        int (*step)(Transfer *t);
        Transfer *(*free)(Transfer *t);
};

enum {
        TRANSFER_STEP = 2,
};

struct Transfer {
        const TransferOps *ops;
        Wire *wire;
        TransferEvents events;
        TransferStats stats;
        char *problem;
        int error; /* that ended it */
};

/* Tells that an entry did not arrive. Takes no part in the transfer's own end. */
void transfer_entry_failed(Transfer *t, const char *path, int error, bool by_peer,
                           const char *message);
/* Ends the transfer: keeps the words. Returns error. */
int transfer_fail(Transfer *t, int error, const char *format, ...) _printf_(3, 4);
void transfer_progress(Transfer *t, const char *path);
/* Frees what it holds, not itself. */
void transfer_done(Transfer *t);
