/* SPDX-License-Identifier: MIT */
#include "daemon/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/text.h"

/* At most one message in this time, which also is how late one may be. */
#define STATUS_DELAY_USEC (500U * 1000U)
/* While somebody is connected the number of calls changes without any other event. */
#define STATUS_REFRESH_USEC (10U * 1000U * 1000U)

static void print_listeners(FILE *f, const Agent *a)
{
        size_t n = 0, n_open = 0;

        list_foreach (i, &a->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->fd >= 0)
                        fprintf(f, "%s%s",
                                n_open++ > 0 ? ", " : "Listening: ", l->settings->section);
                n++;
        }
        if (n == 0)
                fputs("No port is configured", f);
        else if (n_open == 0)
                fputs("Listening on none", f);
        if (a->no_transport)
                fputs("; vsock has no transport yet: modprobe vmw_vsock_virtio_transport, hv_sock "
                      "or vsock_loopback",
                      f);
        list_foreach (i, &a->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->fd < 0)
                        fprintf(f, "; %s waits: %s", l->settings->section,
                                l->problem ?: "not tried yet");
        }
}

char *status_text(const Agent *a)
{
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        print_listeners(f, a);
        fprintf(f, "; %llu connections, %llu calls served",
                (unsigned long long)a->stats.connections_current,
                (unsigned long long)(a->stats.calls_total - a->stats.calls_running));
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static void status_send(Agent *a, const char *state)
{
        _cleanup_free_ char *text = status_text(a);

        if (!text)
                return;
        if (!state && a->status_sent && strcmp(text, a->status_sent) == 0)
                return;
        (void)sd_notifyf(0, "%s%sSTATUS=%s", state ?: "", state ? "\n" : "", text);
        free(a->status_sent);
        a->status_sent = TAKE_PTR(text);
}

static int status_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static int status_arm(Agent *a, uint64_t delay)
{
        int r;

        if (!a->status_timer)
                return sd_event_add_time_relative(a->event, &a->status_timer, CLOCK_MONOTONIC,
                                                  delay, 0, status_on_timer, a);
        r = sd_event_source_set_time_relative(a->status_timer, delay);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(a->status_timer, SD_EVENT_ONESHOT);
}

static int status_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        a->status_soon = false;
        if (a->stopping)
                return 0;
        status_send(a, NULL);
        if (a->stats.connections_current > 0)
                (void)status_arm(a, STATUS_REFRESH_USEC);
        return 0;
}

void status_changed(Agent *a)
{
        if (a->status_soon || a->stopping || !getenv("NOTIFY_SOCKET"))
                return;
        a->status_soon = status_arm(a, STATUS_DELAY_USEC) >= 0;
}

void status_ready(Agent *a)
{
        status_send(a, "READY=1");
}

void status_reloading(Agent *a)
{
        struct timespec ts;

        /* systemd 253 and up wants to know when, to tell this reload from another: sd_notify(3) */
        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
                         (unsigned long long)ts.tv_sec * 1000000U +
                                 (unsigned long long)ts.tv_nsec / 1000U);
}

void status_stopping(Agent *a)
{
        (void)sd_notifyf(0, "STOPPING=1\nSTATUS=Stopping: %llu calls are running",
                         (unsigned long long)a->stats.calls_running);
}
