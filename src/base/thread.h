/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <signal.h>

/*
 * Runs a function in a thread that nobody waits for. Signals are the event loop's: a thread that
 * left them open would steal them. 0 or -errno; then it does not run.
 */
static inline int thread_run_detached(void *(*run)(void *userdata), void *userdata)
{
        pthread_attr_t attr;
        sigset_t all, before;
        pthread_t thread;
        int r;

        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread, &attr, run, userdata);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attr);
        return -r;
}
