/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/list.h"
#include "rpc/call-internal.h"
#include "rpc/raw.h"
#include "rpc/session.h"
#include "rpc/stream.h"

/* What session.c, session-call.c (what calls ask of it) and raw.c share, and nobody else. */
typedef struct Companion Companion;
typedef struct SessionRaw SessionRaw;

/* The call that frames are for, until it has ended. */
struct SessionRaw {
        Call *call; /* NULL: none */
        const RawOwner *owner;
        void *userdata;
        uint32_t opened; /* a mask of our channels that were used and not ended */
        RawReadyFunction ready;
        void *ready_userdata;
};

struct Session {
        const SessionOwner *owner;
        void *userdata;
        MethodSet *methods; /* a reference */
        Stats *stats;
        Stream *stream;
        const Dialect *dialect;
        void *dialect_state;
        SessionSettings settings;
        Peer peer;
        ListLink calls; /* in flight, in the order of their arrival */
        size_t n_calls;
        SessionRaw raw;
        Companion *companions;
};

/* A call in flight by its id, other than `except`; or NULL. */
Call *session_find(const Session *s, json_object *id, const Call *except);
/* The calls that were told to wait for room in the output. */
void session_on_writable(Stream *stream, void *userdata);
void session_free_companions(Session *s);

/* What the stream tells of frames: StreamOwner's frame, frame_end and lend. */
size_t session_on_frame(Stream *stream, uint8_t channel, const char *data, size_t n,
                        void *userdata);
void session_on_frame_end(Stream *stream, uint8_t channel, void *userdata);
bool session_on_lend(Stream *stream, int fd, const char *received, size_t n, void *userdata);
