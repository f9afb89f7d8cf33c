/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "files/helper-wire.h"
#include "methods/context.h"
#include "methods/file-helper.h"
#include "rpc/call.h"

/* What file-helper.c (whose calls, in what order), file-raw.c (connections that are lent) and
 * file-process.c (the process and its socket) share, and nobody else. */
typedef struct FileCall FileCall;
typedef struct FileHelper FileHelper;
typedef struct FileHelpers FileHelpers;
typedef struct FileProcess FileProcess;
typedef struct FileProcessOwner FileProcessOwner;
typedef struct FileProcessSettings FileProcessSettings;

struct FileProcessSettings {
        size_t max_message; /* bytes of content in a message, which sets its bound */
        ProgramScope scope;
        uint64_t idle_usec; /* after so long without work it is ended */
};

/* Each may free the process. */
struct FileProcessOwner {
        void (*message)(HelperKind kind, const char *data, size_t n, void *userdata);
        /* It has ended, or could not be started, or says what nobody understands: it is to be
         * freed. error: errno or 0. Never called from within a function of this header. */
        void (*lost)(int error, const char *problem, void *userdata);
        /* It has been idle for long, or its place is needed: it is to be freed. */
        void (*idle)(void *userdata);
};

/* Starts one. owner, userdata: borrowed. 0; -EBUSY: as many as may be are at work; -errno. */
int file_process_new(AgentContext *context, const FileProcessSettings *settings,
                     const FileProcessOwner *owner, void *userdata, FileProcess **ret);
/* Ends it: what it has begun it removes. NULL is fine. */
FileProcess *file_process_free(FileProcess *p);
DEFINE_CLEANUP(FileProcess, file_process_free)
/* What cannot be sent ends in `lost`. */
void file_process_send(FileProcess *p, HelperKind kind, const void *data, size_t n);
/* Lends a connection, with what was received on it; deaf: from which nothing is to be read. 0 or
 * -errno: then it was not. */
int file_process_lend(FileProcess *p, int fd, bool deaf, const char *received, size_t n);
/* Whether it waits for work: then it may be ended. There is no deadline any more. */
void file_process_set_idle(FileProcess *p, bool idle);
/* It hangs, and is `lost`, unless file_process_set_idle() is called within so many microseconds. */
void file_process_set_deadline(FileProcess *p, uint64_t usec);

/* A call, from its beginning to its end in the helper: it may outlive the caller's. */
struct FileCall {
        ListLink link;      /* in the queue, unless it is the current one */
        FileHelper *helper; /* NULL: it is just being ended */
        Call *call;         /* NULL: it has ended */
        char *request;      /* JSON */
        bool raw;
        unsigned channels_in;
        bool begun;    /* frames go over the connection */
        bool lent;     /* the connection is with the helper */
        bool aborting; /* the helper was told to stop */
        int error;     /* that is why, or 0 */
        /* While it is lent: it shows whether the caller has gone. */
        int watch_fd;
        sd_event_source *watch;
};

struct FileHelper {
        ListLink link; /* in the connection's */
        FileHelpers *set;
        char *user; /* NULL: as the daemon */
        char *root; /* NULL: none */
        ProgramScope scope;
        FileProcess *process;
        bool greeted;
        FileCall *current;
        ListLink queue;
};

/* Of one connection. */
struct FileHelpers {
        AgentContext *context;
        ListLink list;
        size_t n;
};

/* Of file-raw.c. The helper wants the connection: the call becomes a raw one, if it can. */
void file_call_begin(FileCall *c);
/* The helper gives the connection back: the payload of its HELPER_RETURN. */
void file_call_take_back(FileCall *c, const char *data, size_t n);
/* The helper is to stop, and says when it has. One that does not is lost. */
void file_call_abort(FileCall *c);
/* Nobody needs to know any more whether the caller has gone. */
void file_call_unwatch(FileCall *c);
