/* SPDX-License-Identifier: MIT */
#include "files/transfer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "files/transfer-internal.h"

#define PARTIAL_SUFFIX ".guestwire-part"
/* Digits of a hash of the whole name, where it must be cut. */
#define PARTIAL_DIGITS 16U

void transfer_entry_failed(Transfer *t, const char *path, int error, bool by_peer,
                           const char *message)
{
        t->stats.failed++;
        if (t->events.failed)
                t->events.failed(path, error, by_peer, message, t->events.userdata);
}

int transfer_fail(Transfer *t, int error, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        if (!t->problem && vasprintf(&t->problem, format, args) < 0)
                t->problem = NULL;
        va_end(args);
        return error;
}

void transfer_progress(Transfer *t, const char *path)
{
        if (t->events.progress)
                t->events.progress(&t->stats, path, t->events.userdata);
}

/* What is begun is brought to a frame's end, so that others may go on with the connection. */
static void transfer_settle(Transfer *t)
{
        FramePiece piece;
        int r = 0;

        if (t->wire->failed)
                return;
        while (r >= 0 && !wire_is_between(t->wire))
                r = wire_next(t->wire, false, &piece);
        if (r >= 0)
                r = wire_flush(t->wire);
        /* Interrupted once more, or broken: it is of no more use. */
        if (r < 0)
                t->wire->failed = true;
}

int transfer_run(Transfer *t)
{
        int r = TRANSFER_STEP;

        if (t->error < 0)
                return t->error;
        while (r == TRANSFER_STEP)
                r = t->ops->step(t);
        if (r < 0) {
                t->error = r;
                transfer_settle(t);
        }
        return r;
}

void transfer_done(Transfer *t)
{
        free(t->problem);
}

Transfer *transfer_free(Transfer *t)
{
        return t ? t->ops->free(t) : NULL;
}

const TransferStats *transfer_stats(const Transfer *t)
{
        return &t->stats;
}

const char *transfer_problem(const Transfer *t)
{
        return t->problem;
}

bool transfer_wire_failed(const Transfer *t)
{
        return t->wire->failed;
}

char *transfer_partial_name(const char *name)
{
        const size_t most = NAME_MAX - 1 - strlen(PARTIAL_SUFFIX);
        _cleanup_(hash_done) Hash h = {};
        char digits[HASH_TEXT_SIZE];
        size_t n = strlen(name);

        if (n <= most)
                return text_format(".%s" PARTIAL_SUFFIX, name);
        if (hash_begin(&h) < 0)
                return NULL;
        hash_add(&h, name, n);
        hash_text(&h, digits);
        return text_format(".%.*s-%.*s" PARTIAL_SUFFIX, (int)(most - PARTIAL_DIGITS - 1), name,
                           (int)PARTIAL_DIGITS, digits);
}

int transfer_hash_prefix(int fd, uint64_t size, int interrupt_fd,
                         char ret[static TRANSFER_HASH_SIZE])
{
        _cleanup_(hash_done) Hash h = {};
        int r;

        r = hash_begin(&h);
        if (r >= 0)
                r = hash_add_file(&h, fd, size, interrupt_fd);
        if (r >= 0)
                hash_text(&h, ret);
        return r;
}
