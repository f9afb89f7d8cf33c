/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "io/peer.h"
#include "io/vsock.h"

/* The kernel's LAST_RESERVED_PORT of af_vsock.c plus one. Unlike TCP's, no sysctl lowers it. */
#define PORTS_RESERVED 1024U

static int peer_from_vsock(const struct sockaddr_storage *sa, socklen_t length, Peer *ret)
{
        struct sockaddr_vm vm;

        if (length < sizeof(vm))
                return -EPROTO;
        memcpy(&vm, sa, sizeof(vm));
        *ret = (Peer){ .kind = PEER_VSOCK, .cid = vm.svm_cid, .port = vm.svm_port };
        (void)snprintf(ret->text, sizeof(ret->text), "vsock:%" PRIu32 ":%" PRIu32, ret->cid,
                       ret->port);
        return 0;
}

static int peer_from_unix(int fd, Peer *ret)
{
        struct ucred cred;
        socklen_t length = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return -errno;
        if (length != sizeof(cred))
                return -EPROTO;
        *ret = (Peer){ .kind = PEER_UNIX, .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
        (void)snprintf(ret->text, sizeof(ret->text), "unix:uid=%u,pid=%d", (unsigned)ret->uid,
                       (int)ret->pid);
        return 0;
}

static int peer_from_inet(const struct sockaddr_storage *sa, socklen_t length, Peer *ret)
{
        struct sockaddr_in in;
        char host[INET_ADDRSTRLEN];

        if (length < sizeof(in))
                return -EPROTO;
        memcpy(&in, sa, sizeof(in));
        if (!inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host)))
                return -errno;
        *ret = (Peer){ .kind = PEER_TCP, .port = ntohs(in.sin_port) };
        (void)snprintf(ret->text, sizeof(ret->text), "tcp:%s:%" PRIu32, host, ret->port);
        return 0;
}

static int peer_from_inet6(const struct sockaddr_storage *sa, socklen_t length, Peer *ret)
{
        struct sockaddr_in6 in6;
        char host[INET6_ADDRSTRLEN];

        if (length < sizeof(in6))
                return -EPROTO;
        memcpy(&in6, sa, sizeof(in6));
        if (!inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host)))
                return -errno;
        *ret = (Peer){ .kind = PEER_TCP, .port = ntohs(in6.sin6_port) };
        (void)snprintf(ret->text, sizeof(ret->text), "tcp:[%s]:%" PRIu32, host, ret->port);
        return 0;
}

int peer_from_accept(int fd, int family, const struct sockaddr_storage *sa, socklen_t length,
                     Peer *ret)
{
        /* An unnamed Unix client's address is its family and no more; nothing is shorter. */
        if (length < sizeof(sa_family_t) || sa->ss_family != family)
                return -EPROTO;
        switch (family) {
        case AF_VSOCK:
                return peer_from_vsock(sa, length, ret);
        case AF_UNIX:
                return peer_from_unix(fd, ret);
        case AF_INET:
                return peer_from_inet(sa, length, ret);
        case AF_INET6:
                return peer_from_inet6(sa, length, ret);
        default:
                return -EPROTO;
        }
}

bool peer_is_allowed(const Peer *p, const CidSet *peers)
{
        return p->kind != PEER_VSOCK || cid_set_has(peers, p->cid);
}

static bool peer_is_root_on_vsock(const Peer *p, const CidSet *peers, unsigned transports)
{
        if (p->port >= PORTS_RESERVED)
                return false;
        switch (p->cid) {
        case VMADDR_CID_HOST:
                return !(transports & (VSOCK_TRANSPORT_HYPERV | VSOCK_TRANSPORT_UNKNOWN));
        case VMADDR_CID_LOCAL:
                /* May be a container with default capabilities: only where it was asked for. */
                return peers->names_local;
        default:
                /* A sibling's root has low ports of its own. */
                return false;
        }
}

bool peer_is_root(const Peer *p, const CidSet *peers, unsigned transports)
{
        switch (p->kind) {
        case PEER_VSOCK:
                return peer_is_root_on_vsock(p, peers, transports);
        case PEER_UNIX:
                return p->uid == 0 || p->uid == geteuid();
        case PEER_TCP:
                return false;
        }
        return false;
}
