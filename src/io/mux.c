/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "io/mux.h"
#include "io/problem.h"

void mux_begin(Mux *m, uint32_t port)
{
        *m = (Mux){ 0 };
        m->request_size =
                (size_t)snprintf(m->request, sizeof(m->request), "CONNECT %" PRIu32 "\n", port);
}

static int mux_write(Mux *m, int fd)
{
        while (m->sent < m->request_size) {
                ssize_t n = send(fd, m->request + m->sent, m->request_size - m->sent,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return MUX_WANTS_WRITE;
                if (n < 0)
                        return errno == EPIPE ? -ECONNRESET : -errno;
                m->sent += (size_t)n;
        }
        return MUX_DONE;
}

/* The line is whole, its newline cut off. */
static int mux_judge(const Mux *m, char **ret_detail)
{
        const char *number = m->line + 3;
        size_t n = strlen(m->line);
        char *shown;

        /* strlen: a NUL among the bytes makes it no OK either. */
        if (n + 1 == m->line_size && strncmp(m->line, "OK ", 3) == 0 && *number &&
            number[strspn(number, "0123456789")] == '\0')
                return MUX_DONE;
        shown = text_show(m->line, m->line_size - 1, MUX_LINE_MAX);
        return problem_take(ret_detail, shown, -EPROTO);
}

/*
 * Takes from the socket what belongs to the line, which a look at the waiting bytes shows.
 * 1: the line is whole; 0: there is more to come, or the line is full.
 */
static int mux_take(Mux *m, int fd)
{
        char *at = m->line + m->line_size;
        size_t room = sizeof(m->line) - m->line_size;
        const char *newline;
        ssize_t n;

        n = recv(fd, at, room, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        newline = memchr(at, '\n', (size_t)n);
        n = recv(fd, at, newline ? (size_t)(newline - at) + 1 : (size_t)n, MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        m->line_size += (size_t)n;
        if (!newline || n == 0 || at[n - 1] != '\n')
                return 0;
        at[n - 1] = '\0';
        return 1;
}

static int mux_read(Mux *m, int fd, char **ret_detail)
{
        for (;;) {
                int r = mux_take(m, fd);

                if (r > 0)
                        return mux_judge(m, ret_detail);
                if (r == -EINTR)
                        continue;
                if (r == -EAGAIN)
                        return MUX_WANTS_READ;
                if (r < 0)
                        return r;
                if (m->line_size == sizeof(m->line))
                        return problem_take(ret_detail, text_show(m->line, m->line_size, 16),
                                            -EPROTO);
        }
}

int mux_step(Mux *m, int fd, char **ret_detail)
{
        int r = mux_write(m, fd);

        return r == MUX_DONE ? mux_read(m, fd, ret_detail) : r;
}
