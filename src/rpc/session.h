/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "io/peer.h"
#include "rpc/call.h"
#include "rpc/method.h"
#include "rpc/policy.h"
#include "rpc/stats.h"

/*
 * One caller's conversation: a stream of texts, the dialect that they are in, and the calls in
 * flight. It judges each request once (method, policy, parameters) and runs it.
 */
typedef struct Session Session;
typedef struct SessionSettings SessionSettings;
typedef struct SessionOwner SessionOwner;
typedef struct CallRecord CallRecord;

/* What a port says of its sessions. `policy` borrows its lists: they outlive the settings. */
struct SessionSettings {
        size_t max_message;
        size_t max_values;
        size_t max_calls;
        uint64_t message_timeout; /* microseconds; TEXT_INFINITY: none */
        uint64_t idle_timeout;    /* microseconds; 0 or TEXT_INFINITY: none */
        Policy policy;
        const void *port; /* for call_port_settings(): the owner's, or NULL */
};

/* How a call of a privileged method ended, for the log. Valid during the call only. */
struct CallRecord {
        const char *name;    /* of the method as it was called */
        const char *outcome; /* "ok", a Reason's text, an RpcCode's, or "error": passed on */
        uint64_t duration;   /* microseconds */
};

struct SessionOwner {
        /* The conversation is over. The owner frees the session, now or later. Never called from
         * within a function of session.h. error: 0 for an orderly end, or -errno. */
        void (*ended)(Session *s, int error, void *userdata);
        /* A call of a PRIVILEGED method ended, was run or not. */
        void (*privileged_call)(Session *s, const CallRecord *record, void *userdata);
        /* The caller has proved the port's token, or could not: session_authenticated(). What
         * follows from it is the owner's to say. NULL: nothing. */
        void (*authenticated)(Session *s, bool proved, void *userdata);
};

/*
 * fd: a connected, non-blocking stream socket, taken over on success. methods is shared; stats,
 * settings' lists and owner must outlive the session. 0 or -errno.
 */
int session_new(sd_event *event, int fd, const Peer *peer, MethodSet *methods, Stats *stats,
                const SessionSettings *settings, const SessionOwner *owner, void *userdata,
                Session **ret);

/* After a reload. Calls in flight go on; limits and policy hold from the next text. */
void session_set_settings(Session *s, const SessionSettings *settings);

/* The policy of the calls to come, within the same turn too. */
void session_set_privileged(Session *s, bool privileged);
/* For the method that took the proof. */
void session_authenticated(Session *s, bool proved);

/* After a reload: the methods of the calls to come. */
void session_set_methods(Session *s, MethodSet *methods);

/* Takes no more texts; ends once the calls in flight are answered and the replies are out. */
void session_stop(Session *s);

/* Tells the holders of all calls in flight to end them. */
void session_cancel_all(Session *s, CallEnd why);

/*
 * Cancels the call in flight whose id is this JSON value (json_object_equal). 0, -ENOENT: no such
 * call is running; -EOPNOTSUPP: its method cannot be ended early.
 */
int session_cancel(Session *s, json_object *id);

/* CLOCK_MONOTONIC of the last byte either way; UINT64_MAX while calls are running. */
uint64_t session_idle_since(const Session *s);

const Peer *session_peer(const Session *s);
const Policy *session_policy(const Session *s);

/* The names of the dialects that a session understands, NULL at the end. */
const char *const *session_dialects(void);

/* Calls in flight are told that their caller is gone. */
Session *session_free(Session *s);
DEFINE_CLEANUP(Session, session_free)
