/* SPDX-License-Identifier: MIT */
#include "daemon/stranger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "handlers/events.h"

/* Callers taken in one turn, and turns in a second: a flood of them leaves the loop to those who
 * are served, and so does one that cannot be taken at all, for want of a descriptor. */
#define TURN_BUDGET 16U
#define TURNS_PER_SECOND 64U

#define LOG_INTERVAL_USEC (10U * 1000U * 1000U)
#define LOG_BURST 5U

struct Stranger {
        sd_event_source *io;
        char *name;
        RateLimit limit;
};

static void stranger_log(Stranger *s)
{
        unsigned held_back = 0;
        char more[64] = "";
        uint64_t now = 0;

        (void)sd_event_now(sd_event_source_get_event(s->io), CLOCK_MONOTONIC, &now);
        if (!ratelimit_pass(&s->limit, now, &held_back))
                return;
        if (held_back > 0)
                (void)snprintf(more, sizeof(more), " (and %u more before)", held_back);
        log_record(LOG_WARNING, EVENT_REFUSED, NULL,
                   "%s: a caller was turned away: no section has its address%s", s->name, more);
}

static int stranger_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Stranger *s = userdata;

        for (unsigned i = 0; i < TURN_BUDGET; i++) {
                _cleanup_close_ int caller = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                /* Those who are still in the queue are seen in the next turn. */
                if (caller < 0)
                        break;
                stranger_log(s);
        }
        return 0;
}

static int stranger_watch(Stranger *s, sd_event *event, int fd)
{
        int flags, listens = 0, r;
        socklen_t length = sizeof(listens);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0 || !listens)
                return -EINVAL;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &s->io, fd, EPOLLIN, stranger_on_io, s);
        if (r < 0)
                return r;
        return sd_event_source_set_ratelimit(s->io, 1000U * 1000U, TURNS_PER_SECOND);
}

int stranger_new(sd_event *event, int fd, const char *name, Stranger **ret)
{
        _cleanup_(stranger_freep) Stranger *s = NULL;
        int r;

        s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (Stranger){
                .name = strdup(name),
                .limit = { .interval = LOG_INTERVAL_USEC, .burst = LOG_BURST },
        };
        if (!s->name)
                return -ENOMEM;
        r = stranger_watch(s, event, fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Stranger *stranger_free(Stranger *s)
{
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->io);
        free(s->name);
        free(s);
        return NULL;
}
