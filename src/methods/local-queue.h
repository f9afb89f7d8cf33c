/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "methods/local-server.h"
#include "rpc/call.h"

/*
 * The requests to a local server that wait for their replies: found by their ids, which are never
 * given twice, and told apart by their deadlines, for all of which there is one timer.
 */
typedef struct LocalQueue LocalQueue;

/* A request in flight: of a caller's call, or of the agent's own. */
struct LocalRequest {
        ListLink link; /* by deadline */
        LocalServer *server;
        uint64_t id;       /* never 0 */
        uint64_t deadline; /* CLOCK_MONOTONIC; TEXT_INFINITY: none */
        Call *call;
        LocalResultFunction done;
        void *userdata;
};

struct LocalQueue {
        sd_event *event; /* the owner's */
        sd_event_time_handler_t on_deadline;
        void *userdata;
        sd_event_source *timer;
        uint64_t timer_at; /* TEXT_INFINITY: it is off */
        uint64_t serial;
        ListLink requests;
        size_t n_requests;
        LocalRequest *slots[LOCAL_SERVER_CALLS_MAX];
        uint16_t free_slots[LOCAL_SERVER_CALLS_MAX]; /* those from n_requests on */
};

/* on_deadline: the timer's; it takes from local_queue_overdue() until nothing is left. It may come
 * too early, since a request that ends in time leaves the timer as it is. */
void local_queue_init(LocalQueue *q, sd_event *event, sd_event_time_handler_t on_deadline,
                      void *userdata);
/* Of an empty one. */
void local_queue_done(LocalQueue *q);

/* timeout: microseconds, TEXT_INFINITY for none. The request is the queue's until it is removed,
 * and all else in it the caller's to fill in. 0, -EBUSY where it is full, or -errno. */
int local_queue_add(LocalQueue *q, LocalServer *server, uint64_t timeout, LocalRequest **ret);
/* Takes it out, and frees it. */
void local_queue_remove(LocalQueue *q, LocalRequest *request);

/* NULL: there is none, or no more. */
LocalRequest *local_queue_find(const LocalQueue *q, uint64_t id);
/* Walks the requests that were there when the serial number was `last`, whatever is added and
 * removed meanwhile; *place is 0 at first. NULL at the end. */
LocalRequest *local_queue_next(const LocalQueue *q, uint64_t last, size_t *place);
/* 1 and a request whose deadline has passed; 0 where none has, and the timer is set; or -errno. */
int local_queue_overdue(LocalQueue *q, LocalRequest **ret);
