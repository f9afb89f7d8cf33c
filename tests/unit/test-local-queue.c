/* SPDX-License-Identifier: MIT */

/* The requests in flight to a local server: their ids, their places and their deadlines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "methods/local-queue.h"

#define SECOND UINT64_C(1000000)

typedef struct Fixture Fixture;

struct Fixture {
        sd_event *event;
        LocalQueue queue;
        uint64_t overdue[4]; /* deadlines, in the order in which they came out */
        size_t n_overdue;
};

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Fixture *f = userdata;
        LocalRequest *request;
        int r;

        while ((r = local_queue_overdue(&f->queue, &request)) > 0) {
                f->overdue[f->n_overdue++] = request->deadline;
                local_queue_remove(&f->queue, request);
        }
        return r;
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_true(sd_event_new(&f->event) >= 0);
        local_queue_init(&f->queue, f->event, on_deadline, f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;
        LocalRequest *request;
        size_t place = 0;

        while ((request = local_queue_next(&f->queue, UINT64_MAX, &place)))
                local_queue_remove(&f->queue, request);
        local_queue_done(&f->queue);
        sd_event_unref(f->event);
        free(f);
        return 0;
}

static LocalRequest *add(Fixture *f, uint64_t timeout)
{
        LocalRequest *request;

        assert_int_equal(local_queue_add(&f->queue, NULL, timeout, &request), 0);
        assert_true(request->id > 0);
        return request;
}

/* A place is used again, an id never is. */
static void test_ids(void **state)
{
        Fixture *f = *state;
        LocalRequest *first = add(f, TEXT_INFINITY), *second;
        uint64_t id = first->id;

        assert_ptr_equal(local_queue_find(&f->queue, id), first);
        assert_null(local_queue_find(&f->queue, id + 1));
        assert_null(local_queue_find(&f->queue, 0));
        local_queue_remove(&f->queue, first);
        assert_null(local_queue_find(&f->queue, id));
        second = add(f, TEXT_INFINITY);
        assert_int_equal(second->id % LOCAL_SERVER_CALLS_MAX, id % LOCAL_SERVER_CALLS_MAX);
        assert_int_not_equal(second->id, id);
        assert_null(local_queue_find(&f->queue, id));
}

static void test_full(void **state)
{
        Fixture *f = *state;
        LocalRequest *requests[LOCAL_SERVER_CALLS_MAX], *one_more = NULL;

        for (size_t i = 0; i < LOCAL_SERVER_CALLS_MAX; i++)
                requests[i] = add(f, SECOND);
        assert_int_equal(local_queue_add(&f->queue, NULL, SECOND, &one_more), -EBUSY);
        assert_null(one_more);
        for (size_t i = 0; i < LOCAL_SERVER_CALLS_MAX; i++)
                assert_ptr_equal(local_queue_find(&f->queue, requests[i]->id), requests[i]);
        local_queue_remove(&f->queue, requests[500]);
        (void)add(f, SECOND);
        assert_int_equal(local_queue_add(&f->queue, NULL, SECOND, &one_more), -EBUSY);
}

/* Each that was there at first is met once, whatever comes and goes on the way. */
static void test_walk(void **state)
{
        Fixture *f = *state;
        LocalRequest *request;
        size_t place = 0;
        unsigned n = 0;
        uint64_t last;

        for (unsigned i = 0; i < 10; i++)
                (void)add(f, TEXT_INFINITY);
        last = f->queue.serial;
        while ((request = local_queue_next(&f->queue, last, &place))) {
                assert_true(n++ < 10);
                local_queue_remove(&f->queue, request);
                (void)add(f, TEXT_INFINITY);
        }
        assert_int_equal(n, 10);
        assert_int_equal(f->queue.n_requests, 10);
}

/* In whichever order they were begun; the timer is for the first of them. */
static void test_deadlines(void **state)
{
        Fixture *f = *state;
        LocalRequest *never = add(f, TEXT_INFINITY);
        LocalRequest *gone;

        (void)add(f, SECOND / 10);
        (void)add(f, SECOND / 100);
        gone = add(f, 0);
        (void)add(f, SECOND / 20);
        /* The timer comes for nothing then. */
        local_queue_remove(&f->queue, gone);
        while (f->n_overdue < 3)
                assert_true(sd_event_run(f->event, 60 * SECOND) > 0);
        assert_true(f->overdue[0] < f->overdue[1] && f->overdue[1] < f->overdue[2]);
        assert_int_equal(f->queue.n_requests, 1);
        assert_ptr_equal(local_queue_find(&f->queue, never->id), never);
        assert_int_equal(sd_event_run(f->event, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_ids),
                TEST(test_full),
                TEST(test_walk),
                TEST(test_deadlines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
