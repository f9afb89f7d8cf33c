/* SPDX-License-Identifier: MIT */

/* `handler = rpc`: JSON requests and replies. */
#include "base/log.h"
#include "base/ratelimit.h"
#include "handlers/connection.h"
#include "handlers/events.h"
#include "rpc/session.h"

static void rpc_ended(Session *s, int error, void *userdata)
{
        connection_closed(userdata, error);
}

/* Calls that were refused to callers without privilege, over all ports. */
static RateLimit refused_calls = { .interval = 10U * 1000U * 1000U, .burst = 20 };

/*
 * Who is not privileged can ask as often as he likes, and must not fill the log: whether this may
 * go into it, and how many before it did not (ret_more), for its end.
 */
static bool rpc_may_log_refusal(const Connection *c, char *ret_more, size_t size)
{
        unsigned held_back = 0;
        uint64_t now = 0;

        (void)sd_event_now(c->context->event, CLOCK_MONOTONIC, &now);
        if (!ratelimit_pass(&refused_calls, now, &held_back))
                return false;
        if (held_back > 0)
                (void)snprintf(ret_more, size, " (and %u refused calls before)", held_back);
        return true;
}

/* One record for each: who, what, how it ended, how long it took; never what was asked. */
static void rpc_privileged_call(Session *s, const CallRecord *record, void *userdata)
{
        const Connection *c = userdata;
        LogFields fields = { 0 };
        char more[64] = "";

        if (!c->privileged && !rpc_may_log_refusal(c, more, sizeof(more)))
                return;
        connection_log_fields(c->settings, &c->peer, &fields);
        log_fields_add(&fields, "GUESTWIRE_METHOD", "%s", record->name);
        log_fields_add(&fields, "GUESTWIRE_OUTCOME", "%s", record->outcome);
        log_fields_add(&fields, "GUESTWIRE_DURATION_USEC", "%llu",
                       (unsigned long long)record->duration);
        log_record(LOG_INFO, EVENT_PRIVILEGED_CALL, &fields, "%s: %s called %s: %s after %llu us%s",
                   c->settings->section, c->peer.text, record->name, record->outcome,
                   (unsigned long long)record->duration, more);
}

/* The token itself and what was made of it are never in a record. */
static void rpc_authenticated(Session *s, bool proved, void *userdata)
{
        Connection *c = userdata;
        LogFields fields = { 0 };
        char more[64] = "";

        if (proved) {
                connection_authenticate(c);
                session_set_privileged(s, c->privileged);
        } else if (!rpc_may_log_refusal(c, more, sizeof(more)))
                return;
        connection_log_fields(c->settings, &c->peer, &fields);
        log_fields_add(&fields, "GUESTWIRE_OUTCOME", "%s", proved ? "ok" : "not-privileged");
        log_record(proved ? LOG_INFO : LOG_WARNING, EVENT_AUTHENTICATED, &fields, "%s: %s %s%s",
                   c->settings->section, c->peer.text,
                   proved ? "has proved the token" : "does not know the token", more);
}

static const SessionOwner rpc_owner = {
        .ended = rpc_ended,
        .privileged_call = rpc_privileged_call,
        .authenticated = rpc_authenticated,
};

static SessionSettings rpc_settings(const Connection *c)
{
        const AgentSettings *agent = &c->config->agent;

        return (SessionSettings){
                .max_message = agent->max_message,
                .max_values = agent->max_values,
                .max_calls = agent->max_calls,
                .message_timeout = agent->message_timeout,
                .idle_timeout = c->settings->idle_timeout,
                .policy = {
                        .methods = c->settings->methods,
                        .block_methods = c->settings->block_methods,
                        .privileged = c->privileged,
                },
                .port = c->settings,
        };
}

static int rpc_open(Connection *c, int fd, void **ret_state)
{
        const ConnectionContext *context = c->context;
        SessionSettings settings = rpc_settings(c);
        Session *s;
        int r;

        r = session_new(context->event, fd, &c->peer, context->methods, context->stats, &settings,
                        &rpc_owner, c, &s);
        if (r < 0)
                return r;
        *ret_state = s;
        return 0;
}

static void rpc_changed(Connection *c, void *state)
{
        SessionSettings settings = rpc_settings(c);

        session_set_settings(state, &settings);
        session_set_methods(state, c->context->methods);
}

static void rpc_stop(Connection *c, void *state)
{
        session_stop(state);
}

static void rpc_cancel(Connection *c, void *state)
{
        session_cancel_all(state, CALL_SHUTDOWN);
}

static uint64_t rpc_idle_since(const Connection *c, const void *state)
{
        return session_idle_since(state);
}

static void rpc_close(Connection *c, void *state)
{
        (void)session_free(state);
}

const Handler handler_rpc = {
        .open = rpc_open,
        .changed = rpc_changed,
        .stop = rpc_stop,
        .cancel = rpc_cancel,
        .idle_since = rpc_idle_since,
        .close = rpc_close,
};
