/* SPDX-License-Identifier: MIT */

/* system.set_hostname: by hostnamed, for now and for the next boot. */
#include <limits.h>
#include <string.h>

#include "methods/members.h"
#include "methods/order.h"

#define HOSTNAMED(m)                                                                          \
        {                                                                                     \
                .service = "org.freedesktop.hostname1", .path = "/org/freedesktop/hostname1", \
                .interface = "org.freedesktop.hostname1", .member = (m)                       \
        }

static const BusMethod set_static = HOSTNAMED("SetStaticHostname");
static const BusMethod set_transient = HOSTNAMED("SetHostname");

static void hostname_on_transient(Order *o, const BusAnswer *answer)
{
        Members m;

        if (answer->error < 0) {
                order_fail(o, &set_transient, answer);
                return;
        }
        members_init(&m);
        members_add_text(&m, "hostname", o->text);
        order_reply(o, members_take(&m));
}

static void hostname_on_static(Order *o, const BusAnswer *answer)
{
        if (answer->error < 0)
                order_fail(o, &set_static, answer);
        else
                order_ask(o, &set_transient, hostname_on_transient, "sb", o->text, 0);
}

static void hostname_set(Call *call, json_object *params, void *userdata)
{
        const char *name = json_object_get_string(json_object_object_get(params, "hostname"));
        size_t n = strlen(name);
        Order *o;

        if (n == 0 || n > HOST_NAME_MAX) {
                call_fail_params(call, "Parameter \"hostname\" must have 1 to %d bytes",
                                 HOST_NAME_MAX);
                return;
        }
        o = order_new(call, userdata);
        if (!o)
                return;
        o->text = strdup(name);
        if (!o->text)
                order_reply(o, NULL);
        else
                order_ask(o, &set_static, hostname_on_static, "sb", o->text, 0);
}

static const Field hostname_fields[] = {
        { "hostname", FIELD_STRING, 0, "The host name", NULL },
        {},
};

const Method hostname_methods[] = {
        { .name = "system.set_hostname",
          .run = hostname_set,
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Sets the guest's host name, for now and for its next boots",
          .params = hostname_fields,
          .result = hostname_fields,
          .reasons = 1U << REASON_CANCELLED | 1U << REASON_FAILED | 1U << REASON_TIMEOUT |
                     1U << REASON_UNAVAILABLE | 1U << REASON_UNSUPPORTED },
        {},
};
