/* SPDX-License-Identifier: MIT */

/*
 * `handler = exec`: a program for each connection, inetd's way. The connection itself is its
 * standard input and output, so that none of its bytes pass through the daemon; the daemon keeps
 * the descriptor to see when the peer is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "base/text.h"
#include "handlers/connection.h"
#include "handlers/events.h"
#include "proc/environment.h"
#include "proc/lines.h"
#include "proc/properties.h"

/* How often a peer that has ended its input is asked if it is there. */
#define PROBE_USEC UINT64_C(1000000)
/* What a peer gets to read what the program wrote last, and to end its own sending. */
#define DRAIN_USEC UINT64_C(1000000)
#define TIMER_ACCURACY_USEC UINT64_C(10000)
/* Bytes that are thrown away in one turn. */
#define DRAIN_READS 16U

typedef struct Exec Exec;

struct Exec {
        ListLink link; /* in instances, while the program runs */
        Connection *connection;
        int fd;
        sd_event_source *io;
        sd_event_source *timer;
        Spawn *spawn; /* NULL once it has ended */
        Lines *lines;
        char *program; /* its path, for the log: the configuration may change meanwhile */
        uint64_t timeout_at;
        uint64_t probe_at; /* UINT64_MAX: the peer has not ended its input */
        uint64_t drain_until;
        uint64_t ended_at; /* 0: it runs */
        const char *why;   /* it is being ended; NULL: it is not */
};

/* All programs of all ports: `max-instances` is per port. */
static ListLink instances = LIST_INIT(instances);
static RateLimit full_limit = { .interval = 10U * 1000U * 1000U, .burst = 20 };

static uint64_t exec_now(const Exec *e)
{
        uint64_t now = 0;

        (void)sd_event_now(e->connection->context->event, CLOCK_MONOTONIC, &now);
        return now;
}

static uint64_t after(uint64_t now, uint64_t usec)
{
        return usec > UINT64_MAX - now ? UINT64_MAX : now + usec;
}

static size_t count_instances(const char *section)
{
        size_t n = 0;

        list_foreach (i, &instances)
                n += strcmp(CONTAINER_OF(i, Exec, link)->connection->settings->section, section) ==
                     0;
        return n;
}

static Exec *exec_free(Exec *e)
{
        if (!e)
                return NULL;
        list_remove(&e->link);
        sd_event_source_disable_unref(e->io);
        sd_event_source_disable_unref(e->timer);
        (void)spawn_free(e->spawn);
        (void)lines_release(e->lines);
        fd_close(e->fd);
        free(e->program);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Exec, exec_free)

static void exec_arm_timer(Exec *e)
{
        uint64_t at = e->ended_at > 0 ? e->drain_until : MIN_OF(e->probe_at, e->timeout_at);
        int r;

        r = sd_event_source_set_time(e->timer, at);
        if (r >= 0)
                r = sd_event_source_set_enabled(e->timer,
                                                at == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("%s: %s: cannot set a timer: %s", e->connection->settings->section,
                          e->connection->peer.text, strerror(-r));
}

/* Ends the whole tree. The connection lasts as long as the program does: it is an instance. */
static void exec_stop_program(Exec *e, const char *why)
{
        if (!e->spawn || e->why)
                return;
        e->why = why;
        e->probe_at = e->timeout_at = UINT64_MAX;
        exec_arm_timer(e);
        spawn_stop(e->spawn);
}

/*
 * A peer that has closed both ways looks like one that has only ended its input, on vsock above
 * all. Sending nothing tells them apart: EPIPE.
 */
static void exec_probe(Exec *e)
{
        if (send(e->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
            errno != EINTR)
                exec_stop_program(e, "the peer has gone");
}

static void exec_log_end(const Exec *e, const SpawnEnd *end)
{
        const Connection *c = e->connection;
        const char *because = e->why ? e->why : "", *comma = e->why ? ", since " : "";
        LogFields fields = { 0 };
        char outcome[64];

        switch (end->outcome) {
        case SPAWN_FAILED:
                (void)snprintf(outcome, sizeof(outcome), "not started");
                break;
        case SPAWN_EXITED:
                (void)snprintf(outcome, sizeof(outcome), "exit status %d", end->status);
                break;
        case SPAWN_SIGNALED:
                (void)snprintf(outcome, sizeof(outcome), "signal %d", end->status);
                break;
        }
        connection_log_fields(c->settings, &c->peer, &fields);
        log_fields_add(&fields, "GUESTWIRE_PROGRAM", "%s", e->program);
        log_fields_add(&fields, "GUESTWIRE_OUTCOME", "%s", outcome);
        log_fields_add(&fields, "GUESTWIRE_DURATION_USEC", "%llu",
                       (unsigned long long)end->duration);
        if (end->outcome == SPAWN_FAILED)
                log_record(LOG_ERR, EVENT_PROGRAM, &fields, "%s: %s: %s", c->settings->section,
                           c->peer.text, end->problem ?: strerror(end->error));
        else
                log_record(LOG_INFO, EVENT_PROGRAM, &fields, "%s: %s ran %s: %s after %llu us%s%s",
                           c->settings->section, c->peer.text, e->program, outcome,
                           (unsigned long long)end->duration, comma, because);
}

/*
 * Reads what the peer still sends, and forgets it: a socket that is closed with unread input
 * resets the connection, and with it what the program wrote last. May free e.
 */
static void exec_drain(Exec *e)
{
        static char scratch[64 * 1024];
        ssize_t n = 1;

        for (unsigned i = 0; i < DRAIN_READS && n > 0; i++)
                do
                        n = recv(e->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
                while (n < 0 && errno == EINTR);
        if (n > 0 || (n < 0 && errno == EAGAIN))
                return;
        connection_closed(e->connection, n < 0 ? -errno : 0);
}

/* No program, or none any more: the peer is told that nothing follows. */
static int exec_begin_drain(Exec *e)
{
        e->ended_at = exec_now(e);
        e->drain_until = e->ended_at + DRAIN_USEC;
        exec_arm_timer(e);
        if (shutdown(e->fd, SHUT_WR) < 0)
                return -errno;
        /* Level by level: what one turn leaves is for the next. */
        return sd_event_source_set_io_events(e->io, EPOLLIN | EPOLLRDHUP);
}

static void exec_on_end(Spawn *p, const SpawnEnd *end, void *userdata)
{
        Exec *e = userdata;
        int r;

        exec_log_end(e, end);
        e->spawn = spawn_free(p);
        list_remove(&e->link);
        r = exec_begin_drain(e);
        if (r < 0)
                connection_closed(e->connection, r == -ENOTCONN ? 0 : r);
        else
                exec_drain(e);
}

static int exec_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Exec *e = userdata;

        if (!e->spawn) {
                exec_drain(e);
                return 0;
        }
        if (revents & (EPOLLERR | EPOLLHUP)) {
                exec_stop_program(e, "the peer has gone");
        } else if (revents & EPOLLRDHUP && !e->why) {
                e->probe_at = after(exec_now(e), PROBE_USEC);
                exec_arm_timer(e);
                exec_probe(e);
        }
        return 0;
}

static int exec_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Exec *e = userdata;
        uint64_t now = exec_now(e);

        if (!e->spawn) {
                connection_closed(e->connection, -ETIMEDOUT);
                return 0;
        }
        if (now >= e->timeout_at) {
                log_warning("%s: %s: %s is ended: it has run for as long as timeout allows",
                            e->connection->settings->section, e->connection->peer.text, e->program);
                exec_stop_program(e, "timeout is over");
                return 0;
        }
        if (now >= e->probe_at) {
                e->probe_at = after(now, PROBE_USEC);
                exec_probe(e);
        }
        exec_arm_timer(e);
        return 0;
}

/* "port-22", "listen-admin": how its programs are named among others. NULL without memory. */
static char *exec_identity(const ListenSettings *settings)
{
        char *identity = strdup(settings->section),
             *space = identity ? strchr(identity, ' ') : NULL;

        if (space)
                *space = '-';
        return identity;
}

static int exec_start_program(Exec *e)
{
        const Connection *c = e->connection;
        const ProgramSettings *program = &c->settings->program;
        _cleanup_text_list_ char **environment = NULL, **extra = NULL, **properties = NULL;
        _cleanup_close_ int errors = -EBADF;
        _cleanup_free_ char *prefix = NULL, *identity = NULL;
        LogFields fields = { 0 };
        SpawnSettings settings;
        int r;

        r = environment_add_peer(&extra, &c->peer);
        if (r >= 0)
                r = properties_new(c->context->spawner, program->scope, &c->config->agent, program,
                                   &properties);
        if (r < 0)
                return r;
        identity = exec_identity(c->settings);
        environment = environment_new(program, (const char *const *)extra);
        prefix = text_format("%s: %s: %s", c->settings->section, c->peer.text, e->program);
        if (!identity || !environment || !prefix)
                return -ENOMEM;
        connection_log_fields(c->settings, &c->peer, &fields);
        log_fields_add(&fields, "GUESTWIRE_PROGRAM", "%s", e->program);
        r = lines_new(c->context->event, prefix, &fields, &e->lines, &errors);
        if (r < 0)
                return r;
        settings = (SpawnSettings){
                .argv = program->command,
                .environment = environment,
                .directory = program->directory,
                .change_user = program->has_user,
                .uid = program->uid,
                .gid = program->gid,
                .groups = program->groups,
                .n_groups = program->n_groups,
                .fds = { e->fd, e->fd, errors },
                .kill_timeout = program->kill_timeout,
                .scope = program->scope,
                .limits = properties_limits(program),
                .identity = identity,
                .properties = properties,
        };
        return spawn_start(c->context->spawner, &settings, exec_on_end, e, &e->spawn);
}

/* Whether the port has room for one more program. */
static bool exec_has_room(const Connection *c)
{
        LogFields fields = { 0 };
        unsigned held_back = 0;
        uint64_t now = 0;

        if (count_instances(c->settings->section) < c->settings->program.max_instances)
                return true;
        (void)sd_event_now(c->context->event, CLOCK_MONOTONIC, &now);
        if (!ratelimit_pass(&full_limit, now, &held_back))
                return false;
        connection_log_fields(c->settings, &c->peer, &fields);
        log_record(LOG_WARNING, EVENT_FULL, &fields,
                   "%s: %s was turned away: max-instances programs are running (%u more before)",
                   c->settings->section, c->peer.text, held_back);
        return false;
}

static int exec_open(Connection *c, int fd, void **ret_state)
{
        _cleanup_(exec_freep) Exec *e = NULL;
        sd_event *event = c->context->event;
        int flags, r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        list_init(&e->link);
        e->connection = c;
        e->fd = -EBADF;
        e->probe_at = UINT64_MAX;
        e->timeout_at = after(exec_now(e), c->settings->program.timeout);
        e->program = strdup(c->settings->program.command[0]);
        if (!e->program)
                return -ENOMEM;
        /* The program expects it to block, and shares this with us: we say MSG_DONTWAIT. */
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &e->io, fd, EPOLLRDHUP | EPOLLET, exec_on_io, e);
        if (r >= 0)
                r = sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, UINT64_MAX,
                                      TIMER_ACCURACY_USEC, exec_on_timer, e);
        if (r < 0)
                return r;
        e->fd = fd;
        if (exec_has_room(c)) {
                r = exec_start_program(e);
                list_append(&instances, &e->link);
                exec_arm_timer(e);
        } else {
                r = exec_begin_drain(e);
        }
        if (r < 0) {
                e->fd = -EBADF; /* the caller's still */
                return r;
        }
        *ret_state = TAKE_PTR(e);
        return 0;
}

static void exec_changed(Connection *c, void *state)
{
        /* A program goes on as it was begun. */
}

static void exec_stop(Connection *c, void *state)
{
        /* It may end by itself. */
}

static void exec_cancel(Connection *c, void *state)
{
        exec_stop_program(state, "the agent ends");
}

static uint64_t exec_idle_since(const Connection *c, const void *state)
{
        const Exec *e = state;

        return e->ended_at > 0 ? e->ended_at : UINT64_MAX;
}

static void exec_close(Connection *c, void *state)
{
        (void)exec_free(state);
}

const Handler handler_exec = {
        .guards_connection = true,
        .open = exec_open,
        .changed = exec_changed,
        .stop = exec_stop,
        .cancel = exec_cancel,
        .idle_since = exec_idle_since,
        .close = exec_close,
};
