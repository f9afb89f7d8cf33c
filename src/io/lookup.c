/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/text.h"
#include "base/thread.h"
#include "io/lookup.h"
#include "io/problem.h"

/*
 * Shared by the thread and the one who asked, freed by whoever lets go last. The thread
 * writes the results and then the eventfd, the other side reads the eventfd and then the
 * results: that orders them.
 */
struct Lookup {
        atomic_uint references;
        int fd;
        char *host;
        char service[16];
        struct addrinfo *info;
        int result; /* of getaddrinfo */
        int error;  /* errno, where the result is EAI_SYSTEM */
};

static Threads threads = { .max = LOOKUPS_MAX };

static Lookup *lookup_unref(Lookup *l)
{
        if (atomic_fetch_sub(&l->references, 1) > 1)
                return NULL;
        fd_close(l->fd);
        if (l->info)
                freeaddrinfo(l->info);
        free(l->host);
        free(l);
        return NULL;
}

static void *lookup_run(void *userdata)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        Lookup *l = userdata;

        l->result = getaddrinfo(l->host, l->service, &hints, &l->info);
        l->error = errno;
        threads_leave(&threads);
        /* Cannot fail: the counter is at 0 and the descriptor lives as long as l. */
        (void)eventfd_write(l->fd, 1);
        lookup_unref(l);
        return NULL;
}

static int lookup_run_thread(Lookup *l)
{
        int r;

        atomic_fetch_add(&l->references, 1);
        r = threads_run(&threads, lookup_run, l);
        if (r < 0)
                atomic_fetch_sub(&l->references, 1);
        return r;
}

int lookup_start(const char *host, uint32_t port, Lookup **ret)
{
        _cleanup_(lookup_freep) Lookup *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        atomic_init(&l->references, 1);
        l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->fd < 0)
                return -errno;
        (void)snprintf(l->service, sizeof(l->service), "%" PRIu32, port);
        l->host = strdup(host);
        if (!l->host)
                return -ENOMEM;
        r = lookup_run_thread(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int lookup_get_fd(const Lookup *l)
{
        return l->fd;
}

static int lookup_explain(const Lookup *l, char **ret_detail)
{
        const char *why = l->result == EAI_SYSTEM ? strerror(l->error) : gai_strerror(l->result);

        if (l->result == EAI_MEMORY)
                return -ENOMEM;
        return problem_take(ret_detail, strdup(why), -EHOSTUNREACH);
}

int lookup_finish(Lookup *l, LookupAddress **ret, size_t *ret_n, char **ret_detail)
{
        LookupAddress *list;
        eventfd_t ended;
        size_t n = 0;

        if (eventfd_read(l->fd, &ended) < 0)
                return -errno;
        if (l->result != 0)
                return lookup_explain(l, ret_detail);
        list = calloc(LOOKUP_ADDRESSES_MAX, sizeof(*list));
        if (!list)
                return -ENOMEM;
        for (const struct addrinfo *i = l->info; i && n < LOOKUP_ADDRESSES_MAX; i = i->ai_next) {
                memcpy(&list[n].sa, i->ai_addr, i->ai_addrlen);
                list[n++].length = i->ai_addrlen;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

Lookup *lookup_free(Lookup *l)
{
        return l ? lookup_unref(l) : NULL;
}
