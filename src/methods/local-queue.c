/* SPDX-License-Identifier: MIT */
#include "methods/local-queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"

#define TIMER_ACCURACY UINT64_C(10000)
/* An id is a serial number and the request's place: never given twice, found at once. */
#define SLOT_BITS 10U
#define SLOTS LOCAL_SERVER_CALLS_MAX
_Static_assert(SLOTS == 1U << SLOT_BITS, "a place fits its bits");

void local_queue_init(LocalQueue *q, sd_event *event, sd_event_time_handler_t on_deadline,
                      void *userdata)
{
        q->event = event;
        q->on_deadline = on_deadline;
        q->userdata = userdata;
        q->timer = NULL;
        q->timer_at = TEXT_INFINITY;
        q->serial = 0;
        list_init(&q->requests);
        q->n_requests = 0;
        for (size_t i = 0; i < SLOTS; i++) {
                q->slots[i] = NULL;
                q->free_slots[i] = (uint16_t)i;
        }
}

void local_queue_done(LocalQueue *q)
{
        assert(q->n_requests == 0);
        q->timer = sd_event_source_disable_unref(q->timer);
}

static int queue_arm(LocalQueue *q, uint64_t at)
{
        int r;

        if (at >= q->timer_at)
                return 0;
        if (!q->timer) {
                r = sd_event_add_time(q->event, &q->timer, CLOCK_MONOTONIC, at, TIMER_ACCURACY,
                                      q->on_deadline, q->userdata);
        } else {
                r = sd_event_source_set_time(q->timer, at);
                if (r >= 0)
                        r = sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
        }
        if (r >= 0)
                q->timer_at = at;
        return r;
}

/* Most requests have the same timeout: the place is at the end. */
static void queue_insert(LocalQueue *q, LocalRequest *request)
{
        ListLink *before = q->requests.prev;

        while (before != &q->requests &&
               CONTAINER_OF(before, LocalRequest, link)->deadline > request->deadline)
                before = before->prev;
        /* Appending to a list whose head is the next link inserts before that. */
        list_append(before->next, &request->link);
}

int local_queue_add(LocalQueue *q, LocalServer *server, uint64_t timeout, LocalRequest **ret)
{
        LocalRequest *request;
        uint64_t now;
        int r;

        if (q->n_requests == SLOTS)
                return -EBUSY;
        request = malloc(sizeof(*request));
        if (!request)
                return -ENOMEM;
        *request = (LocalRequest){
                .server = server,
                .id = ++q->serial * SLOTS + q->free_slots[q->n_requests],
                .deadline = TEXT_INFINITY,
        };
        r = sd_event_now(q->event, CLOCK_MONOTONIC, &now);
        if (r >= 0 && timeout < TEXT_INFINITY - now) {
                request->deadline = now + timeout;
                r = queue_arm(q, request->deadline);
        }
        if (r < 0) {
                free(request);
                return r;
        }
        q->slots[request->id % SLOTS] = request;
        q->n_requests++;
        queue_insert(q, request);
        *ret = request;
        return 0;
}

void local_queue_remove(LocalQueue *q, LocalRequest *request)
{
        size_t slot = request->id % SLOTS;

        q->slots[slot] = NULL;
        q->n_requests--;
        q->free_slots[q->n_requests] = (uint16_t)slot;
        list_remove(&request->link);
        free(request);
}

LocalRequest *local_queue_find(const LocalQueue *q, uint64_t id)
{
        LocalRequest *request = q->slots[id % SLOTS];

        return request && request->id == id ? request : NULL;
}

LocalRequest *local_queue_next(const LocalQueue *q, uint64_t last, size_t *place)
{
        while (*place < SLOTS && q->n_requests > 0) {
                LocalRequest *request = q->slots[(*place)++];

                if (request && request->id / SLOTS <= last)
                        return request;
        }
        return NULL;
}

int local_queue_overdue(LocalQueue *q, LocalRequest **ret)
{
        LocalRequest *first;
        uint64_t now;
        int r;

        q->timer_at = TEXT_INFINITY;
        if (list_is_empty(&q->requests))
                return 0;
        r = sd_event_now(q->event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;
        first = CONTAINER_OF(q->requests.next, LocalRequest, link);
        if (first->deadline > now) {
                r = first->deadline == TEXT_INFINITY ? 0 : queue_arm(q, first->deadline);
                return r < 0 ? r : 0;
        }
        *ret = first;
        return 1;
}
