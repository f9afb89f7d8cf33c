/* SPDX-License-Identifier: MIT */

/*
 * The floor that a round trip is measured against: a blocking read() and write() and nothing
 * else, one connection after the other. No server that answers can do with fewer system calls.
 *
 *     bench-echo PATH           prints "ready" once PATH can be connected to
 *     bench-echo --epoll PATH   many connections at once: what an event loop cannot do without
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        if (listen(fd, 512) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Ends with its peer. A Unix stream socket that blocks takes a write whole. */
static void echo(int fd)
{
        static char buffer[65536];

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n <= 0 || write(fd, buffer, (size_t)n) != n)
                        return;
        }
}

static int serve_one_by_one(int listener)
{
        for (;;) {
                _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        return -errno;
                echo(fd);
        }
}

/* For each event one read and one write. A level-triggered loop asks for no more. */
static void echo_once(int fd)
{
        static char buffer[65536];
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n <= 0 || write(fd, buffer, (size_t)n) != n)
                fd_close(fd);
}

static int serve_many(int listener)
{
        _cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[256];

        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
                return -errno;
        for (;;) {
                int n = epoll_wait(epoll, events, ELEMENTSOF(events), -1);

                for (int i = 0; i < n; i++) {
                        if (events[i].data.fd != listener) {
                                echo_once(events[i].data.fd);
                                continue;
                        }
                        event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                        if (event.data.fd < 0 ||
                            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
                                return -errno;
                }
        }
}

int main(int argc, char **argv)
{
        bool many = argc == 3 && strcmp(argv[1], "--epoll") == 0;
        _cleanup_close_ int listener = -EBADF;
        int r;

        if (argc != 2 && !many) {
                (void)fprintf(stderr, "usage: bench-echo [--epoll] PATH\n");
                return 2;
        }
        r = listener = listen_at(argv[argc - 1]);
        if (r >= 0) {
                (void)puts("ready");
                (void)fflush(stdout);
                r = many ? serve_many(listener) : serve_one_by_one(listener);
        }
        (void)fprintf(stderr, "bench-echo: %s: %s\n", argv[argc - 1], strerror(-r));
        return 1;
}
