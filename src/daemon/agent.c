/* SPDX-License-Identifier: MIT */
#include "daemon/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/idle.h"
#include "daemon/status.h"
#include "handlers/events.h"
#include "io/vsock.h"
#include "methods/exec.h"

/* How long until a socket that could not be had is tried again. */
#define RETRY_USEC (3U * 1000U * 1000U)
/* What cancelled calls get, once shutdown-timeout is over, to send their last words. */
#define STOP_GRACE_USEC (250U * 1000U)
/* How long who had just come, and said nothing yet, has for that when the agent stops: he would
 * have been in the queue for the next one, had he come a moment later. */
#define NEWCOMER_USEC (1000U * 1000U)

static void agent_set_log_level(Agent *a)
{
        log_set_level(a->log_level >= 0 ? a->log_level : a->config->agent.log_level);
}

/*
 * A kernel with vsock and without a transport lets us listen where nobody can reach us. Such a
 * socket begins to work by itself when the transport's module comes, but till then it is said.
 */
static bool agent_lacks_transport(const Agent *a)
{
        list_foreach (i, &a->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->fd >= 0 && l->settings->address.kind == ADDRESS_VSOCK)
                        return vsock_transports() == 0;
        }
        return false;
}

static int agent_on_retry(sd_event_source *source, uint64_t usec, void *userdata);

static int agent_arm(Agent *a, sd_event_source **source, uint64_t delay,
                     sd_event_time_handler_t handler)
{
        int r;

        if (!*source)
                return sd_event_add_time_relative(a->event, source, CLOCK_MONOTONIC, delay, 0,
                                                  handler, a);
        r = sd_event_source_set_time_relative(*source, delay);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

/* Opens what can be opened, and leaves a copy with the service manager. What cannot is tried again
 * later: a module may arrive late in boot. */
static void agent_listen(Agent *a)
{
        bool all = activation_flush(a->activation), lacking;

        activation_begin(a->activation);
        list_foreach (i, &a->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (listener_open(l) < 0 || listener_store(l) < 0)
                        all = false;
        }

        lacking = agent_lacks_transport(a);
        if (lacking && !a->no_transport)
                log_record(LOG_WARNING, EVENT_LISTEN_FAILED, NULL,
                           "vsock has no transport yet, nobody can call: modprobe "
                           "vmw_vsock_virtio_transport (QEMU, Firecracker, Cloud Hypervisor), "
                           "hv_sock (Hyper-V) or vsock_loopback");
        else if (!lacking && a->no_transport)
                log_record(LOG_INFO, EVENT_LISTENING, NULL, "vsock has a transport now");
        a->no_transport = lacking;

        if ((!all || lacking) && agent_arm(a, &a->retry, RETRY_USEC, agent_on_retry) < 0)
                log_error("cannot arm the timer that tries again to listen");
        status_changed(a);
}

static int agent_on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        if (!a->stopping) {
                agent_listen(a);
                idle_configure(a);
        }
        return 0;
}

static Listener *agent_find_listener(Agent *a, const Address *address)
{
        list_foreach (i, &a->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (address_equal(&l->settings->address, address))
                        return l;
        }
        return NULL;
}

static void agent_release_local(void *owner)
{
        (void)local_methods_unref(owner);
}

/* The built-in rows and those of the configuration, as a set that lives until the last call that
 * uses them has ended. */
static int agent_make_methods(Agent *a, const Config *config, MethodSet **ret,
                              LocalMethods **ret_local)
{
        static const Method *const tables[] = { agent_methods,    authenticate_methods,
                                                exec_methods,     file_methods,
                                                system_methods,   network_methods,
                                                power_methods,    clock_methods,
                                                hostname_methods, rpc_methods };
        _cleanup_(method_set_unrefp) MethodSet *methods = NULL;
        const Method *table;
        LocalMethods *local;
        int r;

        r = method_set_new(&a->context, &methods);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(tables); i++) {
                r = method_set_add(methods, tables[i]);
                if (r < 0)
                        return r;
        }
        r = local_methods_new(&a->context, config, a->local, &local, &table);
        if (r < 0)
                return r;
        method_set_set_owner(methods, agent_release_local, local);
        r = method_set_add(methods, table);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(methods);
        *ret_local = local;
        return 0;
}

/*
 * Makes the listeners those of config: what stays is never closed, whatever its section is
 * called now. Those that go stop accepting, and their conversations are finished.
 */
static int agent_apply(Agent *a, Config *config)
{
        _cleanup_(method_set_unrefp) MethodSet *methods = NULL, *old = NULL;
        ListLink kept = LIST_INIT(kept);
        LocalMethods *local;
        int r;

        r = agent_make_methods(a, config, &methods, &local);
        if (r < 0)
                return r;
        old = a->methods;
        a->methods = TAKE_PTR(methods);
        a->local = local;
        a->context.methods = a->methods;
        a->connection_context.methods = a->methods;

        for (size_t i = 0; i < config->n_listens && r >= 0; i++) {
                const ListenSettings *settings = config->listens[i];
                Listener *l = agent_find_listener(a, &settings->address);

                if (l) {
                        list_remove(&l->link);
                        listener_change(l, config, settings);
                } else {
                        r = listener_new(&a->listener_owner, config, settings, &l);
                        if (r < 0)
                                break;
                }
                list_append(&kept, &l->link);
        }
        /* Without memory the old listeners stay beside those that were made. */
        list_foreach_safe (i, &a->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                list_remove(&l->link);
                if (r < 0) {
                        list_append(&kept, &l->link);
                        continue;
                }
                log_info("%s: no longer listening", l->settings->section);
                listener_close(l);
                list_foreach (j, &l->connections)
                        connection_orphan(CONTAINER_OF(j, Connection, link));
                if (l->n_connections > 0)
                        list_append(&a->orphans, &l->link);
                else
                        (void)listener_free(l);
        }
        list_foreach_safe (i, &kept) {
                list_remove(i);
                list_append(&a->listeners, i);
        }
        if (r < 0)
                return r;

        config_ref(config);
        if (a->config != config)
                config_forget_token(a->config);
        config_unref(a->config);
        a->config = config;
        a->context.config = config;
        agent_set_log_level(a);
        if (config_lacks_token(config))
                log_warning("[%s] trusts who proves the token, but there is none: set token-file "
                            "or pass the credential guestwire.token",
                            config_lacks_token(config));
        return 0;
}

/*
 * Reads the configuration anew and applies it. 0; -EINVAL with *errors filled and logged, and
 * the old one stays in force; -ECANCELED where the agent is stopping; -errno.
 */
static int agent_reload(Agent *a, ConfigErrors *errors)
{
        _cleanup_config_ Config *config = NULL;
        int r;

        /* A call may still ask for it, and would open again what is closed for good. */
        if (a->stopping)
                return -ECANCELED;

        status_reloading(a);
        r = config_load(a->config_file, &config, errors);
        if (r >= 0)
                r = config_load_token(config, errors);
        if (r >= 0)
                r = agent_apply(a, config);
        if (r < 0) {
                for (size_t i = 0; errors->list && errors->list[i]; i++)
                        log_error("%s", errors->list[i]);
                log_record(LOG_ERR, EVENT_RELOAD_FAILED, NULL,
                           "the configuration was not reloaded, the old one stays in force: %s",
                           r == -EINVAL ? "see the errors above" : strerror(-r));
        } else {
                agent_listen(a);
                activation_refuse_rest(a->activation);
                idle_configure(a);
                log_record(LOG_INFO, EVENT_RELOADED, NULL, "configuration reloaded");
        }
        status_ready(a);
        return r;
}

static void agent_on_exec_idle(void *userdata)
{
        idle_changed(userdata);
}

static int agent_reload_for_method(void *userdata, ConfigErrors *errors)
{
        return agent_reload(userdata, errors);
}

static int agent_on_sighup(sd_event_source *source, const struct signalfd_siginfo *si,
                           void *userdata)
{
        ConfigErrors errors = { 0 };
        Agent *a = userdata;

        (void)agent_reload(a, &errors);
        config_errors_done(&errors);
        return 0;
}

static void agent_each_connection(Agent *a, void (*f)(Connection *))
{
        ListLink *const lists[] = { &a->listeners, &a->orphans };

        for (size_t k = 0; k < ELEMENTSOF(lists); k++)
                list_foreach (i, lists[k]) {
                        Listener *l = CONTAINER_OF(i, Listener, link);

                        list_foreach_safe (j, &l->connections)
                                f(CONTAINER_OF(j, Connection, link));
                }
}

static void agent_stop_connection(Connection *c)
{
        uint64_t now = 0;

        (void)sd_event_now(c->context->event, CLOCK_MONOTONIC, &now);
        if (connection_idle_since(c) > c->accepted || now - c->accepted >= NEWCOMER_USEC)
                connection_stop(c);
}

static int agent_on_newcomers_end(sd_event_source *source, uint64_t usec, void *userdata)
{
        agent_each_connection(userdata, connection_stop);
        return 0;
}

static int agent_on_stop_end(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        return sd_event_exit(a->event, 0);
}

static int agent_on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        log_warning("%llu connections (%llu calls running) were left after shutdown-timeout and "
                    "are ended",
                    (unsigned long long)a->stats.connections_current,
                    (unsigned long long)a->stats.calls_running);
        agent_each_connection(a, connection_cancel);
        a->stop_timer = sd_event_source_disable_unref(a->stop_timer);
        if (agent_arm(a, &a->stop_timer, STOP_GRACE_USEC, agent_on_stop_end) < 0)
                return sd_event_exit(a->event, 0);
        return 0;
}

/* Whether nothing is left that could still be done. */
static bool agent_is_done(const Agent *a)
{
        return a->stats.connections_current == 0 && exec_count(a->context.exec) == 0;
}

static void agent_on_programs_stopped(void *userdata)
{
        Agent *a = userdata;

        if (agent_is_done(a))
                (void)sd_event_exit(a->event, 0);
}

void agent_stop(Agent *a)
{
        uint64_t timeout = a->config->agent.shutdown_timeout;

        if (a->stopping) {
                (void)sd_event_exit(a->event, 0);
                return;
        }
        a->stopping = true;
        status_stopping(a);
        list_foreach (i, &a->listeners)
                listener_leave(CONTAINER_OF(i, Listener, link));
        agent_each_connection(a, agent_stop_connection);
        if (agent_arm(a, &a->newcomer_timer, NEWCOMER_USEC, agent_on_newcomers_end) < 0)
                agent_each_connection(a, connection_stop);
        /* Jobs end with us; calls may end by themselves. */
        exec_stop(a->context.exec, agent_on_programs_stopped, a);
        if (agent_is_done(a) || (timeout != TEXT_INFINITY &&
                                 agent_arm(a, &a->stop_timer, timeout, agent_on_stop_timeout) < 0))
                (void)sd_event_exit(a->event, 0);
}

static int agent_on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *si,
                                void *userdata)
{
        agent_stop(userdata);
        return 0;
}

/* Listeners that are gone are freed once their last connection is, and not from within it. */
static int agent_on_sweep(sd_event_source *source, void *userdata)
{
        Agent *a = userdata;

        list_foreach_safe (i, &a->orphans) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->n_connections == 0)
                        (void)listener_free(l);
        }
        return 0;
}

static void agent_on_changed(void *userdata)
{
        Agent *a = userdata;

        if (a->stopping && agent_is_done(a))
                (void)sd_event_exit(a->event, 0);
        if (!list_is_empty(&a->orphans))
                (void)sd_event_source_set_enabled(a->sweep, SD_EVENT_ONESHOT);
        idle_changed(a);
        status_changed(a);
}

/* What all ports share is used up: the longest idle unprivileged one of all of them goes. */
static bool agent_make_room(void *userdata)
{
        ListLink *lists[2];
        Agent *a = userdata;
        Connection *found = NULL;
        uint64_t oldest = UINT64_MAX;

        lists[0] = &a->listeners;
        lists[1] = &a->orphans;
        for (size_t k = 0; k < ELEMENTSOF(lists); k++)
                list_foreach (i, lists[k]) {
                        uint64_t since = UINT64_MAX;
                        Connection *c;

                        c = listener_longest_idle(CONTAINER_OF(i, Listener, link), &since);
                        if (c && since < oldest) {
                                found = c;
                                oldest = since;
                        }
                }
        if (!found)
                return false;
        listener_evict_connection(found);
        return true;
}

static int agent_add_events(Agent *a)
{
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = {
                { SIGTERM, agent_on_stop_signal },
                { SIGINT, agent_on_stop_signal },
                { SIGHUP, agent_on_sighup },
        };
        sigset_t set;
        int r;

        (void)sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void)sigaddset(&set, signals[i].signal);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(a->event, NULL, signals[i].signal, signals[i].handler, a);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_defer(a->event, &a->sweep, agent_on_sweep, a);
        if (r < 0)
                return r;
        /* All timers share one descriptor, made for the first: when callers have taken the last
         * one it is too late. */
        r = sd_event_add_time(a->event, &a->retry, CLOCK_MONOTONIC, UINT64_MAX, 0, agent_on_retry,
                              a);
        if (r < 0)
                return r;
        /* WATCHDOG=1 in time, from within the loop, where $WATCHDOG_USEC asks for it. */
        return sd_event_set_watchdog(a->event, true);
}

int agent_new(const char *config_file, int log_level, Config *config, Agent **ret)
{
        _cleanup_(agent_freep) Agent *a = NULL;
        int r;

        a = malloc(sizeof(*a));
        if (!a)
                return -ENOMEM;
        *a = (Agent){
                .config_file = config_file,
                .log_level = log_level,
                .config = config_ref(config),
                .spare_fd = -EBADF,
        };
        list_init(&a->listeners);
        list_init(&a->orphans);

        r = sd_event_default(&a->event);
        if (r < 0)
                return r;
        r = activation_new(a->event, &a->activation);
        if (r < 0)
                return r;
        r = agent_add_events(a);
        if (r < 0)
                return r;
        a->context = (AgentContext){
                .event = a->event,
                .config = config,
                .stats = &a->stats,
                .reload = agent_reload_for_method,
                .exec_idle = agent_on_exec_idle,
                .agent = a,
        };
        r = sd_event_now(a->event, CLOCK_MONOTONIC, &a->context.started);
        if (r < 0)
                return r;
        r = spawner_new(a->event, &a->spawner);
        if (r < 0)
                return r;
        a->context.spawner = a->spawner;
        r = exec_new(&a->context, &a->context.exec);
        if (r < 0)
                return r;
        a->connection_context = (ConnectionContext){
                .event = a->event,
                .stats = &a->stats,
                .spawner = a->spawner,
        };
        a->listener_owner = (ListenerOwner){
                .make_room = agent_make_room,
                .changed = agent_on_changed,
                .spare_fd = &a->spare_fd,
                .context = &a->connection_context,
                .activation = a->activation,
                .userdata = a,
        };
        a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (a->spare_fd < 0)
                return -errno;
        r = agent_apply(a, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

int agent_run(Agent *a)
{
        int r;

        agent_listen(a);
        activation_refuse_rest(a->activation);
        idle_configure(a);
        status_ready(a);
        log_record(LOG_INFO, EVENT_STARTED, NULL, "guestwired %s started", PACKAGE_VERSION);
        r = sd_event_loop(a->event);
        log_record(LOG_INFO, EVENT_STOPPED, NULL, "guestwired stopped");
        return r;
}

Agent *agent_free(Agent *a)
{
        if (!a)
                return NULL;
        list_foreach_safe (i, &a->listeners)
                (void)listener_free(CONTAINER_OF(i, Listener, link));
        list_foreach_safe (i, &a->orphans)
                (void)listener_free(CONTAINER_OF(i, Listener, link));
        sd_event_source_disable_unref(a->retry);
        sd_event_source_disable_unref(a->stop_timer);
        sd_event_source_disable_unref(a->newcomer_timer);
        sd_event_source_disable_unref(a->sweep);
        /* Programs and jobs that end with us would begin its time anew. */
        a->idle_timer = sd_event_source_disable_unref(a->idle_timer);
        free(a->idle_obstacle);
        sd_event_source_disable_unref(a->status_timer);
        free(a->status_sent);
        (void)method_set_unref(a->methods);
        (void)exec_free(a->context.exec);
        (void)spawner_free(a->spawner);
        config_unref(a->config);
        (void)activation_free(a->activation);
        fd_close(a->spare_fd);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}
