/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/ratelimit.h"
#include "cli/client.h"
#include "cli/explain.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/route.h"
#include "cli/standard.h"
#include "cli/verb.h"
#include "io/dial.h"
#include "io/listen.h"
#include "io/pump.h"

/* Connections taken in one go, before the others get their turn. */
#define ACCEPTS_PER_TURN 64
/* A client, its guest, and what the look-up of a name takes. */
#define FILES_PER_LINK 3
#define FILES_OF_OURS 32
/* How long nobody is taken in where there are no descriptors, unless one becomes free. */
#define FULL_PAUSE 1000000ULL

typedef struct Forward Forward;
typedef struct Gate Gate;
typedef struct Link Link;

/* A route that is open: its listener. */
struct Gate {
        Forward *forward;
        Route route;
        int fd;
        sd_event_source *source;
};

struct Forward {
        sd_event *event;
        const Settings *settings;
        Gate *gates;
        size_t n_gates;
        ListLink links;
        size_t n_links;
        size_t max_links;
        sd_event_source *pause; /* while it runs nobody is taken in */
        RateLimit problems;
};

/* One client, from accept() to its end. */
struct Link {
        ListLink link;
        Gate *gate;
        int client; /* until the pump has it */
        Dial *dial;
        Pump *pump;
};

static void forward_resume(Forward *f);

static Link *link_free(Link *l)
{
        Forward *f = l->gate->forward;

        dial_free(l->dial);
        pump_free(l->pump);
        fd_close(l->client);
        list_remove(&l->link);
        l->gate->route.current--;
        f->n_links--;
        free(l);
        if (f->pause)
                forward_resume(f);
        return NULL;
}

/* A client learns of it by a reset: an end would say that all is well. */
static void link_fail(Link *l)
{
        l->gate->route.failed++;
        pump_reset_on_close(l->client);
        link_free(l);
}

static void forward_complain(Forward *f, const Route *route, const char *text)
{
        unsigned held_back;

        /* A guest that is down and clients that try again would fill the terminal. */
        if (!ratelimit_pass(&f->problems, client_now(), &held_back))
                return;
        if (held_back > 0)
                output_error("%u more connections failed meanwhile", held_back);
        output_error("%s: %s", route->local_text, text);
}

static void link_on_ended(Pump *p, int error, unsigned end, void *userdata)
{
        link_free(userdata);
}

static void link_on_dialled(Dial *d, int fd, const char *problem, void *userdata)
{
        Link *l = userdata;
        Route *route = &l->gate->route;
        PumpSettings settings = { .counters = { &route->to_guest, &route->from_guest } };
        _cleanup_close_ int guest = fd;
        _cleanup_free_ char *text = NULL;
        PumpEnd ends[2];
        int r;

        if (fd < 0) {
                text = explain_dial(&route->remote, fd, problem);
                forward_complain(l->gate->forward, route, text ?: "out of memory");
                link_fail(l);
                return;
        }
        l->dial = dial_free(l->dial);
        ends[0] = (PumpEnd){ .in = l->client, .out = l->client };
        ends[1] = (PumpEnd){ .in = guest, .out = guest };
        r = pump_new(l->gate->forward->event, ends, &settings, link_on_ended, l, &l->pump);
        if (r < 0) {
                forward_complain(l->gate->forward, route, strerror(-r));
                link_fail(l);
                return;
        }
        l->client = -EBADF;
        guest = -EBADF;
}

/* Takes fd over. */
static void link_begin(Gate *g, int fd)
{
        Forward *f = g->forward;
        Link *l;
        int r;

        g->route.connections++;
        l = calloc(1, sizeof(*l));
        if (!l) {
                fd_close(fd);
                g->route.failed++;
                return;
        }
        l->gate = g;
        l->client = fd;
        g->route.current++;
        f->n_links++;
        list_append(&f->links, &l->link);
        r = dial_start(f->event, &g->route.remote, 0, f->settings->timeout, link_on_dialled, l,
                       &l->dial);
        if (r < 0) {
                forward_complain(f, &g->route, strerror(-r));
                link_fail(l);
        }
}

static void forward_set_open(Forward *f, bool open)
{
        for (size_t i = 0; i < f->n_gates; i++)
                if (f->gates[i].source)
                        (void)sd_event_source_set_enabled(f->gates[i].source,
                                                          open ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void forward_resume(Forward *f)
{
        f->pause = sd_event_source_disable_unref(f->pause);
        forward_set_open(f, true);
}

static int forward_on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        forward_resume(userdata);
        return 0;
}

/* A client that cannot be taken stays in the queue and keeps the listener ready: to look again
 * at once would be to spin. */
static int forward_pause(Forward *f, const Route *route, int error)
{
        forward_complain(f, route, strerror(-error));
        forward_set_open(f, false);
        return sd_event_add_time_relative(f->event, &f->pause, CLOCK_MONOTONIC, FULL_PAUSE, 0,
                                          forward_on_pause_over, f);
}

static int gate_on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Gate *g = userdata;
        int client;

        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                /* Whoever waits in the queue is served later; whom we took and could not
                 * forward would not be. */
                if (g->forward->n_links >= g->forward->max_links)
                        return forward_pause(g->forward, &g->route, -EMFILE);
                client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (client >= 0) {
                        link_begin(g, client);
                        continue;
                }
                switch (errno) {
                case EMFILE:
                case ENFILE:
                case ENOBUFS:
                case ENOMEM:
                        return forward_pause(g->forward, &g->route, -errno);
                case EAGAIN:
                        return 0;
                default:
                        /* The client is gone already (accept(2) lists the errors of TCP). */
                        continue;
                }
        }
        return 0;
}

static int gate_open(Gate *g)
{
        _cleanup_free_ char *problem = NULL;
        int r;

        r = listen_open(&g->route.local, NULL, &problem);
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_CONNECTION;
        }
        g->fd = r;
        r = sd_event_add_io(g->forward->event, &g->source, g->fd, EPOLLIN, gate_on_ready, g);
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        return EXIT_OK;
}

static bool add_count(json_object *o, const char *key, uint64_t value)
{
        return json_object_object_add(o, key, json_object_new_uint64(value)) == 0;
}

/* event: "listening" or "statistics". */
static void say_json(const char *event, const Route *route)
{
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "event", json_object_new_string(event)) < 0 ||
            json_object_object_add(o, "local", json_object_new_string(route->local_text)) < 0 ||
            json_object_object_add(o, "remote", json_object_new_string(route->remote_text)) < 0 ||
            (strcmp(event, "statistics") == 0 &&
             (!add_count(o, "connections", route->connections) ||
              !add_count(o, "current", route->current) || !add_count(o, "failed", route->failed) ||
              !add_count(o, "bytes_to_guest", route->to_guest) ||
              !add_count(o, "bytes_from_guest", route->from_guest)))) {
                output_error("out of memory");
                return;
        }
        output_json(o, false);
        fflush(stdout); /* whoever reads it waits for it */
}

static void forward_print_statistics(const Forward *f)
{
        for (size_t i = 0; i < f->n_gates; i++) {
                const Route *r = &f->gates[i].route;

                if (f->settings->json)
                        say_json("statistics", r);
                else
                        output_error("%s -> %s: %" PRIu64 " connections, %" PRIu64
                                     " current, %" PRIu64 " failed, %" PRIu64
                                     " bytes to the guest, %" PRIu64 " bytes from the guest",
                                     r->local_text, r->remote_text, r->connections, r->current,
                                     r->failed, r->to_guest, r->from_guest);
        }
}

static int on_statistics(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        forward_print_statistics(userdata);
        return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Forward *f = userdata;

        return sd_event_exit(f->event, 0);
}

static int add_signals(Forward *f)
{
        static const int ends[] = { SIGINT, SIGTERM };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                r = sd_event_add_signal(f->event, NULL, ends[i] | SD_EVENT_SIGNAL_PROCMASK, on_end,
                                        f);
                if (r < 0)
                        return r;
        }
        return sd_event_add_signal(f->event, NULL, SIGUSR1 | SD_EVENT_SIGNAL_PROCMASK,
                                   on_statistics, f);
}

static void forward_done(Forward *f)
{
        list_foreach_safe (i, &f->links)
                link_free(CONTAINER_OF(i, Link, link));
        for (size_t i = 0; i < f->n_gates; i++) {
                Gate *g = &f->gates[i];

                sd_event_source_disable_unref(g->source);
                if (g->fd >= 0)
                        listen_file_remove(&g->route.local, g->fd);
                fd_close(g->fd);
                route_done(&g->route);
        }
        free(f->gates);
        sd_event_source_disable_unref(f->pause);
        sd_event_unref(f->event);
}

static int forward_open(Forward *f, const char *target, char **routes, size_t n)
{
        int code;

        f->gates = calloc(n, sizeof(*f->gates));
        if (!f->gates) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        /* All that is typed wrong is to be seen before anything listens. */
        for (f->n_gates = 0; f->n_gates < n; f->n_gates++) {
                f->gates[f->n_gates] = (Gate){ .forward = f, .fd = -EBADF };
                code = route_parse(routes[f->n_gates], target, &f->gates[f->n_gates].route);
                if (code != EXIT_OK)
                        return code;
        }
        for (size_t i = 0; i < n; i++) {
                code = gate_open(&f->gates[i]);
                if (code != EXIT_OK)
                        return code;
        }
        for (size_t i = 0; i < n; i++) {
                const Route *r = &f->gates[i].route;

                if (f->settings->json)
                        say_json("listening", r);
                else
                        output_error("listening on %s for %s", r->local_text, r->remote_text);
        }
        return EXIT_OK;
}

/* How many clients there are descriptors for, at most. */
static size_t raise_file_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return SIZE_MAX;
        if (limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                /* Without it there is room for fewer: no reason not to begin. */
                (void)setrlimit(RLIMIT_NOFILE, &limit);
                (void)getrlimit(RLIMIT_NOFILE, &limit);
        }
        return limit.rlim_cur > FILES_OF_OURS + FILES_PER_LINK
                       ? (size_t)(limit.rlim_cur - FILES_OF_OURS) / FILES_PER_LINK
                       : 1;
}

int verb_forward(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(forward_done) Forward f = {
                .settings = s,
                .links = LIST_INIT(f.links),
                .problems = { .interval = 10000000, .burst = 10 },
        };
        int r;

        r = standard_guard();
        if (r >= 0)
                r = sd_event_new(&f.event);
        /* Before anybody can see that it listens: a signal that follows is no end of it. */
        if (r >= 0)
                r = add_signals(&f);
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        f.max_links = raise_file_limit();
        (void)signal(SIGPIPE, SIG_IGN);
        r = forward_open(&f, args[0], args + 1, n - 1);
        if (r != EXIT_OK)
                return r;
        r = sd_event_loop(f.event);
        forward_print_statistics(&f);
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        return EXIT_OK;
}
