/* SPDX-License-Identifier: MIT */
#include "io/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* As many as are likely to carry bytes at the same time. */
#define PIPES_KEPT_MAX 16U

static Pipe kept[PIPES_KEPT_MAX];
static size_t n_kept;

int pipe_take(Pipe *ret)
{
        int fds[2];

        if (n_kept > 0) {
                *ret = kept[--n_kept];
                return 0;
        }
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        /* Who is not root and has many gets small ones: slower, and right. */
        (void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_SIZE);
        *ret = (Pipe){ .in = fds[0], .out = fds[1] };
        return 0;
}

void pipe_give(Pipe *p)
{
        if (p->in < 0)
                return;
        if (n_kept == PIPES_KEPT_MAX) {
                pipe_close(p);
                return;
        }
        kept[n_kept++] = *p;
        *p = PIPE_NULL;
}

void pipe_close(Pipe *p)
{
        p->in = fd_close(p->in);
        p->out = fd_close(p->out);
}

void pipes_drop(void)
{
        while (n_kept > 0)
                pipe_close(&kept[--n_kept]);
}
