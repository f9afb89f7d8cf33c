/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/macros.h"

/*
 * The system bus: one connection for all who talk to systemd and its services, made when the first
 * needs it, and made anew for the next one when it is lost. Nothing here waits.
 */
typedef struct Bus Bus;
typedef struct BusCall BusCall;
typedef struct BusMethod BusMethod;
typedef struct BusAnswer BusAnswer;

/* Whether systemd is PID 1 here and there is a bus to it. */
bool bus_is_possible(void);
int bus_new(sd_event *event, Bus **ret);
/* Calls that are left are answered with -ECANCELED. */
Bus *bus_free(Bus *b);
DEFINE_CLEANUP(Bus, bus_free)

/* The connection, open or opening; *ret is a reference of the caller's. Slots on one that was lost
 * are still told so by it, each holding it as long as need be. 0 or -errno. */
int bus_open(Bus *b, sd_bus **ret);

struct BusMethod {
        const char *service;
        const char *path;
        const char *interface;
        const char *member;
};

/* Borrowed for the function that is told. */
struct BusAnswer {
        sd_bus_message *message; /* NULL where there is an error */
        /* 0; -ETIMEDOUT: nothing came in time; -ECONNRESET: the service, or the bus, has gone away
         * meanwhile; -ECANCELED: we end; another -errno, that of the service's error. */
        int error;
        const char *name;    /* of that error, or NULL */
        const char *problem; /* a sentence */
};

typedef void (*BusFunction)(const BusAnswer *answer, void *userdata);

/*
 * Calls a method with arguments as of sd_bus_message_appendv(). `answered` is called exactly once,
 * later, unless the call is freed before; the BusCall is gone then. timeout: microseconds. 0 or
 * -errno: the bus cannot be reached.
 */
int bus_callv(Bus *b, const BusMethod *method, uint64_t timeout, BusFunction answered,
              void *userdata, BusCall **ret, const char *types, va_list arguments);
/* The same, but nothing is sent before all that this turn of the loop has left to be written has
 * been. */
int bus_call_later(Bus *b, const BusMethod *method, uint64_t timeout, BusFunction answered,
                   void *userdata, BusCall **ret, const char *types, ...);
/* Its answer is not waited for any more; what was sent stays sent. NULL is fine. */
BusCall *bus_call_free(BusCall *c);
