/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/stat.h>
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

/* The socket file's inode. 0; -ENOENT; -EEXIST where something else has the name; -errno. */
int listen_file_stat(const Address *a, struct stat *ret);

/*
 * Where a socket that somebody else has made listens, in the form of a listener's address (which
 * owns memory: address_done()). 0; -ENOTSOCK; -EPROTOTYPE: not a stream socket that listens;
 * -EAFNOSUPPORT: no address that a listener can have; -errno.
 */
int listen_address(int fd, Address *ret);

/*
 * Makes such a socket what listen_open() gives; a remains whose address it is. The file of a Unix
 * socket gets mode and owner, and connections show our credentials from now on. 0, or -errno with
 * *ret_problem as above.
 */
int listen_adopt(int fd, const Address *a, const ListenFile *file, char **ret_problem);

/* Whether both are of Unix sockets and lead to one socket file, however the paths are written. */
bool listen_same_file(const Address *a, const Address *b);

/* Removes the socket file, if it still leads to this process: fd must be listening yet. */
void listen_file_remove(const Address *a, int fd);
