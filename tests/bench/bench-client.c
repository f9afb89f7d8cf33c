/* SPDX-License-Identifier: MIT */

/*
 * The caller in all measurements. It does as little as it can beside its system calls, since it
 * shares its CPU with the server: requests are laid out beforehand, and replies are compared,
 * every byte of every one, with what the first reply showed them to look like.
 *
 *     bench-client latency    --count=N      a request, its reply, N times: p50, p99;
 *                                            --pause=USEC between them
 *     bench-client throughput --seconds=S    C connections with D requests under way on each
 *     bench-client hold                      C connections, one ping on each, then silence
 *                                            until standard input ends
 *
 * What was measured is one line of JSON on standard output.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/fd.h"
#include "base/macros.h"

#define DEPTH_MAX 8192U
#define TEXT_MAX 192U
#define LATENCY_SLOTS 512U
/* Digits of an id: all ids are as long, so that all requests are, and all replies. */
#define ID_DIGITS 5
#define ID_FIRST UINT64_C(10000)
#define EVENTS_MAX 256

typedef struct Protocol Protocol;
typedef struct Texts Texts;
typedef struct Connection Connection;
typedef struct Options Options;

struct Protocol {
        const char *name;
        const char *request; /* with %d for the id, if it has one */
        const char *answer;  /* what a reply that is no error holds; NULL: the request itself */
};

/* "echo" is the request of jsonrpc, so that both move as many bytes to the server. */
#define CALL(method) "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 ",\"method\":\"" method "\"}\n"
#define PING CALL("agent.ping")
static const Protocol protocols[] = {
        { "jsonrpc", PING, "\"result\":{}" },
        { "echo", PING, NULL },
        { "qga", "{\"execute\":\"guest-ping\"}\n", "\"return\": {}" },
        { "program", CALL("bench.true"), "\"result\":\"\"" },
        { "local", CALL("local.echo"), "\"result\":{}" },
};

/* Texts of one length in a ring of `slots`, laid out twice: what begins at a slot and is at
 * most `slots` texts long lies in one piece. */
struct Texts {
        char bytes[2 * DEPTH_MAX * TEXT_MAX];
        size_t length; /* of one text */
        size_t slots;
};

struct Connection {
        int fd;
        size_t wanted;   /* bytes of requests */
        size_t sent;     /* of them */
        size_t received; /* bytes of replies */
};

struct Options {
        const Protocol *protocol;
        const char *path;
        size_t count;
        size_t connections;
        size_t depth;
        size_t pause; /* microseconds */
        double seconds;
};

static Texts requests, replies;

static void die(const char *what)
{
        (void)fprintf(stderr, "bench-client: %s%s%s\n", what, errno ? ": " : "",
                      errno ? strerror(errno) : "");
        exit(1);
}

static uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        if (strlen(path) >= sizeof(address.sun_path))
                die("the socket's path is too long");
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                die(path);
        return fd;
}

static void send_request(int fd, size_t slot)
{
        size_t size = requests.length;

        if (send(fd, requests.bytes + slot * size, size, MSG_NOSIGNAL) != (ssize_t)size)
                die("send");
}

static void lay_out_requests(const Protocol *protocol, size_t slots)
{
        requests.slots = slots;
        for (size_t i = 0; i < 2 * slots; i++) {
                char text[TEXT_MAX];
                int n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                n = snprintf(text, sizeof(text), protocol->request, ID_FIRST + i % slots);
#pragma GCC diagnostic pop
                if (n < 0 || (size_t)n >= sizeof(text))
                        die("a request is too long");
                requests.length = (size_t)n;
                memcpy(requests.bytes + i * requests.length, text, requests.length);
        }
}

/* Sends the first request and lays out, after its reply, what all further ones must read. */
static void learn_replies(const Options *o, int fd)
{
        char line[TEXT_MAX + 1], first_id[ID_DIGITS + 1];
        const char *id;
        size_t n = 0;

        send_request(fd, 0);
        while (n == 0 || line[n - 1] != '\n') {
                ssize_t k = recv(fd, line + n, TEXT_MAX - n, 0);

                if (k <= 0)
                        die("no reply to the first request");
                n += (size_t)k;
                line[n] = '\0';
        }
        if (o->protocol->answer ? !strstr(line, o->protocol->answer)
                                : strncmp(line, requests.bytes, requests.length) != 0) {
                errno = 0;
                (void)fputs(line, stderr);
                die("this is not the reply to a ping");
        }
        replies.slots = requests.slots;
        replies.length = n;
        (void)snprintf(first_id, sizeof(first_id), "%" PRIu64, ID_FIRST);
        id = strstr(line, first_id);
        for (size_t i = 0; i < 2 * replies.slots; i++) {
                char digits[ID_DIGITS + 1];
                char *reply = replies.bytes + i * n;

                memcpy(reply, line, n);
                if (!id)
                        continue;
                (void)snprintf(digits, sizeof(digits), "%" PRIu64, ID_FIRST + i % replies.slots);
                memcpy(reply + (id - line), digits, ID_DIGITS);
        }
}

/* Whether the n bytes are what follows the first `at` bytes of replies. */
static bool replies_match(size_t at, const char *bytes, size_t n)
{
        size_t ring = replies.slots * replies.length;

        while (n > 0) {
                size_t piece = MIN_OF(n, ring);

                if (memcmp(replies.bytes + at % ring, bytes, piece) != 0)
                        return false;
                at += piece;
                bytes += piece;
                n -= piece;
        }
        return true;
}

static int compare_samples(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* One round trip. What is checked is checked after the clock was read. */
static uint64_t round_trip(int fd, size_t slot)
{
        char buffer[2 * TEXT_MAX];
        uint64_t begin = now_ns(), end;
        size_t n = 0;

        send_request(fd, slot);
        while (n < replies.length) {
                ssize_t k = recv(fd, buffer + n, sizeof(buffer) - n, 0);

                if (k <= 0)
                        die("the server is gone");
                n += (size_t)k;
        }
        end = now_ns();
        errno = 0;
        if (n != replies.length || !replies_match(slot * replies.length, buffer, n))
                die("a reply is not the one awaited");
        return end - begin;
}

static void measure_latency(const Options *o)
{
        _cleanup_close_ int fd = connect_to(o->path);
        _cleanup_free_ uint64_t *samples = calloc(o->count, sizeof(uint64_t));

        if (!samples)
                die("calloc");
        lay_out_requests(o->protocol, LATENCY_SLOTS);
        learn_replies(o, fd);
        /* The first one has been sent and counts: a run is of exactly `count` pings. */
        for (size_t i = 1; i < o->count; i++) {
                if (o->pause > 0)
                        (void)usleep((useconds_t)o->pause);
                samples[i] = round_trip(fd, i % LATENCY_SLOTS);
        }
        qsort(samples + 1, o->count - 1, sizeof(uint64_t), compare_samples);
        (void)printf("{\"count\": %zu, \"request_bytes\": %zu, \"reply_bytes\": %zu, "
                     "\"min_ns\": %" PRIu64 ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n",
                     o->count, requests.length, replies.length, samples[1],
                     samples[1 + (o->count - 1) / 2], samples[1 + (o->count - 1) * 99 / 100]);
}

static Connection *open_connections(const Options *o)
{
        Connection *all = calloc(o->connections, sizeof(Connection));

        if (!all)
                die("calloc");
        for (size_t i = 0; i < o->connections; i++)
                all[i].fd = connect_to(o->path);
        return all;
}

static void close_connections(const Options *o, Connection *all)
{
        for (size_t i = 0; i < o->connections; i++)
                all[i].fd = fd_close(all[i].fd);
        free(all);
}

/* Takes what has come in; returns how many replies that made whole. */
static size_t take_replies(Connection *c)
{
        char buffer[65536];
        size_t before = c->received / replies.length;
        ssize_t n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (n <= 0)
                die("the server is gone");
        errno = 0;
        if (!replies_match(c->received, buffer, (size_t)n))
                die("a reply is not the one awaited");
        c->received += (size_t)n;
        return c->received / replies.length - before;
}

/* n requests more. What the socket does not take now goes with the next ones: there are replies
 * to come as long as it is full. */
static void want_requests(Connection *c, size_t n)
{
        size_t ring = requests.slots * requests.length, size;
        ssize_t k;

        c->wanted += n * requests.length;
        size = MIN_OF(c->wanted - c->sent, ring);
        if (size == 0)
                return;
        k = send(c->fd, requests.bytes + c->sent % ring, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno != EAGAIN)
                die("send");
        if (k > 0)
                c->sent += (size_t)k;
}

/* A request for each reply that has come in, until the time is over; then what is under way. */
static size_t drive(int epoll, size_t under_way, uint64_t deadline)
{
        struct epoll_event events[EVENTS_MAX];
        size_t total = 0;
        bool more = true;

        while (under_way > 0) {
                int n = epoll_wait(epoll, events, EVENTS_MAX, 10000);

                if (n <= 0)
                        die("no reply within 10 seconds");
                more = more && now_ns() < deadline;
                for (int i = 0; i < n; i++) {
                        Connection *c = events[i].data.ptr;
                        size_t whole = take_replies(c);

                        total += whole;
                        if (!more)
                                under_way -= whole;
                        if (whole > 0)
                                want_requests(c, more ? whole : 0);
                }
        }
        return total;
}

static void measure_throughput(const Options *o)
{
        _cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
        _cleanup_close_ int probe = -EBADF;
        Connection *all;
        uint64_t begin, end;
        size_t total;

        if (epoll < 0)
                die("epoll_create1");
        lay_out_requests(o->protocol, o->depth);
        probe = connect_to(o->path);
        learn_replies(o, probe);
        probe = fd_close(probe); /* some servers serve one client at a time */
        all = open_connections(o);
        for (size_t i = 0; i < o->connections; i++) {
                struct epoll_event e = { .events = EPOLLIN, .data.ptr = &all[i] };

                if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) < 0)
                        die("epoll_ctl");
        }
        begin = now_ns();
        for (size_t i = 0; i < o->connections; i++)
                want_requests(&all[i], o->depth);
        total = drive(epoll, o->connections * o->depth, begin + (uint64_t)(o->seconds * 1e9));
        end = now_ns();
        close_connections(o, all);
        (void)printf("{\"replies\": %zu, \"seconds\": %.6f, \"per_second\": %.1f}\n", total,
                     (double)(end - begin) / 1e9, (double)total * 1e9 / (double)(end - begin));
}

static void hold(const Options *o)
{
        Connection *all;
        char byte;

        lay_out_requests(o->protocol, LATENCY_SLOTS);
        all = open_connections(o);
        learn_replies(o, all[0].fd);
        for (size_t i = 1; i < o->connections; i++)
                (void)round_trip(all[i].fd, i % LATENCY_SLOTS);
        (void)printf("{\"connections\": %zu}\n", o->connections);
        (void)fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        close_connections(o, all);
}

static void usage(void)
{
        (void)fprintf(stderr, "usage: bench-client latency|throughput|hold [--protocol=NAME]\n"
                              "       [--count=N] [--pause=USEC] [--seconds=S] [--connections=C] "
                              "[--depth=D]\n       PATH\n");
        exit(2);
}

static size_t parse_number(const char *text, size_t max)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end || n < 1 || n > max)
                usage();
        return n;
}

static void parse_options(int argc, char **argv, Options *o)
{
        static const struct option options[] = {
                { "protocol", required_argument, NULL, 'p' },
                { "count", required_argument, NULL, 'n' },
                { "seconds", required_argument, NULL, 's' },
                { "connections", required_argument, NULL, 'c' },
                { "depth", required_argument, NULL, 'd' },
                { "pause", required_argument, NULL, 'w' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'n') {
                        o->count = parse_number(optarg, 100000000);
                } else if (c == 's') {
                        o->seconds = strtod(optarg, NULL);
                } else if (c == 'c') {
                        o->connections = parse_number(optarg, 100000);
                } else if (c == 'd') {
                        o->depth = parse_number(optarg, DEPTH_MAX);
                } else if (c == 'w') {
                        o->pause = parse_number(optarg, 999999);
                } else if (c == 'p') {
                        o->protocol = NULL;
                        for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
                                if (strcmp(protocols[i].name, optarg) == 0)
                                        o->protocol = &protocols[i];
                        if (!o->protocol)
                                usage();
                } else {
                        usage();
                }
        }
        if (argc - optind != 1 || o->count < 3 || !(o->seconds > 0))
                usage();
        o->path = argv[optind];
}

/* A thousand connections are more than the usual soft limit allows. */
static void raise_fd_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("getrlimit");
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("setrlimit");
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(const Options *o);
        } modes[] = {
                { "latency", measure_latency },
                { "throughput", measure_throughput },
                { "hold", hold },
        };
        Options o = {
                .protocol = protocols, .count = 1000, .connections = 1, .depth = 1, .seconds = 1
        };

        if (argc < 2)
                usage();
        parse_options(argc - 1, argv + 1, &o);
        raise_fd_limit();
        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (strcmp(modes[i].name, argv[1]) == 0) {
                        modes[i].run(&o);
                        return 0;
                }
        usage();
}
