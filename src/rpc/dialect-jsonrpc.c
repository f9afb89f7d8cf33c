/* SPDX-License-Identifier: MIT */

/* JSON-RPC 2.0, https://www.jsonrpc.org/specification */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/text.h"
#include "rpc/dialect-jsonrpc.h"
#include "rpc/dialect.h"
#include "rpc/stream-raw.h"

/* The replies of one batch are kept until the last has come. Past this many times max-message
 * the calls that are left are answered `limit` and not run. */
#define BATCH_REPLIES_FACTOR 4U

enum {
        KEY_JSONRPC,
        KEY_METHOD,
        KEY_PARAMS,
        KEY_ID,
};

static const ScanKeys jsonrpc_keys = {
        .names = {
                [KEY_JSONRPC] = "jsonrpc",
                [KEY_METHOD] = "method",
                [KEY_PARAMS] = "params",
                [KEY_ID] = "id",
        },
        .params = KEY_PARAMS,
};

typedef struct Batch Batch;
typedef struct JsonRpc JsonRpc;

/* An array of requests, whose replies become one array. */
struct Batch {
        ListLink link;
        char *text;
        ScanEnvelope *envelopes;
        size_t n_envelopes;
        size_t next;    /* the first envelope not handed over yet */
        size_t running; /* calls that have not ended */
        Buffer replies; /* "[reply,reply" */
};

struct JsonRpc {
        ListLink batches; /* all that have not ended */
        Batch *current;   /* the one whose requests are being handed over */
};

static Batch *batch_free(JsonRpc *j, Batch *b)
{
        if (j->current == b)
                j->current = NULL;
        list_remove(&b->link);
        free(b->text);
        free(b->envelopes);
        buffer_done(&b->replies);
        free(b);
        return NULL;
}

/* Where replies go that are part of a batch; NULL: straight out. */
static Buffer *batch_replies(Batch *b)
{
        return b ? &b->replies : NULL;
}

/* Once all its calls have ended: the replies, if any of them wanted one. */
static void batch_settle(Session *s, JsonRpc *j, Batch *b)
{
        if (b->running > 0 || b->next < b->n_envelopes)
                return;
        if (b->replies.size > 0)
                jsonrpc_write_batch(s, &b->replies);
        (void)batch_free(j, b);
}

/* An error that no call stands behind. */
static void write_protocol_error(Session *s, Batch *b, RpcCode code, const char *id,
                                 size_t id_length, const char *message)
{
        session_stats(s)->errors_protocol[code]++;
        jsonrpc_write_error(s, batch_replies(b), id, id_length,
                            &(CallError){ .code = rpc_code_to_number(code), .message = message });
}

static void jsonrpc_result(Session *s, void *state, const Call *call, const char *json,
                           size_t length)
{
        Batch *b = call_group(call);
        const char *id;
        size_t id_length;

        if (call_wants_reply(call)) {
                id = call_id(call, &id_length);
                jsonrpc_write_result(s, batch_replies(b), id, id_length, json, length);
        }
        if (b) {
                b->running--;
                batch_settle(s, state, b);
        }
}

static void jsonrpc_error(Session *s, void *state, const Call *call, const CallError *error)
{
        Batch *b = call_group(call);
        const char *id;
        size_t id_length;

        if (call_wants_reply(call)) {
                id = call_id(call, &id_length);
                jsonrpc_write_error(s, batch_replies(b), id, id_length, error);
        }
        if (b) {
                b->running--;
                batch_settle(s, state, b);
        }
}

static void jsonrpc_answer(Session *s, void *state, const Call *call, const char *json,
                           size_t length)
{
        const char *id;
        size_t id_length;

        id = call_id(call, &id_length);
        jsonrpc_write_result(s, NULL, id, id_length, json, length);
}

static bool span_is(const char *text, ScanSpan span, const char *word)
{
        size_t n = strlen(word);

        return span.length == n && memcmp(text + span.offset, word, n) == 0;
}

/* "2.0", in whatever escapes: a JSON string is what it means, not how it is written. */
static bool is_version_2(const char *text, ScanSpan span)
{
        _cleanup_free_ char *copy = NULL;
        json_object *o;
        bool yes;

        if (span_is(text, span, "\"2.0\""))
                return true;
        if (span.length == 0 || text[span.offset] != '"' || span.length > 64)
                return false;
        copy = strndup(text + span.offset, span.length);
        o = copy ? json_tokener_parse(copy) : NULL;
        yes = o && strcmp(json_object_get_string(o), "2.0") == 0 &&
              json_object_get_string_len(o) == 3;
        json_object_put(o);
        return yes;
}

/* The id of a reply: what was given if it can be one, else null. */
static bool id_is_valid(const char *text, ScanSpan id)
{
        char c = text[id.offset];

        return c == '"' || c == '-' || (c >= '0' && c <= '9') || c == 'n';
}

/* What is wrong with an envelope, or NULL. */
static const char *envelope_problem(Session *s, const char *text, const ScanEnvelope *e)
{
        const ScanSpan *m = e->members;
        char c;

        if (!(e->flags & SCAN_IS_OBJECT))
                return "a request is an object with jsonrpc, method, and perhaps params and id";
        if (e->flags & SCAN_DOUBLED_KEY)
                return "a member of the request comes twice";
        if (e->flags & SCAN_NUL_IN_KEY)
                return "a key holds \\u0000";
        if (m[KEY_ID].length > 0 && !id_is_valid(text, m[KEY_ID]))
                return "id is a string, a number or null";
        if (!is_version_2(text, m[KEY_JSONRPC]))
                return "jsonrpc must be \"2.0\"";
        if (m[KEY_METHOD].length == 0 || text[m[KEY_METHOD].offset] != '"')
                return "method must be a string";
        c = m[KEY_PARAMS].length > 0 ? text[m[KEY_PARAMS].offset] : '{';
        if (c != '{' && c != '[')
                return "params must be an object";
        if (m[KEY_ID].length > 0 && session_has_id(s, text + m[KEY_ID].offset, m[KEY_ID].length))
                return "this id belongs to a call that is still running";
        return NULL;
}

/* The method's name without quotes. Names with escapes are decoded into *ret_copy. */
static int decode_method(const char *text, ScanSpan span, Request *request, char **ret_copy)
{
        _cleanup_free_ char *copy = NULL;
        json_object *o;

        if (!memchr(text + span.offset, '\\', span.length)) {
                request->method = text + span.offset + 1;
                request->method_length = span.length - 2;
                return 0;
        }
        copy = strndup(text + span.offset, span.length);
        o = copy ? json_tokener_parse(copy) : NULL;
        if (!o)
                return -ENOMEM;
        free(copy);
        request->method_length = (size_t)json_object_get_string_len(o);
        copy = malloc(request->method_length + 1);
        if (copy)
                memcpy(copy, json_object_get_string(o), request->method_length + 1);
        json_object_put(o);
        if (!copy)
                return -ENOMEM;
        request->method = copy;
        *ret_copy = TAKE_PTR(copy);
        return 0;
}

static void take_envelope(Session *s, Batch *b, const char *text, const ScanEnvelope *e)
{
        const ScanSpan *m = e->members;
        _cleanup_free_ char *name = NULL;
        const char *problem;
        Request request;

        problem = envelope_problem(s, text, e);
        if (problem) {
                bool known = (e->flags & SCAN_IS_OBJECT) && !(e->flags & SCAN_DOUBLED_KEY) &&
                             m[KEY_ID].length > 0 && id_is_valid(text, m[KEY_ID]);

                write_protocol_error(s, b, RPC_INVALID_REQUEST,
                                     known ? text + m[KEY_ID].offset : "null",
                                     known ? m[KEY_ID].length : 4, problem);
                return;
        }

        request = (Request){
                .params = m[KEY_PARAMS].length > 0 ? text + m[KEY_PARAMS].offset : NULL,
                .params_length = m[KEY_PARAMS].length,
                .params_members = e->params_members,
                .params_too_large = e->flags & SCAN_NUMBER_TOO_LARGE,
                .id = text + m[KEY_ID].offset,
                .id_length = m[KEY_ID].length,
                .no_reply = m[KEY_ID].length == 0,
                .group = b,
        };
        if (decode_method(text, m[KEY_METHOD], &request, &name) < 0) {
                stream_break(session_stream(s), -ENOMEM);
                return;
        }
        if (b)
                b->running++;
        session_request(s, &request);
}

static int batch_new(JsonRpc *j, const char *text, size_t length, const ScanEnvelope *envelopes,
                     size_t n)
{
        Batch *b;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        list_append(&j->batches, &b->link);
        b->text = malloc(length);
        b->envelopes = malloc(n * sizeof(*envelopes));
        if (!b->text || !b->envelopes) {
                (void)batch_free(j, b);
                return -ENOMEM;
        }
        memcpy(b->text, text, length);
        memcpy(b->envelopes, envelopes, n * sizeof(*envelopes));
        b->n_envelopes = n;
        j->current = b;
        return 0;
}

static void jsonrpc_text(Session *s, void *state, const char *text, const Scan *scan)
{
        const ScanEnvelope *envelopes;
        size_t n;

        envelopes = scan_envelopes(scan, &n);
        if (!scan_is_batch(scan)) {
                take_envelope(s, NULL, text, envelopes);
                return;
        }
        if (n == 0) {
                write_protocol_error(s, NULL, RPC_INVALID_REQUEST, "null", 4,
                                     "a batch holds at least one request");
                return;
        }
        /* The requests are handed over one by one as units of work, so that a batch, too, obeys
         * the turn's budget and a peer that does not read. */
        if (batch_new(state, text, scan_length(scan), envelopes, n) < 0)
                stream_break(session_stream(s), -ENOMEM);
}

static bool jsonrpc_work(Session *s, void *state)
{
        JsonRpc *j = state;
        Batch *b = j->current;
        const ScanEnvelope *e;

        if (!b)
                return false;

        e = &b->envelopes[b->next++];
        /* While it is being handed over a batch cannot end: count this request as running. */
        b->running++;
        if (b->replies.size > BATCH_REPLIES_FACTOR * session_settings(s)->max_message) {
                const ScanSpan *id = &e->members[KEY_ID];

                if ((e->flags & SCAN_IS_OBJECT) && id->length > 0 && id_is_valid(b->text, *id)) {
                        session_stats(s)->errors_reason[REASON_LIMIT]++;
                        jsonrpc_write_error(
                                s, batch_replies(b), b->text + id->offset, id->length,
                                &(CallError){
                                        .code = RPC_APPLICATION_ERROR,
                                        .reason = reason_to_text(REASON_LIMIT),
                                        .message = "not run: the replies to this batch are "
                                                   "over 4 times max-message already",
                                });
                }
        } else {
                take_envelope(s, b, b->text, e);
        }
        if (b->next == b->n_envelopes)
                j->current = NULL;
        b->running--;
        batch_settle(s, j, b);
        return true;
}

static bool jsonrpc_busy(Session *s, void *state)
{
        const JsonRpc *j = state;

        return j->current;
}

/* What is wrong with a text that ends the connection. NULL without memory. */
static char *fault_to_text(const SessionSettings *settings, StreamFault fault, ScanResult result)
{
        switch (fault) {
        case STREAM_FAULT_FRAME:
                return text_format("the frame is longer than %u bytes", FRAME_PAYLOAD_MAX);
        case STREAM_FAULT_TIMEOUT:
                return text_format("the text was not complete within message-timeout");
        case STREAM_FAULT_LIMIT:
                break;
        default:
                return text_format("out of memory");
        }
        switch (result) {
        case SCAN_TOO_LONG:
                return text_format("the text is longer than max-message, %zu bytes",
                                   settings->max_message);
        case SCAN_TOO_MANY_VALUES:
                return text_format("the text has more values than max-values, %zu",
                                   settings->max_values);
        default:
                return text_format("the text is nested deeper than %u", SCAN_DEPTH_MAX);
        }
}

static const char *syntax_to_text(Session *s, ScanResult result)
{
        bool raw = stream_raw_is_begun(session_stream(s));

        if (result == SCAN_BAD_UTF8)
                return raw ? "not JSON: invalid UTF-8; reading goes on with the next frame"
                           : "not JSON: invalid UTF-8; reading goes on after the next newline";
        return raw ? "not one JSON text; reading goes on with the next frame"
                   : "not JSON; reading goes on after the next newline";
}

static void jsonrpc_fault(Session *s, void *state, StreamFault fault, ScanResult result)
{
        Reason reason = fault == STREAM_FAULT_TIMEOUT ? REASON_TIMEOUT : REASON_LIMIT;
        _cleanup_free_ char *message = NULL;
        const char *problem = NULL;

        switch (fault) {
        case STREAM_FAULT_SYNTAX:
                problem = syntax_to_text(s, result);
                break;
        case STREAM_FAULT_CUT:
                problem = "not JSON: the input ended inside a text";
                break;
        case STREAM_FAULT_CHANNEL:
                problem = "a frame of a channel that the call does not take or that was ended";
                break;
        default:
                message = fault_to_text(session_settings(s), fault, result);
                break;
        }
        if (problem) {
                write_protocol_error(s, NULL, RPC_PARSE_ERROR, "null", 4, problem);
                return;
        }
        session_stats(s)->errors_reason[reason]++;
        jsonrpc_write_error(s, NULL, "null", 4,
                            &(CallError){ .code = RPC_APPLICATION_ERROR,
                                          .reason = reason_to_text(reason),
                                          .message = message ?: "a limit was reached" });
}

static int jsonrpc_open(Session *s, void **ret_state)
{
        JsonRpc *j;

        j = calloc(1, sizeof(*j));
        if (!j)
                return -ENOMEM;
        list_init(&j->batches);
        *ret_state = j;
        return 0;
}

static void jsonrpc_close(Session *s, void *state)
{
        JsonRpc *j = state;

        list_foreach_safe (i, &j->batches)
                (void)batch_free(j, CONTAINER_OF(i, Batch, link));
        free(j);
}

const Dialect dialect_jsonrpc = {
        .name = "jsonrpc",
        .keys = &jsonrpc_keys,
        .open = jsonrpc_open,
        .close = jsonrpc_close,
        .text = jsonrpc_text,
        .fault = jsonrpc_fault,
        .work = jsonrpc_work,
        .busy = jsonrpc_busy,
        .result = jsonrpc_result,
        .error = jsonrpc_error,
        .notify = jsonrpc_write_notification,
        .answer = jsonrpc_answer,
};
