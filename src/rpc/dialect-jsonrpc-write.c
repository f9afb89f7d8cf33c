/* SPDX-License-Identifier: MIT */
#include "rpc/dialect-jsonrpc.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "rpc/frame.h"
#include "rpc/stream-raw.h"

/* Room for a reply of n bytes: in the batch, or straight in the stream and with its newline. */
static char *reply_reserve(Session *s, Buffer *batch, size_t n)
{
        char *p;

        if (!batch)
                return stream_reserve(session_stream(s), n + 1);
        p = buffer_reserve(batch, n + 1);
        if (!p) {
                stream_break(session_stream(s), -ENOMEM);
                return NULL;
        }
        *p = batch->size == 0 ? '[' : ',';
        return p + 1;
}

static void reply_commit(Session *s, Buffer *batch, char *end, size_t n)
{
        if (batch) {
                buffer_commit(batch, n + 1);
                return;
        }
        *end = '\n';
        stream_commit(session_stream(s), n + 1);
}

static char *put(char *p, const char *data, size_t n)
{
        memcpy(p, data, n);
        return p + n;
}

#define PUT_LITERAL(p, literal) put((p), "" literal, sizeof(literal) - 1)
#define RESULT_BEGIN "{\"jsonrpc\":\"2.0\",\"result\":"
#define ERROR_BEGIN "{\"jsonrpc\":\"2.0\",\"error\":"
#define ID_BEGIN ",\"id\":"
/* What a reply has to say even where its own words do not fit. */
#define TOO_LONG                                                                               \
        "{\"code\":-32000,\"message\":\"the reply is longer than a frame, 1 MiB: ask outside " \
        "of a raw call\",\"data\":{\"reason\":\"limit\"}}"

static inline void write_reply(Session *s, Buffer *batch, const char *begin, size_t begin_length,
                               const char *id, size_t id_length, const char *json, size_t length)
{
        size_t n = begin_length + length + sizeof(ID_BEGIN) - 1 + id_length + 1;
        char *p;

        p = reply_reserve(s, batch, n);
        if (!p)
                return;
        p = put(p, begin, begin_length);
        p = put(p, json, length);
        p = PUT_LITERAL(p, ID_BEGIN);
        p = put(p, id, id_length);
        p = PUT_LITERAL(p, "}");
        reply_commit(s, batch, p, n);
}

static void write_too_long(Session *s, const char *id, size_t id_length)
{
        bool named = id_length < FRAME_PAYLOAD_MAX / 2;

        session_stats(s)->errors_reason[REASON_LIMIT]++;
        write_reply(s, NULL, ERROR_BEGIN, sizeof(ERROR_BEGIN) - 1, named ? id : "null",
                    named ? id_length : 4, TOO_LONG, sizeof(TOO_LONG) - 1);
}

/* Whether a text of n bytes with its newline can be carried. Only frames have an end to that. */
static bool reply_fits(Session *s, size_t n)
{
        return n < FRAME_PAYLOAD_MAX || !stream_is_raw(session_stream(s));
}

void jsonrpc_write_result(Session *s, Buffer *batch, const char *id, size_t id_length,
                          const char *json, size_t length)
{
        if (!batch && !reply_fits(s, sizeof(RESULT_BEGIN ID_BEGIN) + length + id_length))
                write_too_long(s, id, id_length);
        else
                write_reply(s, batch, RESULT_BEGIN, sizeof(RESULT_BEGIN) - 1, id, id_length, json,
                            length);
}

/* The `error` member. NULL without memory. */
static json_object *error_to_json(const CallError *error)
{
        _cleanup_free_ char *shown = NULL;
        const char *message = error->message;
        json_object *o, *data = NULL;

        /* A name that the caller sent may have been cut inside a character. */
        if (!text_is_utf8(message, strlen(message)))
                message = shown = text_show(message, strlen(message), SIZE_MAX);
        o = json_object_new_object();
        if (!o || !message) {
                json_object_put(o);
                return NULL;
        }
        json_object_object_add(o, "code", json_object_new_int(error->code));
        json_object_object_add(o, "message", json_object_new_string(message));
        if (error->reason) {
                data = error->data ? json_object_get(error->data) : json_object_new_object();
                if (!data) {
                        json_object_put(o);
                        return NULL;
                }
                json_object_object_add(data, "reason", json_object_new_string(error->reason));
                if (error->error > 0)
                        json_object_object_add(data, "errno",
                                               json_object_new_string(
                                                       text_errno_name(error->error)));
                json_object_object_add(o, "data", data);
        }
        return o;
}

static void write_error_text(Session *s, Buffer *batch, const char *id, size_t id_length,
                             const char *json, size_t length)
{
        if (!batch && !reply_fits(s, sizeof(ERROR_BEGIN ID_BEGIN) + length + id_length))
                write_too_long(s, id, id_length);
        else
                write_reply(s, batch, ERROR_BEGIN, sizeof(ERROR_BEGIN) - 1, id, id_length, json,
                            length);
}

void jsonrpc_write_error(Session *s, Buffer *batch, const char *id, size_t id_length,
                         const CallError *error)
{
        json_object *o;
        const char *json;
        size_t length;

        if (error->passed) {
                write_error_text(s, batch, id, id_length, error->passed, error->passed_length);
                return;
        }
        o = error_to_json(error);
        json = o ? json_object_to_json_string_length(
                           o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length)
                 : NULL;
        if (json)
                write_error_text(s, batch, id, id_length, json, length);
        else
                stream_break(session_stream(s), -ENOMEM);
        json_object_put(o);
}

void jsonrpc_write_batch(Session *s, const Buffer *batch)
{
        char *p;

        if (!reply_fits(s, batch->size + 1)) {
                write_too_long(s, "null", 4);
                return;
        }
        p = stream_reserve(session_stream(s), batch->size + 2);
        if (!p)
                return;
        memcpy(p, buffer_peek(batch), batch->size);
        memcpy(p + batch->size, "]\n", 2);
        stream_commit(session_stream(s), batch->size + 2);
}

#define NOTIFY_BEGIN "{\"jsonrpc\":\"2.0\",\"method\":\""
#define NOTIFY_PARAMS "\",\"params\":"

void jsonrpc_write_notification(Session *s, void *state, const char *method, const char *params,
                                size_t length)
{
        size_t method_length = strlen(method);
        size_t n =
                sizeof(NOTIFY_BEGIN) - 1 + method_length + sizeof(NOTIFY_PARAMS) - 1 + length + 1;
        char *p;

        p = reply_reserve(s, NULL, n);
        if (!p)
                return;
        p = PUT_LITERAL(p, NOTIFY_BEGIN);
        p = put(p, method, method_length);
        p = PUT_LITERAL(p, NOTIFY_PARAMS);
        p = put(p, params, length);
        p = PUT_LITERAL(p, "}");
        reply_commit(s, NULL, p, n);
}
