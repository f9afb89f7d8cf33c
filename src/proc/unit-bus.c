/* SPDX-License-Identifier: MIT */

/*
 * The way to systemd: the system bus, made when the first unit is to start, and made again when it
 * is lost while there are units. What systemd holds for a connection (that an ended unit is not
 * forgotten before we know how it ended, that we hear of anything at all) it gives up with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/bus.h"
#include "proc/unit-internal.h"

#define RETRY_FIRST_USEC UINT64_C(100000)
#define RETRY_USEC UINT64_C(1000000)
/* What is left at the end of the daemon gets so long to die of SIGKILL. */
#define LAST_USEC UINT64_C(2000000)

bool units_are_possible(void)
{
        return geteuid() == 0 && bus_is_possible();
}

static void units_lose(Units *s)
{
        s->types_call = sd_bus_slot_unref(s->types_call);
        list_foreach (i, &s->list) {
                Unit *u = CONTAINER_OF(i, Unit, link);

                u->match = sd_bus_slot_unref(u->match);
                u->call = sd_bus_slot_unref(u->call);
                u->query = sd_bus_slot_unref(u->query);
        }
        s->lost_match = sd_bus_slot_unref(s->lost_match);
        s->owner_match = sd_bus_slot_unref(s->owner_match);
        s->sweep_call = sd_bus_slot_unref(s->sweep_call);
        s->bus = sd_bus_unref(s->bus);
}

static void units_retry_later(Units *s, uint64_t usec)
{
        int r;

        r = sd_event_source_set_time_relative(s->retry, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("cannot connect to the system bus again: %s", strerror(-r));
}

void units_resume_later(Units *s)
{
        units_retry_later(s, RETRY_FIRST_USEC);
}

/* In a turn of its own: this is called by the bus that is to go. */
static int units_on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Units *s = userdata;

        if (s->n == 0)
                return 0;
        log_warning("the connection to the system bus is lost; %zu units of programs go on", s->n);
        units_resume_later(s);
        return 0;
}

static void units_resume(Units *s)
{
        list_foreach_safe (i, &s->list)
                unit_resume(CONTAINER_OF(i, Unit, link));
}

static int units_on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Units *s = userdata;
        int r;

        if (s->n == 0)
                return 0;
        r = units_connect(s);
        if (r >= 0) {
                units_resume(s);
                return 0;
        }
        units_have_no_bus(s, -r);
        units_retry_later(s, RETRY_USEC);
        return 0;
}

/* systemd has executed itself anew, or another one has taken its place. */
static int units_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *name, *before, *now;
        Units *s = userdata;
        int r;

        r = sd_bus_message_read(m, "sss", &name, &before, &now);
        if (r < 0 || !*now)
                return 0;
        units_tell(s, "Subscribe", NULL);
        units_resume(s);
        return 0;
}

/* (ssssssouso): name, description, load state, active state and what does not matter here. */
static int units_sweep(Units *s, sd_bus_message *m)
{
        const char *name, *description;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'r', "ssssssouso")) > 0) {
                r = sd_bus_message_read(m, "ss", &name, &description);
                if (r >= 0)
                        r = sd_bus_message_skip(m, "ssssouso");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
                if (!unit_is_orphan(s, description))
                        continue;
                log_notice("%s, which an earlier guestwired has left, is stopped", name);
                units_tell(s, "StopUnit", "ss", name, "replace");
        }
        return r;
}

static int units_on_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        Units *s = userdata;
        int r;

        r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m)
                                                    : units_sweep(s, m);
        if (r < 0)
                log_warning("cannot look for units that an earlier guestwired has left: %s",
                            strerror(-r));
        return 0;
}

static int units_sweep_once(Units *s)
{
        if (s->swept)
                return 0;
        s->swept = true;
        return sd_bus_call_method_async(s->bus, &s->sweep_call, SYSTEMD_NAME, SYSTEMD_PATH,
                                        SYSTEMD_MANAGER, "ListUnitsByPatterns", units_on_list, s,
                                        "asas", 0, 1, UNIT_PREFIX "*.service");
}

int units_connect(Units *s)
{
        int r;

        if (s->bus && sd_bus_is_open(s->bus) > 0)
                return 0;
        units_lose(s);
        r = bus_open(s->way, &s->bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(s->bus, UNIT_CALL_USEC);
        if (r >= 0)
                r = sd_bus_match_signal_async(s->bus, &s->lost_match, NULL,
                                              "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected",
                                              units_on_disconnected, NULL, s);
        if (r >= 0)
                r = sd_bus_add_match_async(s->bus, &s->owner_match,
                                           "type='signal',sender='org.freedesktop.DBus',"
                                           "member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'",
                                           units_on_owner, NULL, s);
        if (r >= 0)
                r = units_sweep_once(s);
        if (r < 0) {
                units_lose(s);
                return r;
        }
        units_tell(s, "Subscribe", NULL);
        return 0;
}

void units_tell(Units *s, const char *method, const char *types, ...)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list list;
        int r;

        if (!s->bus)
                return;
        r = sd_bus_message_new_method_call(s->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                           method);
        if (r >= 0 && types) {
                va_start(list, types);
                r = sd_bus_message_appendv(m, types, list);
                va_end(list);
        }
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, 0);
        if (r >= 0)
                r = sd_bus_send(s->bus, m, NULL);
        if (r < 0)
                log_debug("cannot call systemd's %s(): %s", method, strerror(-r));
}

static int units_on_types(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *s = userdata;
        const char *xml;
        int r;

        s->types_call = sd_bus_slot_unref(s->types_call);
        if (e) {
                units_have_types(s, e->message ? e->message : e->name);
                return 0;
        }
        r = sd_bus_message_read(m, "s", &xml);
        if (r >= 0)
                r = unit_types_new(xml, &s->types);
        units_have_types(s, r < 0 ? strerror(-r) : NULL);
        return 0;
}

int units_get_types(Units *s)
{
        if (s->types_call)
                return 0;
        /* Of any service: systemd makes up one that it does not know. */
        return sd_bus_call_method_async(s->bus, &s->types_call, SYSTEMD_NAME,
                                        SYSTEMD_PATH "/unit/guestwired_2eservice",
                                        "org.freedesktop.DBus.Introspectable", "Introspect",
                                        units_on_types, s, NULL);
}

static void units_wait(Units *s, uint64_t until)
{
        while (s->n > 0 && s->bus && sd_bus_is_open(s->bus) > 0) {
                uint64_t now = spawn_now();
                int r = sd_bus_process(s->bus, NULL);

                if (r < 0 || now >= until)
                        return;
                if (r == 0 && sd_bus_wait(s->bus, until - now) < 0)
                        return;
        }
}

/* The binary that runs, even where another has been installed in its place. */
static int find_launcher(Units *s)
{
        _cleanup_close_ int fd = -EBADF;
        char path[PATH_MAX], comm[32];
        ssize_t n;
        int r;

        r = spawn_own_path(path, sizeof(path));
        if (r < 0)
                return r;
        s->launcher = strdup(path);
        fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, comm, sizeof(comm));
        if (n <= 0)
                return -errno;
        s->keeper = strndup(comm, (size_t)n - 1);
        return s->launcher && s->keeper ? 0 : -ENOMEM;
}

int units_new(sd_event *event, Bus *bus, Units **ret)
{
        _cleanup_(units_freep) Units *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        list_init(&s->list);
        s->event = sd_event_ref(event);
        s->way = bus;
        r = find_launcher(s);
        if (r >= 0)
                r = sd_event_add_time(event, &s->retry, CLOCK_MONOTONIC, 0, 1000, units_on_retry,
                                      s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
        if (r < 0)
                return r;
        /* What an earlier guestwired has left is to end, whether or not there is ever a unit. */
        r = units_connect(s);
        if (r < 0)
                log_warning("cannot reach systemd over the system bus: %s", strerror(-r));
        *ret = TAKE_PTR(s);
        return 0;
}

size_t units_count(const Units *s)
{
        return s->n;
}

Units *units_free(Units *s)
{
        if (!s)
                return NULL;
        list_foreach_safe (i, &s->list) {
                Unit *u = CONTAINER_OF(i, Unit, link);

                u->ended = NULL;
                units_tell(s, "KillUnit", "ssi", u->name, "all", SIGKILL);
                unit_forget(u);
        }
        units_wait(s, spawn_now() + LAST_USEC);
        if (s->n > 0)
                log_warning("%zu units of programs are left: they do not end", s->n);
        list_foreach_safe (i, &s->list)
                (void)unit_free(CONTAINER_OF(i, Unit, link));
        units_lose(s);
        sd_event_source_disable_unref(s->retry);
        (void)unit_types_free(s->types);
        sd_event_unref(s->event);
        free(s->launcher);
        free(s->keeper);
        free(s);
        return NULL;
}
