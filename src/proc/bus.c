/* SPDX-License-Identifier: MIT */
#include "proc/bus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"

#define SYSTEM_BUS "/run/dbus/system_bus_socket"
#define TIMER_ACCURACY UINT64_C(10000)
/*
 * Of sources of one priority that are ready the loop takes those first that were so in an earlier
 * iteration. A reply that a method gives is written by a source that gets ready in the iteration of
 * its giving; one that gets ready in the next comes behind it, however busy the loop may be.
 */
#define TURNS_LATER 2U

struct Bus {
        sd_event *event;
        sd_bus *bus;    /* NULL: there is no connection */
        ListLink calls; /* BusCall.link */
};

struct BusCall {
        ListLink link;           /* in Bus.calls */
        sd_bus_message *message; /* NULL once it is sent */
        sd_bus_slot *slot;
        sd_event_source *timer;
        sd_event_source *later; /* until it is sent */
        unsigned turns;         /* before that */
        BusFunction answered;
        void *userdata;
};

bool bus_is_possible(void)
{
        /* For tests: a bus of theirs, with services of theirs. */
        if (getenv("DBUS_SYSTEM_BUS_ADDRESS"))
                return true;
        return sd_booted() > 0 && access(SYSTEM_BUS, F_OK) == 0;
}

int bus_new(sd_event *event, Bus **ret)
{
        Bus *b = calloc(1, sizeof(*b));

        if (!b)
                return -ENOMEM;
        b->event = sd_event_ref(event);
        list_init(&b->calls);
        *ret = b;
        return 0;
}

int bus_open(Bus *b, sd_bus **ret)
{
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (!b->bus || sd_bus_is_open(b->bus) <= 0) {
                b->bus = sd_bus_unref(b->bus);
                r = sd_bus_open_system_with_description(&bus, "guestwired");
                if (r >= 0)
                        r = sd_bus_attach_event(bus, b->event, SD_EVENT_PRIORITY_NORMAL);
                if (r < 0)
                        return r;
                b->bus = TAKE_PTR(bus);
        }
        *ret = sd_bus_ref(b->bus);
        return 0;
}

BusCall *bus_call_free(BusCall *c)
{
        if (!c)
                return NULL;
        list_remove(&c->link);
        c->timer = sd_event_source_disable_unref(c->timer);
        c->later = sd_event_source_disable_unref(c->later);
        c->slot = sd_bus_slot_unref(c->slot);
        c->message = sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(BusCall, bus_call_free)

static void bus_call_end(BusCall *c, const BusAnswer *answer)
{
        BusFunction answered = c->answered;
        void *userdata = c->userdata;

        (void)bus_call_free(c);
        answered(answer, userdata);
}

static int bus_call_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        bus_call_end(userdata, &(BusAnswer){ .error = -ETIMEDOUT, .problem = "no answer in time" });
        return 0;
}

/* The bus says so for a service that ends, sd-bus itself for a bus that does. */
static bool says_gone(const sd_bus_error *e)
{
        return sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED);
}

static int bus_call_on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(m);
        BusAnswer answer = { .message = e ? NULL : m };
        int number;

        if (e) {
                number = sd_bus_message_get_errno(m);
                answer.error = says_gone(e) ? -ECONNRESET : number > 0 ? -number : -EIO;
                answer.name = e->name;
                answer.problem = e->message ? e->message : e->name;
        }
        bus_call_end(userdata, &answer);
        return 0;
}

static int bus_call_send(BusCall *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = TAKE_PTR(c->message);

        /* The time limit is ours: sd-bus does not tell it from a service that has ended. */
        return sd_bus_call_async(sd_bus_message_get_bus(m), &c->slot, m, bus_call_on_answer, c,
                                 UINT64_MAX);
}

static int bus_call_on_later(sd_event_source *source, void *userdata)
{
        BusCall *c = userdata;
        int r;

        if (--c->turns > 0)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        c->later = sd_event_source_disable_unref(c->later);
        r = bus_call_send(c);
        if (r < 0)
                bus_call_end(c, &(BusAnswer){ .error = r, .problem = strerror(-r) });
        return 0;
}

static int bus_call_new(Bus *b, const BusMethod *method, uint64_t timeout, const char *types,
                        va_list arguments, BusCall **ret)
{
        _cleanup_(bus_call_freep) BusCall *c = calloc(1, sizeof(*c));
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        if (!c)
                return -ENOMEM;
        list_init(&c->link);
        r = bus_open(b, &bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &c->message, method->service, method->path,
                                                   method->interface, method->member);
        if (r >= 0 && types)
                r = sd_bus_message_appendv(c->message, types, arguments);
        if (r >= 0)
                r = sd_event_add_time_relative(b->event, &c->timer, CLOCK_MONOTONIC, timeout,
                                               TIMER_ACCURACY, bus_call_on_timer, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static void bus_call_begin(Bus *b, BusCall *c, BusFunction answered, void *userdata, BusCall **ret)
{
        c->answered = answered;
        c->userdata = userdata;
        list_append(&b->calls, &c->link);
        *ret = c;
}

int bus_callv(Bus *b, const BusMethod *method, uint64_t timeout, BusFunction answered,
              void *userdata, BusCall **ret, const char *types, va_list arguments)
{
        _cleanup_(bus_call_freep) BusCall *c = NULL;
        int r;

        r = bus_call_new(b, method, timeout, types, arguments, &c);
        if (r >= 0)
                r = bus_call_send(c);
        if (r < 0)
                return r;
        bus_call_begin(b, TAKE_PTR(c), answered, userdata, ret);
        return 0;
}

int bus_call_later(Bus *b, const BusMethod *method, uint64_t timeout, BusFunction answered,
                   void *userdata, BusCall **ret, const char *types, ...)
{
        _cleanup_(bus_call_freep) BusCall *c = NULL;
        va_list arguments;
        int r;

        va_start(arguments, types);
        r = bus_call_new(b, method, timeout, types, arguments, &c);
        va_end(arguments);
        if (r >= 0)
                r = sd_event_add_defer(b->event, &c->later, bus_call_on_later, c);
        if (r < 0)
                return r;
        c->turns = TURNS_LATER;
        bus_call_begin(b, TAKE_PTR(c), answered, userdata, ret);
        return 0;
}

Bus *bus_free(Bus *b)
{
        if (!b)
                return NULL;
        while (!list_is_empty(&b->calls))
                bus_call_end(CONTAINER_OF(b->calls.next, BusCall, link),
                             &(BusAnswer){ .error = -ECANCELED, .problem = "the agent ends" });
        if (b->bus)
                (void)sd_bus_detach_event(b->bus);
        (void)sd_bus_close_unref(b->bus);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}
