/* SPDX-License-Identifier: MIT */
#include "tests/lib/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/facts.h"
#include "rpc/dialect.h"

static char all[] = "*";
static char *every[] = { all, NULL };
static char *nothing[] = { NULL };

static void world_on_ended(Session *s, int error, void *userdata)
{
        World *w = userdata;

        w->session = session_free(s);
        w->ended = true;
}

static void world_on_privileged(Session *s, const CallRecord *record, void *userdata)
{
        World *w = userdata;

        assert_non_null(record->name);
        w->privileged_calls++;
}

static void world_on_authenticated(Session *s, bool proved, void *userdata)
{
        World *w = userdata;

        w->proofs[proved]++;
        if (proved)
                session_set_privileged(s, true);
}

static const SessionOwner world_owner = {
        .ended = world_on_ended,
        .privileged_call = world_on_privileged,
        .authenticated = world_on_authenticated,
};

static int world_reload(void *agent, ConfigErrors *errors)
{
        World *w = agent;

        w->reloads++;
        if (w->reload_closes)
                w->session = session_free(w->session);
        for (size_t i = 0; i < ELEMENTSOF(w->reload_errors) && w->reload_errors[i]; i++)
                assert_int_equal(text_list_take(&errors->list, strdup(w->reload_errors[i])), 0);
        return w->reload_result;
}

static void world_connect(World *w, const Peer *peer, bool privileged)
{
        const SessionSettings settings = {
                .max_message = 1024 * 1024,
                .max_values = 16384,
                .max_calls = 64,
                .message_timeout = TEXT_INFINITY,
                .policy = { .methods = every, .block_methods = nothing, .privileged = privileged },
        };
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        w->caller = fds[1];
        assert_int_equal(session_new(w->event, fds[0], peer, w->methods, &w->stats, &settings,
                                     &world_owner, w, &w->session),
                         0);
}

World *world_new(const Peer *peer, bool privileged)
{
        World *w = calloc(1, sizeof *w);

        assert_non_null(w);
        w->caller = -EBADF;
        assert_int_equal(sd_event_new(&w->event), 0);
        w->context = (AgentContext){ .event = w->event,
                                     .config = &w->config,
                                     .stats = &w->stats,
                                     .started = facts_now(CLOCK_MONOTONIC) - 3 * SECOND,
                                     .reload = world_reload,
                                     .agent = w };
        assert_int_equal(method_set_new(&w->context, &w->methods), 0);
        assert_int_equal(method_set_add(w->methods, agent_methods), 0);
        assert_int_equal(method_set_add(w->methods, authenticate_methods), 0);
        assert_int_equal(method_set_add(w->methods, system_methods), 0);
        assert_int_equal(method_set_add(w->methods, network_methods), 0);
        assert_int_equal(method_set_add(w->methods, power_methods), 0);
        assert_int_equal(method_set_add(w->methods, clock_methods), 0);
        assert_int_equal(method_set_add(w->methods, hostname_methods), 0);
        assert_int_equal(method_set_add(w->methods, rpc_methods), 0);
        w->context.methods = w->methods;
        world_connect(w, peer, privileged);
        return w;
}

World *world_free(World *w)
{
        w->session = session_free(w->session);
        fd_close(w->caller);
        sd_event_unref(w->event);
        method_set_unref(w->methods);
        free(w);
        return NULL;
}

const Peer root_peer = { .kind = PEER_UNIX, .text = "unix:uid=0,pid=1" };
const Peer vsock_peer = { .kind = PEER_VSOCK, .cid = 2, .port = 1023, .text = "vsock:2:1023" };

void world_set_port(World *w, const ListenSettings *port)
{
        SessionSettings settings = *session_settings(w->session);

        settings.port = port;
        session_set_settings(w->session, &settings);
}

void world_send(World *w, const char *text)
{
        assert_int_equal(send(w->caller, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

const char *world_receive(World *w)
{
        char *newline;

        w->input_size -= w->line_size;
        memmove(w->input, w->input + w->line_size, w->input_size);
        while (!(newline = memchr(w->input, '\n', w->input_size))) {
                size_t room = sizeof w->input - w->input_size;
                ssize_t n;

                assert_true(room > 0);
                n = recv(w->caller, w->input + w->input_size, room, 0);
                if (n > 0) {
                        w->input_size += (size_t)n;
                        continue;
                }
                if (n == 0)
                        fail_msg("the connection was closed after \"%.*s\"", (int)w->input_size,
                                 w->input);
                assert_int_equal(errno, EAGAIN);
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        }
        *newline = '\0';
        w->line_size = (size_t)(newline - w->input) + 1;
        return w->input;
}

void world_settle(World *w)
{
        while (sd_event_run(w->event, 0) > 0)
                ;
}

json_object *world_call(World *w, const char *method)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ json_object *reply = NULL;

        text = text_format("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n", method);
        world_send(w, text);
        reply = json_tokener_parse(world_receive(w));
        assert_non_null(reply);
        return json_object_get(member(reply, "result"));
}

const char *member_text(json_object *o, const char *key)
{
        json_object *value = NULL;

        if (!json_object_object_get_ex(o, key, &value))
                fail_msg("%s is missing in %s", key, json_object_to_json_string(o));
        return value ? json_object_get_string(value) : NULL;
}

json_object *member(json_object *o, const char *key)
{
        json_object *value = NULL;

        if (!json_object_object_get_ex(o, key, &value))
                fail_msg("%s is missing in %s", key, json_object_to_json_string(o));
        return value;
}

uint64_t member_unsigned(json_object *o, const char *key)
{
        json_object *value = member(o, key);

        assert_true(json_object_is_type(value, json_type_int));
        return json_object_get_uint64(value);
}

static const Method *method_of(const World *w, const char *name)
{
        const Method *m = method_set_find(w->methods, name, strlen(name));

        assert_non_null(m);
        return m;
}

void assert_as_declared(const World *w, const char *method, json_object *result)
{
        _cleanup_free_ char *problem = NULL;

        if (params_check(method_of(w, method)->result, result, &problem) < 0)
                fail_msg("%s: %s", method, problem);
}
