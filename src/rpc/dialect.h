/* SPDX-License-Identifier: MIT */
#pragma once

#include "rpc/call.h"
#include "rpc/scan.h"
#include "rpc/session.h"
#include "rpc/stream.h"

/*
 * A language that requests and replies are written in. A session hands it whole texts; it
 * hands back requests by session_request(), and writes the replies of the calls that come of
 * them. It knows nothing of methods, policy or sockets, and nothing else knows its words: a
 * further dialect is a further row in session.c.
 */
typedef struct Dialect Dialect;
typedef struct Request Request;
typedef struct CallError CallError;

/* One request, as its dialect understood it. All pointers are borrowed for the call. */
struct Request {
        const char *method; /* decoded, not NUL-terminated */
        size_t method_length;
        const char *params; /* JSON text of an object or array, or NULL */
        size_t params_length;
        uint32_t params_members; /* how many members the text has, doubles counted */
        bool params_too_large;   /* a number in it is past what a JSON library can hold */
        const char *id;          /* whatever the dialect names replies by; it comes back as is */
        size_t id_length;
        bool no_reply;
        void *group; /* the dialect's: what the reply belongs to, or NULL */
};

/* Why a call failed. code is -32000 or one of the protocol's; data may be NULL. */
struct CallError {
        int code;
        const char *reason; /* NULL for the protocol's own */
        const char *message;
        int error; /* errno, or 0 */
        json_object *data;
        /* Instead of all these: somebody else's, the whole error object as JSON text; or NULL. */
        const char *passed;
        size_t passed_length;
};

struct Dialect {
        const char *name;
        const ScanKeys *keys;

        int (*open)(Session *s, void **ret_state);
        void (*close)(Session *s, void *state);
        /* A whole text, checked and marked. */
        void (*text)(Session *s, void *state, const char *text, const Scan *scan);
        /* A text that could not be taken. */
        void (*fault)(Session *s, void *state, StreamFault fault, ScanResult result);
        /* As StreamOwner.work: one unit of what a text left over. */
        bool (*work)(Session *s, void *state);
        /* Whether it holds requests that it has not handed over yet. */
        bool (*busy)(Session *s, void *state);
        /* The end of a call that wants a reply, or that belongs to a group. */
        void (*result)(Session *s, void *state, const Call *call, const char *json, size_t length);
        void (*error)(Session *s, void *state, const Call *call, const CallError *error);
        /* What a call tells before its end. params: JSON text of an object. */
        void (*notify)(Session *s, void *state, const char *method, const char *params,
                       size_t length);
        /* A first result of a call that goes on in frames; not of one in a group. NULL: its replies
         * cannot be told from frames. */
        void (*answer)(Session *s, void *state, const Call *call, const char *json, size_t length);
};

extern const Dialect dialect_jsonrpc;

/* Looks the method up, judges policy, then parameters, and runs it. Its replies come through
 * the dialect, perhaps before this returns. */
void session_request(Session *s, const Request *request);
Stream *session_stream(Session *s);
Stats *session_stats(Session *s);
const SessionSettings *session_settings(const Session *s);
/* Whether a call with this id is in flight. */
bool session_has_id(const Session *s, const char *id, size_t length);

/* What the dialect asked to be given back. */
const char *call_id(const Call *call, size_t *ret_length);
void *call_group(const Call *call);
bool call_wants_reply(const Call *call);
