/* SPDX-License-Identifier: MIT */
#include "methods/order.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

uint64_t order_usec = UINT64_C(25000000);

Order *order_free(Order *o)
{
        if (!o)
                return NULL;
        if (o->context->clock_order == o)
                o->context->clock_order = NULL;
        o->waiting = bus_call_free(o->waiting);
        o->spawn = spawn_free(o->spawn);
        free(o->text);
        free(o);
        return NULL;
}

static void order_cancel(Call *call, CallEnd why, void *userdata)
{
        (void)order_free(userdata);
        call_fail(call, REASON_CANCELLED, 0,
                  "Cancelled; what systemd has been asked for already may still happen");
}

Order *order_new(Call *call, AgentContext *context)
{
        Order *o;

        if (!context->spawner || !spawner_bus(context->spawner)) {
                call_fail(call, REASON_UNSUPPORTED, 0,
                          "%s needs systemd, which is not what runs this guest", call_name(call));
                return NULL;
        }
        o = calloc(1, sizeof(*o));
        if (!o) {
                call_reply(call, NULL);
                return NULL;
        }
        o->context = context;
        o->call = call;
        call_set_cancel(call, order_cancel, o);
        return o;
}

static void order_on_answer(const BusAnswer *answer, void *userdata)
{
        Order *o = userdata;

        o->waiting = NULL;
        o->then(o, answer);
}

void order_ask(Order *o, const BusMethod *method, OrderFunction then, const char *types, ...)
{
        va_list arguments;
        int r;

        o->then = then;
        va_start(arguments, types);
        r = bus_callv(spawner_bus(o->context->spawner), method, order_usec, order_on_answer, o,
                      &o->waiting, types, arguments);
        va_end(arguments);
        if (r >= 0)
                return;
        call_fail(TAKE_PTR(o->call), REASON_UNAVAILABLE, -r, "The system bus cannot be used: %s",
                  strerror(-r));
        (void)order_free(o);
}

bool order_lacks_service(const BusAnswer *answer)
{
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,          SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_UNKNOWN_METHOD,           SD_BUS_ERROR_UNKNOWN_OBJECT,
                SD_BUS_ERROR_UNKNOWN_INTERFACE,        "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.UnitMasked",
        };

        for (size_t i = 0; answer->name && i < ELEMENTSOF(names); i++)
                if (strcmp(answer->name, names[i]) == 0)
                        return true;
        return false;
}

void order_fail(Order *o, const BusMethod *method, const BusAnswer *answer)
{
        Call *call = TAKE_PTR(o->call);
        _cleanup_free_ char *shown = NULL;
        const char *problem;

        shown = text_show(answer->problem, strlen(answer->problem), 300);
        problem = shown ? shown : strerror(-answer->error);
        if (order_lacks_service(answer))
                call_fail(call, REASON_UNSUPPORTED, 0, "%s is not there, or lacks %s(): %s",
                          method->service, method->member, problem);
        else if (answer->error == -ETIMEDOUT && !answer->name)
                call_fail(call, REASON_TIMEOUT, 0, "%s has not answered %s() within %u seconds",
                          method->service, method->member, (unsigned)(order_usec / 1000000U));
        else if (answer->error == -ECONNRESET || answer->error == -ECANCELED)
                call_fail(call, REASON_UNAVAILABLE, 0, "%s has gone away: %s", method->service,
                          problem);
        else if (answer->name && strcmp(answer->name, SD_BUS_ERROR_INVALID_ARGS) == 0)
                call_fail_params(call, "%s does not take that: %s", method->service, problem);
        else
                call_fail(call, REASON_FAILED, -answer->error, "%s refuses %s(): %s",
                          method->service, method->member, problem);
        (void)order_free(o);
}

void order_reply(Order *o, json_object *result)
{
        call_reply(TAKE_PTR(o->call), result);
        (void)order_free(o);
}
