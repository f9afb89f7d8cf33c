/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of dials need around them: a loop, a folder, listeners, and a fake VMM. */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/dial.h"

/* Far beyond what any of these take: a test that hangs ends, and fails. */
#define LONG UINT64_C(60000000)
/* For what must run out. */
#define SHORT UINT64_C(20000)

typedef struct World World;

struct World {
        sd_event *event;
        char folder[32];
        char path[64]; /* a socket's, in the folder */
        size_t n_fds;  /* open when the test began */

        Dial *dial;
        bool free_in_call;
        unsigned n_calls;
        int result; /* the fd, or -errno */
        char *problem;

        /* A fake VMM: says `script`, `chunk` bytes each time that the loop is idle. */
        int listener;
        int vmm;
        char request[64];
        size_t n_request;
        const char *script;
        size_t n_script;
        size_t chunk;
        bool closes; /* after the script */
        sd_event_source *accept_source;
        sd_event_source *read_source;
        sd_event_source *say_source;
};

static inline _unused_ size_t count_entries(const char *path)
{
        DIR *d = opendir(path);
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

/* Threads of look-ups that were given up end by themselves; what they hold goes with them. */
static inline _unused_ void wait_for_threads(void)
{
        while (count_entries("/proc/self/task") > 3)
                (void)sched_yield();
}

static inline _unused_ int setup(void **state)
{
        World *w = calloc(1, sizeof(*w));

        if (!w)
                return -1;
        w->n_fds = count_entries("/proc/self/fd");
        w->listener = w->vmm = w->result = -EBADF;
        strcpy(w->folder, "/tmp/guestwire-XXXXXX");
        if (!mkdtemp(w->folder) || sd_event_new(&w->event) < 0) {
                free(w);
                return -1;
        }
        (void)snprintf(w->path, sizeof(w->path), "%s/vm.sock", w->folder);
        *state = w;
        return 0;
}

static inline _unused_ int teardown(void **state)
{
        World *w = *state;
        size_t n_fds;
        int r;

        dial_free(w->dial);
        sd_event_source_disable_unref(w->accept_source);
        sd_event_source_disable_unref(w->read_source);
        sd_event_source_disable_unref(w->say_source);
        sd_event_unref(w->event);
        fd_close(w->vmm);
        fd_close(w->listener);
        fd_close(w->result);
        free(w->problem);
        (void)unlink(w->path);
        r = rmdir(w->folder);
        wait_for_threads();
        n_fds = count_entries("/proc/self/fd");
        if (n_fds != w->n_fds) {
                print_error("%zu descriptors instead of %zu\n", n_fds, w->n_fds);
                r = -1;
        }
        free(w);
        return r;
}

static inline _unused_ void on_done(Dial *d, int fd, const char *problem, void *userdata)
{
        World *w = userdata;

        assert_ptr_equal(d, w->dial);
        assert_int_equal(fd < 0, problem != NULL);
        w->n_calls++;
        w->result = fd;
        w->problem = problem ? strdup(problem) : NULL;
        if (w->free_in_call)
                w->dial = dial_free(w->dial);
}

static inline _unused_ void begin(World *w, const Address *a, unsigned flags, uint64_t timeout)
{
        assert_int_equal(dial_start(w->event, a, flags, timeout, on_done, w, &w->dial), 0);
        assert_int_equal(w->n_calls, 0);
}

/* One turn of the loop; it must never be idle for long. */
static inline _unused_ void turn(World *w)
{
        assert_true(sd_event_run(w->event, LONG) > 0);
}

static inline _unused_ void finish(World *w)
{
        while (w->n_calls == 0)
                turn(w);
        assert_int_equal(w->n_calls, 1);
        w->dial = dial_free(w->dial);
}

/* From the start to the end, which is a socket or the error. */
static inline _unused_ void dial(World *w, const Address *a, uint64_t timeout)
{
        begin(w, a, 0, timeout);
        finish(w);
}

static inline _unused_ void assert_failed(World *w, int error, const char *words)
{
        if (w->result != error)
                fail_msg("%d instead of %d: %s", w->result, error, w->problem ? w->problem : "");
        if (!strstr(w->problem, words))
                fail_msg("no '%s' in '%s'", words, w->problem);
}

static inline _unused_ void assert_connected(const World *w)
{
        if (w->result < 0)
                fail_msg("%d: %s", w->result, w->problem);
        assert_true(fcntl(w->result, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(w->result, F_GETFD) & FD_CLOEXEC);
}

static inline _unused_ Address unix_address(World *w)
{
        return (Address){ .kind = ADDRESS_UNIX, .path = w->path };
}

static inline _unused_ Address mux_address(World *w)
{
        return (Address){ .kind = ADDRESS_MUX, .path = w->path, .port = 1000 };
}

static inline _unused_ void listen_at_path(World *w, int backlog)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };

        memcpy(un.sun_path, w->path, strlen(w->path));
        w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(w->listener, (const struct sockaddr *)&un, sizeof(un)), 0);
        assert_int_equal(listen(w->listener, backlog), 0);
}

/* Listens on 127.0.0.1 and returns the port. */
static inline _unused_ uint16_t listen_on_tcp(World *w)
{
        struct sockaddr_in in = { .sin_family = AF_INET };
        socklen_t length = sizeof(in);

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(w->listener, (const struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(listen(w->listener, 8), 0);
        assert_int_equal(getsockname(w->listener, (struct sockaddr *)&in, &length), 0);
        return ntohs(in.sin_port);
}

/* The fake VMM */

static inline _unused_ int vmm_on_idle(sd_event_source *source, void *userdata)
{
        World *w = userdata;
        size_t n = MIN_OF(w->chunk, w->n_script);

        if (n > 0)
                assert_int_equal(send(w->vmm, w->script, n, MSG_NOSIGNAL), (ssize_t)n);
        w->script += n;
        w->n_script -= n;
        if (w->n_script > 0)
                return 0;
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (w->closes)
                w->vmm = fd_close(w->vmm);
        return 0;
}

static inline _unused_ int vmm_on_request(sd_event_source *source, int fd, uint32_t revents,
                                          void *userdata)
{
        World *w = userdata;
        ssize_t n;

        n = recv(fd, w->request + w->n_request, sizeof(w->request) - 1 - w->n_request, 0);
        if (n > 0)
                w->n_request += (size_t)n;
        if (n > 0 && !memchr(w->request, '\n', w->n_request))
                return 0;
        w->read_source = sd_event_source_disable_unref(w->read_source);
        if (n <= 0)
                return 0;
        /* Idle: so that each chunk is dealt with before the next one is sent. */
        assert_true(sd_event_add_defer(w->event, &w->say_source, vmm_on_idle, w) >= 0);
        (void)sd_event_source_set_priority(w->say_source, SD_EVENT_PRIORITY_IDLE);
        (void)sd_event_source_set_enabled(w->say_source, SD_EVENT_ON);
        return 0;
}

static inline _unused_ int vmm_on_call(sd_event_source *source, int fd, uint32_t revents,
                                       void *userdata)
{
        World *w = userdata;

        w->vmm = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(w->vmm >= 0);
        assert_true(sd_event_add_io(w->event, &w->read_source, w->vmm, EPOLLIN, vmm_on_request,
                                    w) >= 0);
        return 0;
}

static inline _unused_ void vmm_start(World *w, const char *script, size_t n, size_t chunk,
                                      bool closes)
{
        w->script = script;
        w->n_script = n;
        w->chunk = chunk;
        w->closes = closes;
        listen_at_path(w, 8);
        assert_true(sd_event_add_io(w->event, &w->accept_source, w->listener, EPOLLIN, vmm_on_call,
                                    w) >= 0);
}

static inline _unused_ void vmm_stop(World *w)
{
        w->accept_source = sd_event_source_disable_unref(w->accept_source);
        w->read_source = sd_event_source_disable_unref(w->read_source);
        w->say_source = sd_event_source_disable_unref(w->say_source);
        w->vmm = fd_close(w->vmm);
        w->listener = fd_close(w->listener);
        w->result = fd_close(w->result);
        free(w->problem);
        w->problem = NULL;
        w->n_calls = 0;
        w->n_request = 0;
        memset(w->request, 0, sizeof(w->request));
        assert_int_equal(unlink(w->path), 0);
}

/* A whole call of a VMM that says `script`. */
static inline _unused_ void dial_vmm(World *w, const char *script, size_t n, size_t chunk,
                                     bool closes, uint64_t timeout)
{
        const Address a = mux_address(w);

        vmm_start(w, script, n, chunk, closes);
        dial(w, &a, timeout);
}

#define with_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
