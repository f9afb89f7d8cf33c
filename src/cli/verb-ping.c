/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

typedef struct Ping Ping;

struct Ping {
        const Settings *settings;
        const char *target;
        Client *client;
        bool stopped; /* by Ctrl-C, or at the end of --timeout */
        uint64_t started;
        uint64_t sent;
        uint64_t answered;
        uint64_t min, max; /* microseconds, as what follows */
        double mean;
        double squares; /* sum of the squared distances from the mean (Welford) */
};

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Ping *p = userdata;

        p->stopped = true;
        client_interrupt(p->client);
        return 0;
}

static void ping_add(Ping *p, uint64_t usec)
{
        double distance;

        p->answered++;
        p->min = p->answered == 1 ? usec : MIN_OF(p->min, usec);
        p->max = MAX_OF(p->max, usec);
        distance = (double)usec - p->mean;
        p->mean += distance / (double)p->answered;
        p->squares += distance * ((double)usec - p->mean);
}

/* The standard deviation in microseconds, by Newton's way: it is not worth a library. */
static uint64_t ping_deviation(const Ping *p)
{
        double square = p->answered > 0 ? p->squares / (double)p->answered : 0, root = square;

        for (int i = 0; i < 64 && root * root > square + 0.01 && root > 0.1; i++)
                root = (root + square / root) / 2;
        return (uint64_t)(root + 0.5);
}

static double ping_lost(const Ping *p)
{
        return p->sent > 0 ? 100.0 * (double)(p->sent - p->answered) / (double)p->sent : 0;
}

static bool add_number(json_object *o, const char *key, bool is_known, int64_t value)
{
        return json_object_object_add(o, key, is_known ? json_object_new_int64(value) : NULL) == 0;
}

static void print_json(const Ping *p)
{
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *to = address_to_text(client_target(p->client));
        bool any = p->answered > 0;

        if (!o || !to || json_object_object_add(o, "target", json_object_new_string(to)) < 0 ||
            !add_number(o, "sent", true, (int64_t)p->sent) ||
            !add_number(o, "answered", true, (int64_t)p->answered) ||
            json_object_object_add(o, "lost_percent", json_object_new_double(ping_lost(p))) < 0 ||
            !add_number(o, "min_us", any, (int64_t)p->min) ||
            !add_number(o, "avg_us", any, (int64_t)(p->mean + 0.5)) ||
            !add_number(o, "max_us", any, (int64_t)p->max) ||
            !add_number(o, "mdev_us", any, (int64_t)ping_deviation(p))) {
                output_error("out of memory");
                return;
        }
        output_json(o, false);
}

static void print_summary(const Ping *p)
{
        if (p->settings->json) {
                print_json(p);
                return;
        }
        printf("\n--- %s ping statistics ---\n"
               "%" PRIu64 " sent, %" PRIu64 " answered, %.3g%% lost, time %" PRIu64 " ms\n",
               p->target, p->sent, p->answered, ping_lost(p), (client_now() - p->started) / 1000);
        if (p->answered > 0)
                printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", (double)p->min / 1000,
                       p->mean / 1000, (double)p->max / 1000, (double)ping_deviation(p) / 1000);
}

/* One ping. EXIT_OK to go on, also past one without an answer; or what the verb ends with. */
static int ping_once(Ping *p, uint64_t deadline, const char *to)
{
        _cleanup_json_ json_object *result = NULL, *error = NULL;
        uint64_t begin = client_now(), end;
        int r;

        /* --timeout is for all of it, the default for each answer. */
        client_set_deadline(p->client, p->settings->timeout_given
                                               ? deadline
                                               : client_later(begin, p->settings->timeout));
        r = client_call(p->client, "agent.ping", NULL, &result, &error);
        end = client_now();
        if (r == -EINTR)
                return EXIT_OK; /* whether it would have been answered is not known */

        p->sent++;
        if (r == -ETIMEDOUT) {
                if (p->settings->timeout_given)
                        p->stopped = true;
                if (!p->settings->json) {
                        printf("no answer from %s: seq=%" PRIu64 "\n", to, p->sent);
                        fflush(stdout);
                }
                return EXIT_OK;
        }
        if (r < 0)
                return target_failed(p->client, r);
        if (r == CLIENT_REFUSED)
                return target_refused(p->client, p->settings, "agent.ping", error);

        ping_add(p, end - begin);
        if (!p->settings->json) {
                printf("answer from %s: seq=%" PRIu64 " time=%.3f ms\n", to, p->sent,
                       (double)(end - begin) / 1000);
                fflush(stdout); /* people watch it through pipes, too */
        }
        return EXIT_OK;
}

static int ping_run(Ping *p, uint64_t deadline)
{
        _cleanup_free_ char *to = address_to_text(client_target(p->client));
        uint64_t next = client_now();
        int r;

        p->started = next;
        if (!p->settings->json)
                printf(to && strcmp(to, p->target) == 0 ? "PING %s\n" : "PING %s (%s)\n", p->target,
                       to ?: "?");
        for (;;) {
                r = ping_once(p, deadline, to ?: "?");
                if (r != EXIT_OK)
                        return r;
                if (p->stopped || (p->settings->count > 0 && p->sent >= p->settings->count))
                        break;
                next = MAX_OF(client_later(next, p->settings->interval), client_now());
                r = client_pause(p->client, MIN_OF(next, deadline));
                if (r < 0 && r != -EINTR)
                        return target_failed(p->client, r);
                if (p->stopped || client_now() >= deadline)
                        break;
        }
        if (p->answered == 0 || p->answered < p->sent)
                return EXIT_TIMEOUT;
        /* Fewer than were asked for, since --timeout came first. */
        return p->settings->count > p->sent && client_now() >= deadline ? EXIT_TIMEOUT : EXIT_OK;
}

int verb_ping(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        uint64_t deadline =
                s->timeout_given ? client_later(client_now(), s->timeout) : TEXT_INFINITY;
        Ping p = { .settings = s, .target = args[0] };
        int r;

        r = target_open(args[0], s, &c);
        if (r != EXIT_OK)
                return r;
        p.client = c;
        /* Before this, while it connects or waits, Ctrl-C simply ends it: there is no summary. */
        r = sd_event_add_signal(client_event(c), NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_signal,
                                &p);
        if (r >= 0)
                r = sd_event_add_signal(client_event(c), NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK,
                                        on_signal, &p);
        if (r < 0)
                return target_failed(c, r);

        r = ping_run(&p, deadline);
        if (p.sent > 0 && !(s->json && r == EXIT_REFUSED))
                print_summary(&p);
        return r;
}
