/* SPDX-License-Identifier: MIT */

/*
 * The floor that a round trip is measured against: a blocking read() and write() and nothing
 * else, one connection after the other. No server that answers can do with fewer system calls.
 *
 *     bench-echo PATH      prints "ready" once PATH can be connected to
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
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
        if (listen(fd, 16) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Ends with its peer. A Unix stream socket that blocks takes a write whole. */
static void echo(int fd)
{
        char buffer[4096];

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n <= 0 || write(fd, buffer, (size_t)n) != n)
                        return;
        }
}

int main(int argc, char **argv)
{
        _cleanup_close_ int listener = -EBADF;

        if (argc != 2) {
                (void)fprintf(stderr, "usage: bench-echo PATH\n");
                return 2;
        }
        listener = listen_at(argv[1]);
        if (listener < 0) {
                (void)fprintf(stderr, "bench-echo: %s: %s\n", argv[1], strerror(-listener));
                return 1;
        }
        (void)puts("ready");
        (void)fflush(stdout);
        for (;;) {
                _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0) {
                        perror("bench-echo: accept");
                        return 1;
                }
                echo(fd);
        }
}
