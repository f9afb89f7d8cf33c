/* SPDX-License-Identifier: MIT */

/*
 * The least that moving bytes over a Unix socket takes, in blocks of 256 KiB.
 *
 *     bench-copy produce MIB        so many MiB of zeros to standard output
 *     bench-copy serve SOCKET FILE  listens; what it says "ready" to, it sends FILE, one
 *                                   connection after the other, until it is ended
 *     bench-copy fetch SOCKET FILE  connects, and writes what comes into FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BLOCK ((size_t)256 * 1024)

static char block[BLOCK];

static void die(const char *what)
{
        (void)fprintf(stderr, "bench-copy: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void write_all(int fd, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t w = write(fd, data, n);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w < 0)
                        die("write");
                data += w;
                n -= (size_t)w;
        }
}

static void copy(int from, int to)
{
        for (;;) {
                ssize_t n = read(from, block, sizeof(block));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        die("read");
                if (n == 0)
                        return;
                write_all(to, block, (size_t)n);
        }
}

static int open_file(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC, 0600);

        if (fd < 0)
                die(path);
        return fd;
}

static int open_socket(const char *path, bool listening)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof(address.sun_path)) {
                errno = ENAMETOOLONG;
                die(path);
        }
        strcpy(address.sun_path, path);
        if (fd < 0)
                die("socket");
        if (listening) {
                if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
                    listen(fd, 8) < 0)
                        die(path);
        } else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
                die(path);
        }
        return fd;
}

static void serve(const char *socket_path, const char *path)
{
        int listener = open_socket(socket_path, true);

        (void)signal(SIGPIPE, SIG_IGN);
        (void)puts("ready");
        (void)fflush(stdout);
        for (;;) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), file;

                if (fd < 0)
                        die("accept");
                file = open_file(path, O_RDONLY);
                copy(file, fd);
                (void)close(file);
                (void)close(fd);
        }
}

static void produce(const char *mib)
{
        for (long i = strtol(mib, NULL, 10) * 4; i > 0; i--)
                write_all(STDOUT_FILENO, block, sizeof(block));
}

int main(int argc, char **argv)
{
        if (argc == 3 && strcmp(argv[1], "produce") == 0) {
                produce(argv[2]);
        } else if (argc == 4 && strcmp(argv[1], "serve") == 0) {
                serve(argv[2], argv[3]);
        } else if (argc == 4 && strcmp(argv[1], "fetch") == 0) {
                copy(open_socket(argv[2], false), open_file(argv[3], O_WRONLY | O_CREAT | O_TRUNC));
        } else {
                (void)fprintf(stderr, "usage: bench-copy produce MIB | serve SOCKET FILE | "
                                      "fetch SOCKET FILE\n");
                return 2;
        }
        return 0;
}
