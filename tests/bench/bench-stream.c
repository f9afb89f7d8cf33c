/* SPDX-License-Identifier: MIT */

/*
 * Both ends of what a proxy carries from a Unix socket (where it listens) to a TCP port of
 * 127.0.0.1 (where this program listens).
 *
 *     bench-stream flow  --mib=N [--both]  so many MiB from the Unix end to the TCP end, written
 *                                          in blocks of 256 KiB; with --both as many back at the
 *                                          same time: MiB a second, all that have arrived
 *     bench-stream calls --count=N         connections one after the other, a byte there and one
 *                                          back on each
 *     bench-stream hold  --count=N         as many connections, a byte there and back on each,
 *                                          then silence until standard input ends
 *
 * Each takes --port=P and the path of the Unix socket; "direct" as the path connects the two ends
 * without a proxy. What was measured is one line of JSON on standard output.
 */

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

#define BLOCK ((size_t)256 * 1024)

typedef struct Options Options;
typedef struct Pair Pair;

struct Options {
        const char *path;
        uint16_t port;
        size_t mib;
        size_t count;
        bool both;
        int listener;
};

/* The two ends of one connection. */
struct Pair {
        int near; /* Unix */
        int far;  /* TCP */
};

static char block[BLOCK];

static void die(const char *what)
{
        (void)fprintf(stderr, "bench-stream: %s%s%s\n", what, errno ? ": " : "",
                      errno ? strerror(errno) : "");
        exit(1);
}

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(uint16_t port)
{
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return in;
}

static int listen_on(uint16_t port)
{
        struct sockaddr_in in = loopback(port);
        const int on = 1;
        int fd;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (const struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, SOMAXCONN) < 0)
                die("cannot listen");
        return fd;
}

static int connect_near(const Options *o)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct sockaddr_in in = loopback(o->port);
        bool direct = strcmp(o->path, "direct") == 0;
        int fd;

        if (strlen(o->path) >= sizeof(un.sun_path))
                die("the socket's path is too long");
        strcpy(un.sun_path, o->path);
        fd = socket(direct ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || (direct ? connect(fd, (const struct sockaddr *)&in, sizeof(in))
                              : connect(fd, (const struct sockaddr *)&un, sizeof(un))) < 0)
                die(o->path);
        return fd;
}

static Pair make_pair(const Options *o)
{
        const int on = 1;
        Pair p;

        p.near = connect_near(o);
        p.far = accept4(o->listener, NULL, NULL, SOCK_CLOEXEC);
        if (p.far < 0)
                die("accept");
        (void)setsockopt(p.far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return p;
}

static void write_all(int fd, size_t size)
{
        while (size > 0) {
                ssize_t n = send(fd, block, MIN_OF(size, BLOCK), MSG_NOSIGNAL);

                if (n < 0)
                        die("send");
                size -= (size_t)n;
        }
}

/* By size, since not every proxy keeps one way open when the other one ends. */
static void read_all(int fd, size_t size)
{
        while (size > 0) {
                ssize_t n = recv(fd, block, MIN_OF(size, BLOCK), 0);

                if (n <= 0) {
                        if (n == 0)
                                errno = 0;
                        die("the stream is cut short");
                }
                size -= (size_t)n;
        }
}

/* In a process of its own, so that nobody waits for another but through the stream. */
static void in_child(void (*f)(int, size_t), int fd, size_t size)
{
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid > 0)
                return;
        f(fd, size);
        _exit(0);
}

static void flow(const Options *o)
{
        size_t size = o->mib * 1024 * 1024;
        Pair p = make_pair(o);
        double begin = now();
        int status;

        in_child(write_all, p.near, size);
        if (o->both) {
                in_child(write_all, p.far, size);
                in_child(read_all, p.near, size);
        }
        read_all(p.far, size);
        while (wait(&status) > 0)
                if (status != 0) {
                        errno = 0;
                        die("a child failed");
                }
        (void)printf("{\"mib_per_second\": %.1f}\n",
                     (double)o->mib * (o->both ? 2 : 1) / (now() - begin));
}

static void exchange(int from, int to)
{
        char byte = 'x';

        if (send(from, &byte, 1, MSG_NOSIGNAL) != 1 || recv(to, &byte, 1, 0) != 1)
                die("a byte was lost");
}

static void calls(const Options *o)
{
        double begin = now();

        for (size_t i = 0; i < o->count; i++) {
                Pair p = make_pair(o);

                exchange(p.near, p.far);
                exchange(p.far, p.near);
                (void)close(p.near);
                (void)close(p.far);
        }
        (void)printf("{\"per_second\": %.1f}\n", (double)o->count / (now() - begin));
}

static void hold(const Options *o)
{
        char byte;

        for (size_t i = 0; i < o->count; i++) {
                Pair p = make_pair(o);

                exchange(p.near, p.far);
                exchange(p.far, p.near);
        }
        (void)printf("{\"connections\": %zu}\n", o->count);
        (void)fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
}

int main(int argc, char *argv[])
{
        static const struct option options[] = {
                { "port", required_argument, NULL, 'p' },
                { "mib", required_argument, NULL, 'm' },
                { "count", required_argument, NULL, 'c' },
                { "both", no_argument, NULL, 'b' },
                { 0 },
        };
        static const struct {
                const char *name;
                void (*run)(const Options *o);
        } modes[] = { { "flow", flow }, { "calls", calls }, { "hold", hold } };
        Options o = { .mib = 1024, .count = 1000 };
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (option) {
                case 'p':
                        o.port = (uint16_t)strtoul(optarg, NULL, 10);
                        break;
                case 'm':
                        o.mib = strtoul(optarg, NULL, 10);
                        break;
                case 'c':
                        o.count = strtoul(optarg, NULL, 10);
                        break;
                case 'b':
                        o.both = true;
                        break;
                default:
                        return 2;
                }
        if (argc - optind != 2 || o.port == 0) {
                (void)fprintf(stderr, "bench-stream: MODE --port=P PATH\n");
                return 2;
        }
        o.path = argv[optind + 1];
        o.listener = listen_on(o.port);
        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (strcmp(argv[optind], modes[i].name) == 0) {
                        modes[i].run(&o);
                        return 0;
                }
        (void)fprintf(stderr, "bench-stream: no mode '%s'\n", argv[optind]);
        return 2;
}
