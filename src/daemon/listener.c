/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "handlers/events.h"
#include "io/listen.h"
#include "io/vsock.h"

/* Callers accepted in one turn, so that a flood of them leaves the loop to those who are in. */
#define ACCEPT_BUDGET 64U
/* How long nothing is accepted when there is not even a file descriptor to refuse with. */
#define PAUSE_USEC (250U * 1000U)
/* How long a caller waits in the queue of a full port before it is turned away: those who have
 * just hung up are still counted until the loop has come by them. */
#define SETTLE_USEC (10U * 1000U)

#define LOG_INTERVAL_USEC (10U * 1000U * 1000U)
#define LOG_BURST 5U

static uint64_t listener_now(const Listener *l)
{
        uint64_t now = 0;

        (void)sd_event_now(l->owner->context->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void listener_log_limited(Listener *l, RateLimit *limit, const char *event, const Peer *peer,
                                 const char *what)
{
        LogFields fields = { 0 };
        unsigned held_back = 0;
        char more[64] = "";

        if (!ratelimit_pass(limit, listener_now(l), &held_back))
                return;
        if (held_back > 0)
                (void)snprintf(more, sizeof(more), " (and %u more before)", held_back);
        connection_log_fields(l->settings, peer, &fields);
        log_record(LOG_WARNING, event, &fields, "%s: %s %s%s", l->settings->section,
                   peer ? peer->text : "a caller", what, more);
}

static void listener_on_closed(Connection *c, void *userdata)
{
        Listener *l = userdata;

        l->n_connections--;
        l->waited = false;
        (void)connection_free(c);
        l->owner->changed(l->owner->userdata);
}

Connection *listener_longest_idle(const Listener *l, uint64_t *ret_since)
{
        Connection *found = NULL;
        uint64_t oldest = UINT64_MAX;

        list_foreach (i, &l->connections) {
                Connection *c = CONTAINER_OF(i, Connection, link);
                uint64_t since;

                if (!connection_may_be_evicted(c))
                        continue;
                since = connection_idle_since(c);
                if (since < oldest) {
                        oldest = since;
                        found = c;
                }
        }
        if (found)
                *ret_since = oldest;
        return found;
}

void listener_evict_connection(Connection *c)
{
        Listener *l = c->userdata;

        l->owner->context->stats->connections_evicted++;
        listener_log_limited(l, &l->full_limit, EVENT_FULL, &c->peer,
                             "was idle longest and is closed to make room");
        l->n_connections--;
        (void)connection_free(c);
}

/* False: all are busy or privileged. */
static bool listener_evict(Listener *l)
{
        uint64_t since;
        Connection *c;

        c = listener_longest_idle(l, &since);
        if (!c)
                return false;
        listener_evict_connection(c);
        return true;
}

/* Whether there is room for one more, here and over all ports. */
static bool listener_has_room(Listener *l)
{
        const Stats *stats = l->owner->context->stats;

        if (l->n_connections >= l->settings->max_connections && !listener_evict(l))
                return false;
        return stats->connections_current < l->config->agent.max_connections ||
               l->owner->make_room(l->owner->userdata);
}

/* The caller is known by the address that accept4() gave, and by nothing that it says. */
static void listener_admit(Listener *l, int fd_accepted, const struct sockaddr_storage *sa,
                           socklen_t length)
{
        static const sa_family_t families[] = {
                [ADDRESS_VSOCK] = AF_VSOCK,
                [ADDRESS_UNIX] = AF_UNIX,
        };
        const ConnectionContext *context = l->owner->context;
        _cleanup_close_ int fd = fd_accepted;
        AddressKind kind = l->settings->address.kind;
        Connection *c;
        Peer peer;
        int r;

        r = peer_from_accept(fd, kind == ADDRESS_TCP ? sa->ss_family : families[kind], sa, length,
                             &peer);
        if (r < 0) {
                context->stats->connections_refused++;
                listener_log_limited(l, &l->refused_limit, EVENT_REFUSED, NULL,
                                     "was refused: it cannot be told who it is");
                return;
        }
        if (!peer_is_allowed(&peer, &l->settings->peers)) {
                context->stats->connections_refused++;
                listener_log_limited(l, &l->refused_limit, EVENT_REFUSED, &peer,
                                     "was refused: `peers` does not name its CID");
                return;
        }
        if (!listener_has_room(l)) {
                context->stats->connections_full++;
                listener_log_limited(l, &l->full_limit, EVENT_FULL, &peer,
                                     "was turned away: max-connections are open");
                return;
        }
        r = connection_new(context, TAKE_FD(fd), &peer, l->config, l->settings, listener_on_closed,
                           l, &c);
        if (r == -EPERM) {
                context->stats->connections_refused++;
                listener_log_limited(l, &l->refused_limit, EVENT_REFUSED, &peer,
                                     "was refused: `trust` does not name it");
                return;
        }
        if (r < 0) {
                log_error("%s: %s: cannot be served: %s", l->settings->section, peer.text,
                          strerror(-r));
                return;
        }
        c->accepted = listener_now(l);
        list_append(&l->connections, &c->link);
        l->n_connections++;
        context->stats->connections_accepted++;
}

static int listener_on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
        Listener *l = userdata;

        (void)sd_event_source_set_enabled(l->io, SD_EVENT_ON);
        return 0;
}

/* The queue stays readable: waiting is all that keeps the loop from spinning. */
static void listener_pause(Listener *l, uint64_t usec)
{
        sd_event *event = l->owner->context->event;
        int r;

        if (!l->resume) {
                r = sd_event_add_time_relative(event, &l->resume, CLOCK_MONOTONIC, usec, 0,
                                               listener_on_resume, l);
        } else {
                r = sd_event_source_set_time_relative(l->resume, usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(l->resume, SD_EVENT_ONESHOT);
        }
        if (r >= 0)
                (void)sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
}

/* Where there is no room, whether to wait a moment for it. Once, until somebody leaves. */
static bool listener_waits(Listener *l)
{
        if (l->waited)
                return false;
        l->waited = true;
        listener_pause(l, SETTLE_USEC);
        return true;
}

/* Whether nobody can be let in unless somebody leaves of his own accord. */
static bool listener_is_full(const Listener *l)
{
        uint64_t since;

        return (l->n_connections >= l->settings->max_connections ||
                l->owner->context->stats->connections_current >=
                        l->config->agent.max_connections) &&
               !listener_longest_idle(l, &since);
}

static bool listener_has_caller(const Listener *l)
{
        struct pollfd p = { .fd = l->fd, .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}

/*
 * No file descriptor is left. Rather than leave the caller in the queue, room is made among
 * those who are idle, on whatever port; where there is nobody to close, the spare fd is given
 * up for as long as it takes to turn the caller away. Returns whether to go on accepting.
 */
static bool listener_out_of_fds(Listener *l)
{
        int *spare = l->owner->spare_fd, fd;

        /* accept4() takes a descriptor before it looks into the queue. */
        if (!listener_has_caller(l))
                return false;
        if (l->owner->make_room(l->owner->userdata))
                return true;
        if (listener_waits(l))
                return false;
        if (*spare >= 0) {
                *spare = fd_close(*spare);
                fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0) {
                        l->owner->context->stats->connections_full++;
                        listener_log_limited(l, &l->full_limit, EVENT_FULL, NULL,
                                             "was turned away: no file descriptor is left; raise "
                                             "LimitNOFILE= of the unit");
                }
                fd_close(fd);
                *spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
                if (fd >= 0 && *spare >= 0)
                        return true;
        }
        listener_pause(l, PAUSE_USEC);
        return false;
}

/* The fault of the system rather than of the caller, who is still in the queue. */
static void listener_cannot_accept(Listener *l, int error)
{
        char what[128];

        (void)snprintf(what, sizeof(what), "cannot be accepted: %s", strerror(error));
        listener_log_limited(l, &l->full_limit, EVENT_FULL, NULL, what);
        listener_pause(l, PAUSE_USEC);
}

static int listener_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Listener *l = userdata;

        for (unsigned i = 0; i < ACCEPT_BUDGET; i++) {
                struct sockaddr_storage sa = { 0 };
                socklen_t length = sizeof(sa);
                int fd_accepted;

                if (listener_is_full(l) && listener_waits(l))
                        break;
                fd_accepted =
                        accept4(fd, (struct sockaddr *)&sa, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd_accepted >= 0) {
                        listener_admit(l, fd_accepted, &sa, length);
                        continue;
                }
                if (errno == EAGAIN)
                        break;
                if (errno == EMFILE || errno == ENFILE) {
                        if (!listener_out_of_fds(l))
                                break;
                } else if (errno == ENOMEM || errno == ENOBUFS || errno == EINVAL ||
                           errno == EBADF) {
                        listener_cannot_accept(l, errno);
                        break;
                }
                /* Anything else is the fault of the one caller, who has gone already. */
        }
        l->owner->changed(l->owner->userdata);
        return 0;
}

int listener_new(const ListenerOwner *owner, Config *config, const ListenSettings *settings,
                 Listener **ret)
{
        Listener *l;

        l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (Listener){
                .owner = owner,
                .config = config_ref(config),
                .settings = settings,
                .fd = -EBADF,
                .refused_limit = { .interval = LOG_INTERVAL_USEC, .burst = LOG_BURST },
                .full_limit = { .interval = LOG_INTERVAL_USEC, .burst = LOG_BURST },
        };
        list_init(&l->link);
        list_init(&l->connections);
        *ret = l;
        return 0;
}

/* The socket of this address: one that was there before us, or a new one. */
static int listener_make_socket(Listener *l, char **ret_problem)
{
        const ListenSettings *s = l->settings;
        int fd;

        free(l->store_name);
        l->store_name = NULL;
        fd = activation_take(l->owner->activation, &s->address, &s->file, &l->keeper,
                             &l->store_name, ret_problem);
        if (fd != -ENOENT)
                return fd;
        l->keeper = KEEPER_NONE;
        return listen_open(&s->address, &s->file, ret_problem);
}

static void listener_set_problem(Listener *l, char *problem)
{
        if (l->problem && problem && strcmp(l->problem, problem) == 0) {
                free(problem);
                return;
        }
        free(l->problem);
        l->problem = problem;
        l->told = false;
}

int listener_open(Listener *l)
{
        _cleanup_free_ char *problem = NULL, *address = NULL;
        _cleanup_close_ int fd = -EBADF;
        LogFields fields = { 0 };
        int r;

        if (l->fd >= 0)
                return 0;
        if (l->without_vsock && !vsock_is_there())
                return -EAFNOSUPPORT;

        connection_log_fields(l->settings, NULL, &fields);
        fd = listener_make_socket(l, &problem);
        r = fd;
        if (r >= 0) {
                r = sd_event_add_io(l->owner->context->event, &l->io, fd, EPOLLIN, listener_on_io,
                                    l);
                if (r < 0)
                        problem = text_format("%s", strerror(-r));
        }
        l->without_vsock = r == -EAFNOSUPPORT && l->settings->address.kind == ADDRESS_VSOCK;
        if (r < 0) {
                listener_set_problem(l,
                                     problem ? TAKE_PTR(problem) : text_format("%s", strerror(-r)));
                if (!l->told)
                        log_record(LOG_WARNING, EVENT_LISTEN_FAILED, &fields,
                                   "%s: not listening: %s; trying again", l->settings->section,
                                   l->problem ?: "out of memory");
                l->told = true;
                return r;
        }

        listener_set_problem(l, NULL);
        l->fd = TAKE_FD(fd);
        address = address_to_text(&l->settings->address);
        log_record(LOG_INFO, EVENT_LISTENING, &fields, "%s: listening on %s%s",
                   l->settings->section, address ?: "?",
                   l->keeper == KEEPER_NONE ? "" : ", a socket that was passed to us");
        return 0;
}

int listener_store(Listener *l)
{
        Activation *a = l->owner->activation;
        int r;

        if (l->fd < 0 || l->keeper != KEEPER_NONE || !activation_has_store(a))
                return 0;
        r = activation_store(a, l->fd, &l->settings->address, &l->store_name);
        if (r >= 0)
                l->keeper = KEEPER_STORE;
        return r == -EAGAIN ? r : 0;
}

void listener_change(Listener *l, Config *config, const ListenSettings *settings)
{
        Config *old = l->config;
        bool file_changed =
                memcmp(&settings->file, &l->settings->file, sizeof(settings->file)) != 0;
        int r;

        l->config = config_ref(config);
        l->settings = settings;
        /* Whoever reloads may have installed the module. */
        l->without_vsock = false;
        if (l->fd >= 0 && settings->address.kind == ADDRESS_UNIX && file_changed) {
                r = listen_file_change(&settings->address, &settings->file);
                if (r < 0)
                        log_warning("%s: cannot change mode or owner of %s: %s", settings->section,
                                    settings->address.path, strerror(-r));
        }
        list_foreach_safe (i, &l->connections) {
                Connection *c = CONTAINER_OF(i, Connection, link);

                if (peer_is_allowed(&c->peer, &settings->peers) &&
                    connection_change(c, config, settings))
                        continue;
                log_info("%s: %s: closed: the new `peers` or `trust` does not name it",
                         settings->section, c->peer.text);
                l->n_connections--;
                (void)connection_free(c);
        }
        config_unref(old);
}

static void listener_end(Listener *l)
{
        l->io = sd_event_source_disable_unref(l->io);
        l->resume = sd_event_source_disable_unref(l->resume);
        l->fd = fd_close(l->fd);
        l->keeper = KEEPER_NONE;
        free(l->store_name);
        l->store_name = NULL;
}

void listener_close(Listener *l)
{
        const ListenSettings *s = l->settings;

        l->io = sd_event_source_disable_unref(l->io);
        if (l->keeper == KEEPER_UNIT) {
                log_warning("%s: its socket unit goes on listening, and callers are turned away: "
                            "stop that unit, or take the address out of it",
                            s->section);
                if (activation_give_back(l->owner->activation, l->fd))
                        l->fd = -EBADF;
        }
        if (l->keeper != KEEPER_UNIT && l->fd >= 0 && s->address.kind == ADDRESS_UNIX)
                listen_file_remove(&s->address, l->fd);
        if (l->keeper == KEEPER_STORE)
                activation_forget(l->owner->activation, TAKE_PTR(l->store_name));
        listener_end(l);
}

void listener_leave(Listener *l)
{
        l->io = sd_event_source_disable_unref(l->io);
        if (l->fd >= 0 && l->keeper == KEEPER_NONE && l->settings->address.kind == ADDRESS_UNIX)
                listen_file_remove(&l->settings->address, l->fd);
        listener_end(l);
}

Listener *listener_free(Listener *l)
{
        if (!l)
                return NULL;
        list_remove(&l->link);
        listener_leave(l);
        list_foreach_safe (i, &l->connections)
                (void)connection_free(CONTAINER_OF(i, Connection, link));
        config_unref(l->config);
        free(l->problem);
        free(l);
        return NULL;
}
