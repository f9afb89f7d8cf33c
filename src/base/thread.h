/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/*
 * Threads of one kind, which nobody waits for: who no longer needs what one of them does leaves it
 * to itself, and it may hang for as long as a network likes.
 */
typedef struct Threads Threads;

struct Threads {
        atomic_uint n;
        unsigned max;
};

/* By a thread, before it says that it has done its work: whoever hears it may start another. */
static inline void threads_leave(Threads *t)
{
        (void)atomic_fetch_sub(&t->n, 1);
}

/*
 * Runs a function in a thread of its own, which is to call threads_leave(). Signals are the event
 * loop's: a thread that left them open would steal them. 0; -EBUSY where as many run as may;
 * -errno.
 */
static inline int threads_run(Threads *t, void *(*run)(void *userdata), void *userdata)
{
        pthread_attr_t attr;
        sigset_t all, before;
        pthread_t thread;
        int r;

        if (atomic_fetch_add(&t->n, 1) >= t->max) {
                threads_leave(t);
                return -EBUSY;
        }
        r = pthread_attr_init(&attr);
        if (r != 0) {
                threads_leave(t);
                return -r;
        }
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread, &attr, run, userdata);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attr);
        if (r != 0)
                threads_leave(t);
        return -r;
}
