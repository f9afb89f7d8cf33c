/* SPDX-License-Identifier: MIT */
#include "io/way.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"

/* What a turn does before others have theirs: reads and writes. */
#define TURN_STEPS 8U
/* Blocks that are kept for the next who needs one. */
#define BLOCKS_KEPT_MAX 2U

/* One pool serves the process: there is one thread. The last one given back is the next one
 * taken, so that who is busy works in memory that the cache holds. */
static char *kept[BLOCKS_KEPT_MAX];
static size_t n_kept;

static char *block_take(void)
{
        return n_kept > 0 ? kept[--n_kept] : malloc(WAY_BLOCK_SIZE);
}

static void block_give(char *block)
{
        if (!block)
                return;
        if (n_kept < BLOCKS_KEPT_MAX)
                kept[n_kept++] = block;
        else
                free(block);
}

void way_drop_blocks(void)
{
        while (n_kept > 0)
                free(kept[--n_kept]);
}

static bool is_socket(int fd)
{
        socklen_t length = sizeof(int);
        int type;

        return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

void way_init(Way *w, int from, int to, uint64_t *counter)
{
        *w = (Way){
                .from = from,
                .to = to,
                .counter = counter,
                .from_socket = is_socket(from),
                .to_socket = is_socket(to),
                .drops = to < 0,
                .ended = from < 0,
        };
}

bool way_is_ready(const Way *w)
{
        if (w->size > 0)
                return w->writable || w->drops;
        return !w->ended && w->readable;
}

bool way_is_over(const Way *w)
{
        return w->ended && w->size == 0;
}

static void way_count(Way *w, size_t n)
{
        w->moved = true;
        if (w->counter)
                *w->counter += n;
}

void way_fail(Way *w, int error)
{
        if (w->write_error == 0)
                w->write_error = error < 0 ? error : w->size > 0 ? -EPIPE : 0;
        w->size = 0;
        w->drops = true;
        w->failed = true;
}

static void way_read(Way *w)
{
        ssize_t n;

        if (!w->block) {
                w->block = block_take();
                if (!w->block) {
                        w->read_error = -ENOMEM;
                        w->ended = true;
                        return;
                }
        }
        n = w->from_socket ? recv(w->from, w->block, WAY_BLOCK_SIZE, MSG_DONTWAIT)
                           : read(w->from, w->block, WAY_BLOCK_SIZE);
        if (n > 0) {
                w->begin = 0;
                w->size = (size_t)n;
        } else if (n == 0) {
                w->ended = true;
        } else if (errno == EAGAIN) {
                w->readable = false;
        } else if (errno != EINTR) {
                w->read_error = -errno;
                w->ended = true;
        }
}

static void way_write(Way *w)
{
        const char *from = w->block + w->begin;
        ssize_t n;

        n = w->to_socket ? send(w->to, from, w->size, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(w->to, from, w->size);
        if (n >= 0) {
                w->begin += (size_t)n;
                w->size -= (size_t)n;
                way_count(w, (size_t)n);
        } else if (errno == EAGAIN) {
                w->writable = false;
        } else if (errno != EINTR) {
                way_fail(w, -errno);
        }
}

static void way_drop(Way *w)
{
        way_count(w, w->size);
        w->size = 0;
        if (w->failed && w->write_error == 0)
                w->write_error = -EPIPE;
}

void way_turn(Way *w)
{
        for (unsigned i = 0; i < TURN_STEPS && way_is_ready(w); i++) {
                if (w->size == 0)
                        way_read(w);
                else if (w->drops)
                        way_drop(w);
                else
                        way_write(w);
        }
}

void way_rest(Way *w)
{
        if (w->size > 0)
                return;
        block_give(w->block);
        w->block = NULL;
}

void way_done(Way *w)
{
        w->size = 0;
        way_rest(w);
}
