/* SPDX-License-Identifier: MIT */
#pragma once

#include "cli/progress.h"
#include "cli/raw.h"
#include "cli/verb.h"
#include "files/transfer.h"

/* What the parts of `guestwire cp` share. */
typedef struct CpCall CpCall;
typedef struct CpEnd CpEnd;
typedef struct CpGuest CpGuest;
typedef struct Copy Copy;

typedef enum CpKind {
        CP_LOCAL,
        CP_GUEST,
        CP_STREAM, /* "-" */
} CpKind;

/* A SRC or DST of the command line. */
struct CpEnd {
        CpKind kind;
        const char *word; /* as it was typed */
        char *target;     /* of a guest, as other verbs take it */
        const char *path; /* in the guest, or here */
};

#define CP_END_NULL ((CpEnd){ 0 })

/* EXIT_OK with *ret, the caller's to cp_end_done(), which borrows word; EXIT_USAGE: the reason has
 * been printed. */
int cp_end_parse(const char *word, CpEnd *ret);
void cp_end_done(CpEnd *e);
/* What the last component is called once it has been copied: "." for "x/.", ".." and "/". The
 * caller frees; NULL without memory. */
char *cp_base_name(const char *path);

/* A guest, and the connection to it, which several copies use one after the other. */
struct CpGuest {
        char *target;
        bool is_to;     /* it is copied to: a guest that is both has two connections */
        Client *client; /* NULL: there is none (any more) */
};

struct Copy {
        const Settings *settings;
        CpEnd to;
        bool into; /* `to` is a folder: things go into it under their names */
        CpGuest *guests;
        size_t n_guests;
        int interrupt_fd;
        Progress progress; /* of what is under way */
        uint64_t base;     /* bytes that were there before it began */
        const CpEnd *from; /* of what is under way */
        char **told;       /* entries of which has been told that they did not arrive */
        bool failed;       /* something did not arrive, and that has been told */
};

/* One source to its place. An ExitCode: what is to be said has been printed. */
int cp_copy(Copy *c, const CpEnd *from);

/* The client of an end's guest, connected, with its deadline for the next call. EXIT_OK, or an
 * ExitCode: printed. */
int cp_guest(Copy *c, const CpEnd *end, Client **ret);
/* Its connection is of no more use. */
void cp_guest_drop(Copy *c, const Client *client);
/* Adds a path to parameters: as text, or by key_base64. 0 or -ENOMEM. */
int cp_add_path(json_object *params, const char *path);
/* What is at the path in the guest: file.stat's result in *ret, or NULL where nothing is. EXIT_OK
 * or an ExitCode: printed. */
int cp_stat(Copy *c, Client *client, const char *path, json_object **ret);

/* A raw call of file.get or file.put. */
struct CpCall {
        Client *client; /* borrowed */
        const char *method;
        RawCall raw;
        Wire wire;
        Buffer text;  /* of channel 0, as far as it has come */
        Reply reply;  /* the call's end */
        bool replied; /* it has come */
        bool is_over; /* and so has the end of channel 0 */
};

#define CP_CALL_NULL ((CpCall){ .raw = RAW_CALL_NULL, .wire = WIRE_NULL })

/* params: borrowed. 0; CLIENT_REFUSED with *ret_error; -errno as client_call(). */
int cp_call_begin(CpCall *k, Client *client, const char *method, json_object *params,
                  int interrupt_fd, json_object **ret_error);
/* Takes a frame on channel 0 that waits, or that comes next. Frames on others are dropped. 0;
 * -errno of the wire; -EBADMSG. */
int cp_call_listen(CpCall *k);
/* To the call's end, and ours: the client can make further calls. 0 with `reply`; -errno: the
 * connection is of no more use. */
int cp_call_finish(CpCall *k);
void cp_call_done(CpCall *k);

/*
 * The frames of the one call to the other. TRANSFER_DONE: all has gone over. TRANSFER_CONTROL: the
 * one that *ret_which names has something to say. -errno: of the one that *ret_which names, or
 * -EINTR.
 */
int cp_relay(Copy *c, CpCall *from, CpCall *to, TransferStats *stats, CpCall **ret_which);

/* While a transfer is under way signals are caught, so that nothing is left of it: interrupt_fd is
 * readable once one has come. */
void cp_catch_signals(Copy *c, bool catch);

/* An entry of what is under way (path: relative to it, as bytes) did not arrive. */
void cp_tell(Copy *c, const char *path, const char *message);
/* What arrived of a copy that was cut off; hint: what else there is to say of it, or "". */
void cp_tell_arrived(Copy *c, const TransferStats *stats, const char *verb, const char *hint);
/* What the guest's result tells of entries that did not arrive. */
void cp_tell_result(Copy *c, json_object *result);
/* A connection came to its end. An ExitCode. */
int cp_broke(Copy *c, CpCall *k, int error);
/* The call's reply is an error. An ExitCode. */
int cp_refused(Copy *c, const CpCall *k);
