/* SPDX-License-Identifier: MIT */

/* What the holder of a call asks of its session: who else is running, what lives with the
 * connection, and when there is room to write. */
#include <errno.h>
#include <stdlib.h>

#include "rpc/session-internal.h"

/* Something of a method's that lives as long as the connection. */
struct Companion {
        Companion *next;
        const void *key;
        void *value;
        void (*free_value)(void *value);
};

Call *session_find(const Session *s, json_object *id, const Call *except)
{
        list_foreach (i, &s->calls) {
                Call *call = CONTAINER_OF(i, Call, link);
                json_object *other;
                bool same;

                if (call == except || call->no_reply || call->id_length == 0)
                        continue;
                other = json_tokener_parse(call->id);
                same = json_object_equal(other, id);
                json_object_put(other);
                if (same)
                        return call;
        }
        return NULL;
}

Call *call_find(const Call *call, json_object *id)
{
        return call->session ? session_find(call->session, id, call) : NULL;
}

const void *call_port_settings(const Call *call)
{
        return call->session ? call->session->settings.port : NULL;
}

bool call_is_congested(const Call *call)
{
        /* Whoever asks is the one that is told. */
        Call *asking = (Call *)call;

        if (!call->session || !stream_is_full(call->session->stream))
                return false;
        asking->awaits_room = true;
        return true;
}

static Call *session_next_awaiting(Session *s)
{
        list_foreach (i, &s->calls) {
                Call *call = CONTAINER_OF(i, Call, link);

                if (call->awaits_room)
                        return call;
        }
        return NULL;
}

void session_on_writable(Stream *stream, void *userdata)
{
        Session *s = userdata;
        Call *call;

        /* One that fills the output up again is asked later, with those who had no turn yet; and
         * any may end, and take others with it. */
        while (!stream_is_full(stream) && (call = session_next_awaiting(s))) {
                call->awaits_room = false;
                if (call->writable)
                        call->writable(call, call->writable_userdata);
        }
}

static Companion **session_companion(Session *s, const void *key)
{
        Companion **c = &s->companions;

        while (*c && (*c)->key != key)
                c = &(*c)->next;
        return c;
}

void *call_companion(const Call *call, const void *key)
{
        const Companion *c = call->session ? *session_companion(call->session, key) : NULL;

        return c ? c->value : NULL;
}

/* Takes it out of the list. */
static void companion_free(Companion **place)
{
        Companion *c = *place;

        *place = c->next;
        if (c->free_value)
                c->free_value(c->value);
        free(c);
}

int call_set_companion(Call *call, const void *key, void *value, void (*free_value)(void *value))
{
        Companion *c = NULL, **place;

        if (!call->session)
                return value ? -ENOTCONN : 0;
        if (value) {
                c = malloc(sizeof(*c));
                if (!c)
                        return -ENOMEM;
        }
        place = session_companion(call->session, key);
        if (*place)
                companion_free(place);
        if (!value)
                return 0;
        *c = (Companion){
                .next = call->session->companions,
                .key = key,
                .value = value,
                .free_value = free_value,
        };
        call->session->companions = c;
        return 0;
}

void session_free_companions(Session *s)
{
        while (s->companions)
                companion_free(&s->companions);
}
