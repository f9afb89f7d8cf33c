/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/list.h"
#include "rpc/call.h"
#include "rpc/dialect.h"

/* What session.c and call.c share, and nobody else. */
struct Call {
        ListLink link;    /* in the session's calls */
        Session *session; /* NULL once the caller is gone */
        Stats *stats;
        const Method *method; /* NULL: none of that name */
        MethodSet *methods;   /* a reference: keeps `method` */
        char *name;           /* as it was called, of a METHOD_PREFIX; else NULL */
        CallCancelFunction cancel;
        void *cancel_userdata;
        void (*writable)(Call *call, void *userdata);
        void *writable_userdata;
        void *group;
        uint64_t begun; /* CLOCK_MONOTONIC; of privileged methods only, else 0 */
        bool no_reply;
        bool awaits_room; /* it was told that the output is full */
        bool told;        /* that its time is over, by session_cancel_all() */
        size_t id_length;
        char id[]; /* and a NUL */
};

/* A call in the session's list. NULL without memory. */
Call *call_new(Session *s, const Request *request);
/* From here on it is a call of this method of the set, and of a privileged one the time runs. 0
 * or -ENOMEM. */
int call_set_method(Call *call, MethodSet *methods, const Method *method, const Request *request);
/* Microseconds since then; 0 for unprivileged methods. */
uint64_t call_duration(const Call *call);
/* The session goes and the call stays with its holder, who is told. */
void call_detach(Call *call);
/* Ends it with an error of the protocol's own. */
void call_fail_protocol(Call *call, RpcCode code, const char *format, ...) _printf_(3, 4);

/* Of session.c. */
const Dialect *session_dialect(const Session *s);
void *session_dialect_state(const Session *s);
ListLink *session_calls(Session *s);
/* A call has left the list; outcome for the record. */
void session_call_ended(Session *s, const Call *call, const char *outcome);

/* Of raw.c. The call's last words follow: its channels are ended before them. */
void session_raw_finish(Session *s, const Call *call);
/* They are out, or nobody hears them. */
void session_raw_ended(Session *s, const Call *call);
