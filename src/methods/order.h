/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "methods/context.h"
#include "proc/bus.h"
#include "rpc/call.h"

/*
 * A call that is carried out by services of systemd's: it asks one after the other over the system
 * bus and waits for none. Cancelled, or without its caller, it asks no more.
 */
typedef struct Order Order;
typedef void (*OrderFunction)(Order *o, const BusAnswer *answer);

/* Services have so long to answer, which includes that systemd starts them. Tests have less time.
 */
extern uint64_t order_usec;

struct Order {
        AgentContext *context;
        Call *call; /* NULL once it is answered, where there is still something to do */
        BusCall *waiting;
        OrderFunction then;
        Spawn *spawn;
        const void *subject; /* the method's own, as the next ones */
        char *text;
        int64_t number;
        uint64_t time;
        bool flag;
};

/* NULL: the call is ended, since systemd is not here or there is no memory. */
Order *order_new(Call *call, AgentContext *context);
/* Asks a service; `then` is called once, or the call is failed. */
void order_ask(Order *o, const BusMethod *method, OrderFunction then, const char *types, ...);
/* How an answer that is an error is told: ends the call and the order. */
void order_fail(Order *o, const BusMethod *method, const BusAnswer *answer);
/* Whether that means that the service is not there. */
bool order_lacks_service(const BusAnswer *answer);
/* Ends the call with a result (taken over; NULL: no memory), and the order. */
void order_reply(Order *o, json_object *result);
/* The call is not touched: it is ended, or NULL. */
Order *order_free(Order *o);
