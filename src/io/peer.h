/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/macros.h"
#include "io/cids.h"

/* Who is calling, as the kernel told it when the connection was accepted. */
typedef struct Peer Peer;

typedef enum PeerKind {
        PEER_VSOCK, /* cid, port */
        PEER_UNIX,  /* uid, gid, pid */
        PEER_TCP,   /* text only */
} PeerKind;

struct Peer {
        PeerKind kind;
        uint32_t cid;
        uint32_t port;       /* vsock and TCP: the source port */
        uint32_t local_port; /* vsock: ours, that it called; filled in by who accepted it */
        uid_t uid;
        gid_t gid;
        pid_t pid;
        char text[64]; /* for people: "vsock:2:1023", "unix:uid=0,pid=17", "tcp:127.0.0.1:5000" */
};

/*
 * From what accept4() returned: the socket, the address and its length. The family of the
 * listening socket is `family`. 0; -EPROTO where the address is cut short or of another
 * family (the caller must refuse: fail closed); -errno of SO_PEERCRED.
 */
int peer_from_accept(int fd, int family, const struct sockaddr_storage *sa, socklen_t length,
                     Peer *ret);

/* Whether the peer may connect at all: vsock by its CID, the others are guarded elsewhere (a
 * Unix socket by its file's mode, TCP by the address it is bound to). */
bool peer_is_allowed(const Peer *p, const CidSet *peers);

/*
 * Whether the peer has shown that it is root, as far as its transport can show that:
 * vsock: a source port below 1024 (binding one needs CAP_NET_BIND_SERVICE) from CID 2,
 * unless hv_sock carries it or might (`transports`, a mask of VsockTransport: there the port
 * is arbitrary), or from CID 1 where `peers` has `local` itself as an entry; Unix: uid 0 or
 * the daemon's own; TCP: never.
 */
bool peer_is_root(const Peer *p, const CidSet *peers, unsigned transports);
