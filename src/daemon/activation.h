/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "io/address.h"
#include "io/listen.h"

/*
 * Listening sockets that outlive us: those which a socket unit has passed to us, and those of our
 * own of which the service manager holds a copy while one guestwired ends and the next begins
 * (sd_listen_fds(3), and FDSTORE=1 in sd_notify(3)). Whose one is says its address alone.
 */
typedef struct Activation Activation;

/* Who else holds a listening socket. */
typedef enum SocketKeeper {
        KEEPER_NONE,
        KEEPER_STORE, /* the file descriptor store of our service */
        KEEPER_UNIT,  /* a socket unit: it was there before us, and starts us again */
} SocketKeeper;

/*
 * Takes what the environment says was passed to us, and the variables out of it. What listens on
 * no address that a section could have is refused here, with an error in the log. 0 or -errno.
 */
int activation_new(sd_event *event, Activation **ret);

/* Before sections ask for theirs, at the start and at each try. */
void activation_begin(Activation *a);

/*
 * The passed socket of this address, or with its file, made what listen_open() would give: the
 * caller's from now on, and so is *ret_name (of those in the store; else NULL). -ENOENT where there
 * is none; -errno, with *ret_problem as of listen_open(), where it cannot be had now and is to be
 * asked for again.
 */
int activation_take(Activation *a, const Address *address, const ListenFile *file,
                    SocketKeeper *ret_keeper, char **ret_name, char **ret_problem);

/*
 * To be called when each section has asked for its own: what is left is refused, with an error in
 * the log. Callers who come there are hung up on, until a section of a reload takes it after all.
 */
void activation_refuse_rest(Activation *a);
/* Likewise of a socket unit's that was taken, whose section is gone. Whether it was one: fd is
 * taken over then. */
bool activation_give_back(Activation *a, int fd);
/* How many of a socket unit's are refused. */
size_t activation_refused(const Activation *a);
/* How many of these nobody looks after, as they are not of a kind that can be: what comes there
 * stays unread. */
size_t activation_unanswered(const Activation *a);

/* Whether sockets can be put into the store. */
bool activation_has_store(const Activation *a);
/* Puts one in. 0 with *ret_name for activation_forget(), owned by the caller; -EAGAIN: the manager
 * is busy, try again later; -errno, and that has been logged. */
int activation_store(Activation *a, int fd, const Address *address, char **ret_name);
/* Takes it out. name is taken over. */
void activation_forget(Activation *a, char *name);
/* Tells the manager what it could not take before. Whether it has now. */
bool activation_flush(Activation *a);

Activation *activation_free(Activation *a);
DEFINE_CLEANUP(Activation, activation_free)
