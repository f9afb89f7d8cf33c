/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "io/address.h"

/* How a Unix socket's file is to look. */
typedef struct ListenFile ListenFile;

struct ListenFile {
        mode_t mode;
        uid_t uid; /* (uid_t)-1: as it comes */
        gid_t gid;
};

/*
 * A listening socket: non-blocking, close-on-exec, buffer sizes set before listen (hv_sock
 * takes its rings from the listener), backlog SOMAXCONN. vsock binds VMADDR_CID_ANY.
 *
 * A Unix socket's file gets mode and owner before listen(), so that nobody gets in before.
 * Where the path exists already it is replaced only if it is a socket that we (or file->uid)
 * own and that nobody answers; its folder must be root's or ours and not writable by others,
 * unless it is sticky. A folder that alone is missing is made. file may be NULL: 0600.
 *
 * Returns the fd, or -errno with *ret_problem a sentence: what failed and what to do
 * (allocated, the caller frees; may stay NULL without memory). -EADDRINUSE: taken;
 * -EAFNOSUPPORT: no AF_VSOCK; -EEXIST: a file that is not ours to replace; -EPERM: the
 * folder is open to others.
 */
int listen_open(const Address *a, const ListenFile *file, char **ret_problem);

/* Gives the socket file of a kept listener another mode and owner. 0 or -errno. */
int listen_file_change(const Address *a, const ListenFile *file);

/* Removes the socket file, if it still leads to this process: fd must be listening yet. */
void listen_file_remove(const Address *a, int fd);
