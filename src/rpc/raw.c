/* SPDX-License-Identifier: MIT */
#include "rpc/raw.h"

#include <errno.h>
#include <string.h>

#include "rpc/frame.h"
#include "rpc/session-internal.h"
#include "rpc/stream-raw.h"

/* The session of a call that is raw and whose caller is there, or NULL. */
static Session *call_raw_session(const Call *call)
{
        return call->session && call->session->raw.call == call ? call->session : NULL;
}

int call_raw_check(Call *call)
{
        Session *s = call->session;

        if (!s->dialect->answer) {
                call_fail(call, REASON_UNSUPPORTED, 0, "%s cannot carry raw calls",
                          s->dialect->name);
                return -EOPNOTSUPP;
        }
        if (call->group) {
                call_fail_params(call, "raw: a call within a batch cannot be raw; ask alone");
                return -EOPNOTSUPP;
        }
        if (call->no_reply) {
                call_fail_protocol(call, RPC_INVALID_REQUEST,
                                   "raw: a notification cannot be raw; give it an id");
                return -EOPNOTSUPP;
        }
        if (stream_raw_is_begun(s->stream)) {
                call_fail(call, REASON_BUSY, 0,
                          "a raw call is running on this connection; open another for this one");
                return -EBUSY;
        }
        if (s->n_calls > 1) {
                call_fail(call, REASON_BUSY, 0,
                          "a raw call must be alone on its connection, and %zu other calls are "
                          "running on this one",
                          s->n_calls - 1);
                return -EBUSY;
        }
        return 0;
}

int call_raw_begin(Call *call, json_object *answer, unsigned channels_in, const RawOwner *owner,
                   void *userdata)
{
        Session *s = call->session;
        const char *json = NULL;
        size_t length = 0;
        int r;

        r = call_raw_check(call);
        if (r < 0) {
                json_object_put(answer);
                return r;
        }
        if (answer)
                json = json_object_to_json_string_length(
                        answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        r = json ? stream_raw_begin(s->stream, channels_in) : -ENOMEM;
        if (r < 0) {
                json_object_put(answer);
                call_fail_protocol(call, RPC_INTERNAL_ERROR, "out of memory");
                return r;
        }
        s->dialect->answer(s, s->dialect_state, call, json, length);
        json_object_put(answer);
        stream_raw_open(s->stream);
        s->raw = (SessionRaw){ .call = call, .owner = owner, .userdata = userdata };
        return 0;
}

void call_raw_resume(Call *call)
{
        Session *s = call_raw_session(call);

        if (s)
                stream_raw_resume(s->stream);
}

bool call_raw_is_input_over(const Call *call)
{
        Session *s = call_raw_session(call);

        return !s || stream_raw_is_input_over(s->stream);
}

char *call_raw_reserve(Call *call, uint8_t channel, size_t n)
{
        Session *s = call_raw_session(call);

        if (!s)
                return NULL;
        s->raw.opened |= 1U << channel;
        return stream_raw_reserve(s->stream, channel, n);
}

void call_raw_commit(Call *call, size_t n)
{
        Session *s = call_raw_session(call);

        if (s)
                stream_raw_commit(s->stream, n);
}

ssize_t call_raw_splice(Call *call, uint8_t channel, int fd, size_t n)
{
        Session *s = call_raw_session(call);

        if (!s)
                return -ENOTCONN;
        s->raw.opened |= 1U << channel;
        return stream_raw_splice(s->stream, channel, fd, n);
}

void call_raw_end(Call *call, uint8_t channel)
{
        Session *s = call_raw_session(call);

        if (!s)
                return;
        s->raw.opened &= ~(1U << channel);
        stream_raw_end(s->stream, channel);
}

void session_raw_finish(Session *s, const Call *call)
{
        if (s->raw.call != call)
                return;
        if (stream_raw_is_lent(s->stream)) {
                /* Its borrower may be in the middle of a frame: nothing can be said any more. */
                stream_break(s->stream, -EPROTO);
                return;
        }
        for (uint8_t channel = 1; channel < FRAME_CHANNELS_MAX; channel++)
                if (s->raw.opened & 1U << channel)
                        stream_raw_end(s->stream, channel);
        s->raw.opened = 0;
}

void session_raw_ended(Session *s, const Call *call)
{
        if (s->raw.call != call)
                return;
        s->raw = (SessionRaw){ 0 };
        stream_raw_close(s->stream);
}

size_t session_on_frame(Stream *stream, uint8_t channel, const char *data, size_t n, void *userdata)
{
        Session *s = userdata;

        return s->raw.owner->data(s->raw.call, channel, data, n, s->raw.userdata);
}

void session_on_frame_end(Stream *stream, uint8_t channel, void *userdata)
{
        Session *s = userdata;

        s->raw.owner->end(s->raw.call, channel, s->raw.userdata);
}

void call_raw_lend(Call *call, RawReadyFunction ready, void *userdata)
{
        Session *s = call_raw_session(call);

        if (!s)
                return;
        s->raw.ready = ready;
        s->raw.ready_userdata = userdata;
        stream_raw_lend(s->stream);
}

bool session_on_lend(Stream *stream, int fd, const char *received, size_t n, void *userdata)
{
        Session *s = userdata;

        /* What was asked on channel 0 is answered before: the borrower may have it for long. The
         * end of each call wakes the stream. */
        if (s->n_calls > 1)
                return false;
        s->raw.ready(s->raw.call, fd, received, n, s->raw.ready_userdata);
        return true;
}

void call_raw_return(Call *call, const char *received, size_t n, uint64_t bytes_received,
                     uint64_t bytes_sent, int error)
{
        Session *s = call_raw_session(call);

        if (!s)
                return;
        stream_raw_return(s->stream, received, n, bytes_received, bytes_sent);
        if (error < 0)
                stream_break(s->stream, error);
}
