/* SPDX-License-Identifier: MIT */
#include "daemon/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "daemon/notify.h"

/* At most one message in this time, which also is how late one may be. */
#define STATUS_DELAY_USEC (500U * 1000U)
/* While somebody is connected the number of calls changes without any other event. */
#define STATUS_REFRESH_USEC (10U * 1000U * 1000U)
/* What the manager grants us to stop in: `shutdown-timeout`, and this for what comes after it. */
#define STOP_MARGIN_USEC (UINT64_C(20) * 1000U * 1000U)
#define STOP_TIMEOUT_MAX_USEC (UINT64_C(365) * 24U * 3600U * 1000U * 1000U)
/*
 * Of the text on listeners. systemd ignores a message of PIPE_BUF bytes and more whole, with the
 * READY=1 that stands in it; the log has every reason in full.
 */
#define STATUS_LISTENERS_MAX 3500U

static void print_listeners(FILE *f, const Agent *a)
{
        const char *said = NULL;
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
        if (activation_refused(a->activation) > 0)
                fputs("; a passed socket was refused, see the log", f);
        if (a->no_transport)
                fputs("; vsock has no transport yet: modprobe vmw_vsock_virtio_transport, hv_sock "
                      "or vsock_loopback",
                      f);
        list_foreach (i, &a->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);
                const char *why = l->problem ?: "not tried yet";

                if (l->fd >= 0)
                        continue;
                if (said && strcmp(said, why) == 0)
                        fprintf(f, "; %s too", l->settings->section);
                else
                        fprintf(f, "; %s waits: %s", l->settings->section, why);
                said = why;
        }
}

char *status_text(const Agent *a)
{
        _cleanup_free_ char *listeners = NULL;
        bool cut = false;
        size_t n;
        FILE *f;

        f = open_memstream(&listeners, &n);
        if (!f)
                return NULL;
        print_listeners(f, a);
        /* Without memory for the last of it glibc closes all the same, and sets neither. */
        if (fclose(f) != 0 || !listeners)
                return NULL;
        if (n > STATUS_LISTENERS_MAX) {
                cut = true;
                n = STATUS_LISTENERS_MAX;
                /* Not within a character: a STATUS= that is not UTF-8 is dropped. */
                while (n > 0 && ((unsigned char)listeners[n] & 0xc0) == 0x80)
                        n--;
        }
        return text_format("%.*s%s; %llu connections, %llu calls served", (int)n, listeners,
                           cut ? "..." : "", (unsigned long long)a->stats.connections_current,
                           (unsigned long long)(a->stats.calls_total - a->stats.calls_running));
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

/* What cannot be said now is said later; READY=1 is waited for. */
static void status_send(Agent *a)
{
        _cleanup_free_ char *text = status_text(a), *message = NULL;

        if (!text || (!a->ready_due && a->status_sent && strcmp(text, a->status_sent) == 0))
                return;
        message = text_format("%sSTATUS=%s", a->ready_due ? "READY=1\n" : "", text);
        if (!message)
                return;
        if (notify_send(message, -1) == -EAGAIN) {
                (void)status_arm(a, a->ready_due ? STATUS_DELAY_USEC : STATUS_REFRESH_USEC);
                return;
        }
        a->ready_due = false;
        free(a->status_sent);
        a->status_sent = TAKE_PTR(text);
}

static int status_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        a->status_soon = false;
        if (a->stopping)
                return 0;
        if (a->stats.connections_current > 0)
                (void)status_arm(a, STATUS_REFRESH_USEC);
        status_send(a);
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
        a->ready_due = true;
        status_send(a);
}

void status_reloading(Agent *a)
{
        _cleanup_free_ char *message = NULL;
        struct timespec ts;

        /* systemd 253 and up wants to know when, to tell this reload from another: sd_notify(3) */
        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        message = text_format("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
                              (unsigned long long)ts.tv_sec * 1000000U +
                                      (unsigned long long)ts.tv_nsec / 1000U);
        if (message)
                (void)notify_send(message, -1);
}

void status_stopping(Agent *a)
{
        uint64_t timeout = a->config->agent.shutdown_timeout;
        _cleanup_free_ char *message = NULL;

        timeout = MIN_OF(timeout, STOP_TIMEOUT_MAX_USEC) + STOP_MARGIN_USEC;
        message = text_format("STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\n"
                              "STATUS=Stopping: %llu calls are running",
                              (unsigned long long)timeout,
                              (unsigned long long)a->stats.calls_running);
        if (message)
                (void)notify_send(message, -1);
}
