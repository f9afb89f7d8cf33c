/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/dial.h"
#include "io/dial-problem.h"
#include "io/lookup.h"
#include "io/mux.h"

/* Of a try that failed for a passing reason, to the next one of the same address. */
#define PAUSE_FIRST UINT64_C(1000)
#define PAUSE_LAST UINT64_C(100000)
/* Where the caller sets no timeout: a packet of a vsock handshake may be lost for good. */
#define VSOCK_TRY_TIMEOUT UINT64_C(60000000)
#define PORT_PRIVILEGED_LAST 1023U
/* Where processes begin to look for one: the upper half, as low numbers are rather listened on. */
#define PORT_PRIVILEGED_SPREAD 512U

struct Dial {
        sd_event *event;
        Address address;
        unsigned flags;
        uint64_t timeout;  /* as it was given */
        uint64_t deadline; /* CLOCK_MONOTONIC, or TEXT_INFINITY */
        DialFunction done;
        void *userdata;

        Lookup *lookup;
        LookupAddress *candidates;
        size_t n_candidates;
        size_t next; /* the candidate to try next */
        int error;   /* the one to tell if no candidate works */

        Mux mux;
        int fd;
        uint64_t pause;
        DialStage stage;

        sd_event_source *begin_source;
        sd_event_source *io_source;
        sd_event_source *deadline_source;
        /* Ends a pause, or a try that takes more than its share of the time. */
        sd_event_source *try_source;
};

static void dial_try(Dial *d);

static uint64_t usec_add(uint64_t a, uint64_t b)
{
        return a > TEXT_INFINITY - b ? TEXT_INFINITY : a + b;
}

/* Not sd_event_now(): the loop may have been busy since it last woke. */
static uint64_t monotonic_now(void)
{
        struct timespec ts = { 0 };

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t dial_time_left(const Dial *d)
{
        uint64_t now = monotonic_now();

        if (d->deadline == TEXT_INFINITY)
                return TEXT_INFINITY;
        return d->deadline > now ? d->deadline - now : 0;
}

/* Drops all that could still be dispatched. */
static void dial_stop(Dial *d)
{
        d->begin_source = sd_event_source_disable_unref(d->begin_source);
        d->io_source = sd_event_source_disable_unref(d->io_source);
        d->deadline_source = sd_event_source_disable_unref(d->deadline_source);
        d->try_source = sd_event_source_disable_unref(d->try_source);
        d->lookup = lookup_free(d->lookup);
}

static void dial_drop_socket(Dial *d)
{
        d->io_source = sd_event_source_disable_unref(d->io_source);
        d->fd = fd_close(d->fd);
}

/*
 * Each of the two ends the dial: the callee may free it, so the caller touches it no more.
 * `detail` is text for people, or NULL.
 */
static void dial_fail(Dial *d, int error, const char *detail)
{
        _cleanup_free_ char *problem = NULL;

        dial_stop(d);
        dial_drop_socket(d);
        problem = dial_problem(&d->address, d->stage, error, d->timeout, detail);
        d->done(d, error, problem ? problem : "out of memory", d->userdata);
}

static void dial_succeed(Dial *d)
{
        int fd;

        dial_stop(d);
        fd = TAKE_FD(d->fd);
        d->done(d, fd, NULL, d->userdata);
}

/* Whether an error says less about the target than another candidate's would. */
static bool error_is_about_us(int error)
{
        return error == 0 || error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL ||
               error == -ENETUNREACH;
}

static int dial_on_try_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Dial *d = userdata;

        if (d->fd >= 0) {
                /* This try has had its share; another address may answer. */
                dial_drop_socket(d);
                if (error_is_about_us(d->error))
                        d->error = -ETIMEDOUT;
                d->next++;
        }
        dial_try(d);
        return 0;
}

static int dial_arm_try(Dial *d, uint64_t usec)
{
        d->try_source = sd_event_source_disable_unref(d->try_source);
        return sd_event_add_time(d->event, &d->try_source, CLOCK_MONOTONIC,
                                 usec_add(monotonic_now(), usec), 1, dial_on_try_over, d);
}

/* Tries the same address once more, a little later. */
static void dial_pause(Dial *d)
{
        int r;

        dial_drop_socket(d);
        r = dial_arm_try(d, d->pause);
        if (r < 0) {
                dial_fail(d, r, NULL);
                return;
        }
        d->pause = MIN_OF(d->pause * 2, PAUSE_LAST);
}

static bool error_passes(const Dial *d, int error)
{
        switch (d->address.kind) {
        case ADDRESS_UNIX:
        case ADDRESS_MUX:
                /* A full backlog: unlike TCP's, the kernel does not wait for room. */
                return error == -EAGAIN;
        case ADDRESS_VSOCK:
                /* A guest under load loses handshakes; the deadline is what counts. */
                return error == -ETIMEDOUT;
        default:
                return false;
        }
}

/* After a try that failed: the same address again, the next one, or the end. */
static void dial_try_failed(Dial *d, int error)
{
        if (error_passes(d, error)) {
                dial_pause(d);
                return;
        }
        if (error_is_about_us(d->error))
                d->error = error;
        dial_drop_socket(d);
        d->next++;
        dial_try(d);
}

static int dial_on_mux(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        _cleanup_free_ char *detail = NULL;
        Dial *d = userdata;
        int r;

        r = mux_step(&d->mux, fd, &detail);
        if (r == MUX_DONE)
                dial_succeed(d);
        else if (r < 0)
                dial_fail(d, r, detail);
        else if ((r = sd_event_source_set_io_events(source,
                                                    r == MUX_WANTS_WRITE ? EPOLLOUT : EPOLLIN)) < 0)
                dial_fail(d, r, NULL);
        return 0;
}

static void dial_connected(Dial *d)
{
        const int on = 1;
        int r;

        d->try_source = sd_event_source_disable_unref(d->try_source);
        if (d->address.kind == ADDRESS_TCP)
                /* As for listeners: failure costs speed alone. */
                (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (d->address.kind != ADDRESS_MUX) {
                dial_succeed(d);
                return;
        }
        d->stage = DIAL_STAGE_MUX;
        mux_begin(&d->mux, d->address.port);
        d->io_source = sd_event_source_disable_unref(d->io_source);
        r = sd_event_add_io(d->event, &d->io_source, d->fd, EPOLLOUT, dial_on_mux, d);
        if (r < 0)
                dial_fail(d, r, NULL);
}

static int dial_on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Dial *d = userdata;
        socklen_t length = sizeof(int);
        int error = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                error = errno;
        if (error != 0)
                dial_try_failed(d, -error);
        else
                dial_connected(d);
        return 0;
}

/*
 * As bindresvport(3) does it, so that the listener sees a caller with CAP_NET_BIND_SERVICE: the
 * first place differs by process, and each dial goes on below the last one. A port that was let go
 * of a moment ago is no good: the last packet of its old connection, or the other side's memory of
 * it, resets the new one; a quarter of twenty callers at once met that on vhost-vsock.
 * A socket that gets none goes on without: whether privilege is needed is the callee's matter.
 */
static void vsock_bind_privileged(int fd, const Address *a)
{
        struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
        static uint32_t next; /* 0: none was looked for yet */

        if (next == 0)
                next = PORT_PRIVILEGED_LAST - (uint32_t)getpid() % PORT_PRIVILEGED_SPREAD;
        for (uint32_t tries = PORT_PRIVILEGED_LAST; tries > 0; tries--) {
                vm.svm_port = next;
                next = next > 1 ? next - 1 : PORT_PRIVILEGED_LAST;
                /* The agent's own, and the one being called: on loopback somebody may be
                 * about to listen there. */
                if (vm.svm_port == ADDRESS_PORT_DEFAULT || vm.svm_port == a->port)
                        continue;
                if (bind(fd, (const struct sockaddr *)&vm, sizeof(vm)) == 0 || errno != EADDRINUSE)
                        return;
        }
}

static void dial_prepare_vsock(Dial *d)
{
        uint64_t left = MIN_OF(dial_time_left(d), VSOCK_TRY_TIMEOUT);
        struct timeval tv = {
                .tv_sec = (time_t)(left / 1000000),
                .tv_usec = (suseconds_t)(left % 1000000),
        };

        /* The kernel's own is 2 s. Where it cannot be set a try ends early and is repeated,
         * so that failure is ignored. */
        (void)setsockopt(d->fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &tv, sizeof(tv));
        if (d->flags & DIAL_PRIVILEGED_PORT)
                vsock_bind_privileged(d->fd, &d->address);
}

/* An address that swallows packets must not use up the time of those after it. */
static int dial_limit_try(Dial *d)
{
        uint64_t left = dial_time_left(d);
        size_t n = d->n_candidates - d->next;

        if (left == TEXT_INFINITY || n < 2)
                return 0;
        return dial_arm_try(d, left / n);
}

/* One try of the next candidate. */
static void dial_try(Dial *d)
{
        const LookupAddress *c;
        int r;

        d->try_source = sd_event_source_disable_unref(d->try_source);
        if (d->next >= d->n_candidates) {
                dial_fail(d, d->error, NULL);
                return;
        }
        c = &d->candidates[d->next];
        d->fd = socket(c->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (d->fd < 0) {
                d->fd = -EBADF;
                dial_try_failed(d, -errno);
                return;
        }
        if (c->sa.ss_family == AF_VSOCK)
                dial_prepare_vsock(d);
        if (connect(d->fd, (const struct sockaddr *)&c->sa, c->length) == 0) {
                dial_connected(d);
                return;
        }
        /* Interrupted, it goes on in the background like one in progress. */
        if (errno != EINPROGRESS && errno != EINTR) {
                dial_try_failed(d, -errno);
                return;
        }
        r = sd_event_add_io(d->event, &d->io_source, d->fd, EPOLLOUT, dial_on_connect, d);
        if (r >= 0)
                r = dial_limit_try(d);
        if (r < 0)
                dial_fail(d, r, NULL);
}

static int dial_on_lookup(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        _cleanup_free_ char *detail = NULL;
        Dial *d = userdata;
        int r;

        r = lookup_finish(d->lookup, &d->candidates, &d->n_candidates, &detail);
        if (r == -EAGAIN)
                return 0;
        d->io_source = sd_event_source_disable_unref(d->io_source);
        if (r < 0) {
                dial_fail(d, r, detail);
                return 0;
        }
        d->lookup = lookup_free(d->lookup);
        d->stage = DIAL_STAGE_CONNECT;
        dial_try(d);
        return 0;
}

static int dial_look_up(Dial *d)
{
        int r;

        d->stage = DIAL_STAGE_LOOKUP;
        r = lookup_start(d->address.host, d->address.port, &d->lookup);
        if (r < 0)
                return r;
        return sd_event_add_io(d->event, &d->io_source, lookup_get_fd(d->lookup), EPOLLIN,
                               dial_on_lookup, d);
}

static int dial_on_begin(sd_event_source *source, void *userdata)
{
        Dial *d = userdata;
        int r;

        d->begin_source = sd_event_source_disable_unref(d->begin_source);
        if (d->n_candidates > 0) {
                dial_try(d);
                return 0;
        }
        r = dial_look_up(d);
        if (r < 0)
                dial_fail(d, r, NULL);
        return 0;
}

static int dial_on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        dial_fail(userdata, -ETIMEDOUT, NULL);
        return 0;
}

/* The one address of all that need no look-up; for a TCP name none. */
static int dial_set_candidate(Dial *d)
{
        LookupAddress c;
        int r;

        r = address_to_sockaddr(&d->address, &c.sa, &c.length);
        if (r == -EINVAL && d->address.kind == ADDRESS_TCP)
                return 0;
        if (r < 0)
                return r;
        d->candidates = malloc(sizeof(c));
        if (!d->candidates)
                return -ENOMEM;
        d->candidates[0] = c;
        d->n_candidates = 1;
        return 0;
}

static int dial_arm(Dial *d)
{
        int r;

        if (d->timeout != TEXT_INFINITY) {
                d->deadline = usec_add(monotonic_now(), d->timeout);
                r = sd_event_add_time(d->event, &d->deadline_source, CLOCK_MONOTONIC, d->deadline,
                                      1, dial_on_deadline, d);
                if (r < 0)
                        return r;
        }
        return sd_event_add_defer(d->event, &d->begin_source, dial_on_begin, d);
}

int dial_start(sd_event *event, const Address *a, unsigned flags, uint64_t timeout,
               DialFunction done, void *userdata, Dial **ret)
{
        _cleanup_(dial_freep) Dial *d = NULL;
        int r;

        d = malloc(sizeof(*d));
        if (!d)
                return -ENOMEM;
        *d = (Dial){
                .event = sd_event_ref(event),
                .flags = flags,
                .timeout = timeout,
                .deadline = TEXT_INFINITY,
                .done = done,
                .userdata = userdata,
                .fd = -EBADF,
                .pause = PAUSE_FIRST,
                .stage = DIAL_STAGE_CONNECT,
        };
        r = address_copy(a, &d->address);
        if (r < 0)
                return r;
        r = dial_set_candidate(d);
        if (r < 0)
                return r;
        r = dial_arm(d);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

Dial *dial_free(Dial *d)
{
        if (!d)
                return NULL;
        dial_stop(d);
        dial_drop_socket(d);
        free(d->candidates);
        address_done(&d->address);
        sd_event_unref(d->event);
        free(d);
        return NULL;
}
