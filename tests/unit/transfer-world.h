/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of transfers need: two folders, a connection between them, and both sides run. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "files/transfer.h"
#include "tests/unit/child.h"

typedef struct World World;
typedef struct Side Side;

/* What one side says of it. */
struct Side {
        Wire wire;
        Transfer *transfer;
        int result;
        TransferStats stats;
        char *problem;
        unsigned n_failed;
        unsigned n_changed;
        int error;    /* of the last entry that failed */
        bool by_peer; /* so too */
        char path[512];
        char message[512];
};

struct World {
        char folder[32];
        int from; /* its folders `from` and `to` */
        int to;
        size_t n_fds;
        Side sender;
        Side receiver;
        SendSettings send;
        ReceiveSettings receive;
};

static inline _unused_ size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline _unused_ void on_failed(const char *path, int error, bool by_peer,
                                      const char *message, void *userdata)
{
        Side *side = userdata;

        side->n_failed++;
        side->error = error;
        side->by_peer = by_peer;
        snprintf(side->path, sizeof(side->path), "%s", path);
        snprintf(side->message, sizeof(side->message), "%s", message);
}

static inline _unused_ void on_changed(const char *path, void *userdata)
{
        Side *side = userdata;

        side->n_changed++;
}

static inline _unused_ int setup(void **state)
{
        World *w = calloc(1, sizeof(*w));

        if (!w)
                return -1;
        w->n_fds = count_fds();
        strcpy(w->folder, "/tmp/guestwire-XXXXXX");
        if (!mkdtemp(w->folder) || chdir(w->folder) < 0 || mkdir("from", 0755) < 0 ||
            mkdir("to", 0755) < 0)
                return -1;
        w->from = open("from", O_PATH | O_DIRECTORY | O_CLOEXEC);
        w->to = open("to", O_PATH | O_DIRECTORY | O_CLOEXEC);
        w->sender.wire = w->receiver.wire = WIRE_NULL;
        w->receive = RECEIVE_SETTINGS_NULL;
        w->send.recursive = w->receive.recursive = true;
        w->send.events = (TransferEvents){ .failed = on_failed,
                                           .changed = on_changed,
                                           .userdata = &w->sender };
        w->receive.events = w->send.events;
        w->receive.events.userdata = &w->receiver;
        *state = w;
        return w->from < 0 || w->to < 0 ? -1 : 0;
}

static inline _unused_ void side_done(Side *s)
{
        s->transfer = transfer_free(s->transfer);
        free(s->problem);
        s->problem = NULL;
        wire_done(&s->wire);
}

static inline _unused_ int teardown(void **state)
{
        World *w = *state;
        _cleanup_free_ char *command =
                text_format("chmod -R u+w '%s'; rm -rf '%s'", w->folder, w->folder);
        size_t n_fds;
        int r;

        side_done(&w->sender);
        side_done(&w->receiver);
        fd_close(w->from);
        fd_close(w->to);
        n_fds = count_fds();
        r = chdir("/") < 0 || !command ? -1 : system(command);
        if (r == 0 && n_fds != w->n_fds) {
                fprintf(stderr, "# %zu descriptors, and %zu before\n", n_fds, w->n_fds);
                r = -1;
        }
        free(w);
        return r;
}

/* A file with known content. */
static inline _unused_ void make_file(const char *path, const void *data, size_t n)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        if (fd < 0 || write(fd, data, n) != (ssize_t)n)
                fail_msg("%s: %s", path, strerror(errno));
        close(fd);
}

static inline _unused_ char *some_bytes(size_t n)
{
        char *data = malloc(n + 1);
        uint32_t x = 12345;

        assert_non_null(data);
        for (size_t i = 0; i < n; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = (char)(x >> 24);
        }
        return data;
}

/* Whether two files have the same bytes. */
static inline _unused_ void assert_same(const char *a, const char *b)
{
        _cleanup_free_ char *command = text_format("cmp -- '%s' '%s' >&2", a, b);

        assert_int_equal(system(command), 0);
}

/* How many names a folder holds, "." and ".." aside. */
static inline _unused_ size_t count_names(const char *path)
{
        DIR *d = opendir(path);
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

static inline _unused_ void assert_mode(const char *path, mode_t mode)
{
        struct stat st;

        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

static inline _unused_ void world_connect(World *w)
{
        int fds[2];

        wire_done(&w->sender.wire);
        wire_done(&w->receiver.wire);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(wire_init(&w->sender.wire, fds[0], NULL, 0), 0);
        assert_int_equal(wire_init(&w->receiver.wire, fds[1], NULL, 0), 0);
}

/* Begins what goes from from/NAME to to/NAME2. 0 or what transfer_*_new() says, with a problem. */
static inline _unused_ int world_open_sender(World *w, const char *name)
{
        int fd = openat(w->from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;

        if (fd < 0)
                fail_msg("%s: %s", name, strerror(errno));
        r = transfer_send_new(&w->sender.wire, fd, &w->send, &w->sender.transfer,
                              &w->sender.problem);
        if (r < 0)
                close(fd);
        return r;
}

static inline _unused_ void *run_sender(void *userdata)
{
        Side *s = userdata;

        s->result = transfer_run(s->transfer);
        return NULL;
}

static inline _unused_ void side_note(Side *s)
{
        const char *problem = transfer_problem(s->transfer);

        s->stats = *transfer_stats(s->transfer);
        free(s->problem);
        s->problem = problem ? strdup(problem) : NULL;
        s->transfer = transfer_free(s->transfer);
}

/* The whole way. Outcomes are in the sides. */
static inline _unused_ void world_copy(World *w, const char *name, const char *to)
{
        _cleanup_free_ char *problem = NULL;
        pthread_t thread;
        int source, r;

        w->sender.n_failed = w->receiver.n_failed = 0;
        w->sender.n_changed = w->receiver.n_changed = 0;
        world_connect(w);
        source = openat(w->from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = transfer_send_new(&w->sender.wire, source, &w->send, &w->sender.transfer, &problem);
        if (r < 0)
                fail_msg("%s: %s", name, problem ? problem : strerror(-r));
        r = transfer_receive_new(&w->receiver.wire, w->to, to, &w->receive, &w->receiver.transfer,
                                 &problem);
        if (r < 0)
                fail_msg("%s: %s", to, problem ? problem : strerror(-r));
        assert_int_equal(pthread_create(&thread, NULL, run_sender, &w->sender), 0);
        w->receiver.result = transfer_run(w->receiver.transfer);
        if (w->receiver.result != TRANSFER_DONE)
                shutdown(w->receiver.wire.fd, SHUT_RDWR);
        assert_int_equal(pthread_join(thread, NULL), 0);
        side_note(&w->sender);
        side_note(&w->receiver);
        close(source);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
        wire_done(&w->sender.wire);
        wire_done(&w->receiver.wire);
}

static inline _unused_ void assert_copied(const World *w)
{
        if (w->sender.result != TRANSFER_DONE || w->receiver.result != TRANSFER_DONE)
                fail_msg("sender %d (%s), receiver %d (%s)", w->sender.result,
                         w->sender.problem ? w->sender.problem : "", w->receiver.result,
                         w->receiver.problem ? w->receiver.problem : "");
}

/* It must be refused before anything is sent. */
static inline _unused_ void assert_send_refused(World *w, const char *name, int error,
                                                const char *words)
{
        int source = openat(w->from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;
        _cleanup_free_ char *problem = NULL;

        world_connect(w);
        r = transfer_send_new(&w->sender.wire, source, &w->send, &w->sender.transfer, &problem);
        if (r != error || !strstr(problem, words))
                fail_msg("%s: %d (%s) instead of %d (%s)", name, r, problem ? problem : "", error,
                         words);
        close(source);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
        wire_done(&w->sender.wire);
        wire_done(&w->receiver.wire);
}

static inline _unused_ void assert_receive_refused(World *w, const char *name, int error,
                                                   const char *words)
{
        _cleanup_free_ char *problem = NULL;
        int r;

        world_connect(w);
        r = transfer_receive_new(&w->receiver.wire, w->to, name, &w->receive, &w->receiver.transfer,
                                 &problem);
        if (r != error || !strstr(problem, words))
                fail_msg("%s: %d (%s) instead of %d (%s)", name, r, problem ? problem : "", error,
                         words);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
        wire_done(&w->sender.wire);
        wire_done(&w->receiver.wire);
}
