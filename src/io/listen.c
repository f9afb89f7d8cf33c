/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/listen.h"
#include "io/place.h"
#include "io/problem.h"
#include "io/vsock.h"

/* What a peer on virtio may have under way; the kernel's own ceiling is 256 KiB. */
#define VSOCK_BUFFER_SIZE (UINT64_C(1024) * 1024)
/* The kernel doubles it, which makes hv_sock's largest ring (256 KiB). */
#define HVSOCK_BUFFER_SIZE (128 * 1024)

static int file_apply(int inode, const ListenFile *file)
{
        return place_set_file(inode, file->mode, file->uid, file->gid);
}

/*
 * Between bind() and listen(). The path given to bind() is the one in the configuration, so
 * that ss and getsockname() name it; a folder above that somebody swapped meanwhile shows
 * here, where the file must have appeared in the folder that was checked.
 */
static int file_prepare(const Place *p, const ListenFile *file, char **ret_problem)
{
        _cleanup_close_ int inode = -EBADF;
        struct stat st;
        int r;

        r = place_open_socket(p, &st);
        if (r < 0 || st.st_uid != geteuid()) {
                fd_close(r);
                return problem_take(ret_problem,
                                    text_format("a folder above '%s' was replaced while it was "
                                                "being opened: choose a path that others cannot "
                                                "change",
                                                p->path),
                                    -EPERM);
        }
        inode = r;
        r = file_apply(inode, file);
        if (r < 0) {
                place_remove(p);
                return problem_take(ret_problem,
                                    text_format("cannot give '%s' its mode, owner and group: %s",
                                                p->path, strerror(-r)),
                                    r);
        }
        return 0;
}

static int bind_address(int fd, const Address *a)
{
        struct sockaddr_storage sa;
        socklen_t length;
        int r;

        r = address_to_sockaddr(a, &sa, &length);
        if (r < 0)
                return r;
        return bind(fd, (const struct sockaddr *)&sa, length) < 0 ? -errno : 0;
}

static int listen_unix(const Address *a, const ListenFile *file, char **ret_problem)
{
        static const ListenFile private = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        _cleanup_place_ Place p = PLACE_NULL;
        _cleanup_close_ int fd = -EBADF;
        mode_t mask;
        int r;

        if (!file)
                file = &private;
        r = place_open(a->path, true, &p, ret_problem);
        if (r < 0)
                return r;
        r = place_clear(&p, file->uid, ret_problem);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* Until the file has a mode of its own it is the owner's alone. */
        mask = umask(0177);
        r = bind_address(fd, a);
        (void)umask(mask);
        if (r < 0)
                return r;
        r = file_prepare(&p, file, ret_problem);
        if (r < 0)
                return r;
        if (listen(fd, SOMAXCONN) < 0) {
                r = -errno;
                place_remove(&p);
                return r;
        }
        return TAKE_FD(fd);
}

static void vsock_set_buffers(int fd)
{
        const uint64_t size = VSOCK_BUFFER_SIZE;
        const int ring = HVSOCK_BUFFER_SIZE;

        /* Throughput hangs on these and nothing else does: a transport that refuses them is
         * served with its defaults, so failures are ignored. The maximum comes first, since
         * the kernel cuts the size down to it. */
        (void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof(size));
        (void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof(size));
        /* hv_sock makes an accepted connection's rings by its listener's values. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &ring, sizeof(ring));
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &ring, sizeof(ring));
}

static int listen_vsock(const Address *a)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        vsock_set_buffers(fd);
        r = bind_address(fd, a);
        if (r < 0)
                return r;
        return listen(fd, SOMAXCONN) < 0 ? -errno : TAKE_FD(fd);
}

static int listen_tcp(const Address *a)
{
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_storage sa;
        const int on = 1;
        socklen_t length;
        int r;

        r = address_to_sockaddr(a, &sa, &length);
        if (r < 0)
                return r;
        fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* Without it a restart fails while connections of the last run are in TIME_WAIT. */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        /* [::] must not take the IPv4 port too: that would be a listener nobody asked for. */
        if (sa.ss_family == AF_INET6 &&
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -errno;
        /* Accepted sockets inherit it. A reply is one write: waiting for more costs 40 ms and
         * saves nothing; where it fails the connection is slower and no less right. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        r = bind_address(fd, a);
        if (r < 0)
                return r;
        return listen(fd, SOMAXCONN) < 0 ? -errno : TAKE_FD(fd);
}

static char *problem_in_use(const Address *a)
{
        switch (a->kind) {
        case ADDRESS_VSOCK:
                return text_format("vsock port %" PRIu32 " is taken: stop what listens there "
                                   "(another guestwired or qemu-ga; ss --vsock -lp shows it), or "
                                   "choose another port",
                                   a->port);
        case ADDRESS_TCP:
                return text_format("TCP port %" PRIu32 " is taken: stop what listens there "
                                   "(ss -tlp shows it), or choose another port",
                                   a->port);
        default:
                return text_format("'%s' was made by somebody else this very moment: stop the "
                                   "other one, or choose another path",
                                   a->path);
        }
}

/* The sentence for an error of socket(), bind() or listen(). */
static char *problem_of_error(const Address *a, int error)
{
        _cleanup_free_ char *text = NULL;

        if (error == -EADDRINUSE)
                return problem_in_use(a);
        if (error == -EAFNOSUPPORT && a->kind == ADDRESS_VSOCK)
                return strdup(VSOCK_UNSUPPORTED_TEXT);
        text = address_to_text(a);
        if (!text)
                return NULL;
        if (error == -EAFNOSUPPORT)
                return text_format("cannot listen on %s: this kernel has no such addresses (IPv6 "
                                   "may be off)",
                                   text);
        if (error == -EADDRNOTAVAIL)
                return text_format("cannot listen on %s: no interface of this machine has that "
                                   "address",
                                   text);
        if (error == -EACCES && a->kind != ADDRESS_UNIX)
                return text_format("cannot listen on %s: a port below 1024 needs "
                                   "CAP_NET_BIND_SERVICE: run as root, add the capability to "
                                   "the unit, or choose a port from 1024",
                                   text);
        if (error == -EACCES)
                return text_format("cannot listen on %s: no permission to write in its folder: "
                                   "run as the folder's owner, or choose another folder",
                                   text);
        return text_format("cannot listen on %s: %s", text, strerror(-error));
}

int listen_open(const Address *a, const ListenFile *file, char **ret_problem)
{
        char *problem = NULL;
        int r;

        switch (a->kind) {
        case ADDRESS_VSOCK:
                r = listen_vsock(a);
                break;
        case ADDRESS_UNIX:
                r = listen_unix(a, file, &problem);
                break;
        case ADDRESS_TCP:
                r = listen_tcp(a);
                break;
        default:
                r = -EINVAL;
                break;
        }
        if (r >= 0)
                return r;
        *ret_problem = problem ? problem : problem_of_error(a, r);
        return r;
}

int listen_file_change(const Address *a, const ListenFile *file)
{
        _cleanup_place_ Place p = PLACE_NULL;
        _cleanup_close_ int inode = -EBADF;
        struct stat st;
        int r;

        if (a->kind != ADDRESS_UNIX)
                return -EINVAL;
        r = place_open(a->path, false, &p, NULL);
        if (r < 0)
                return r;
        inode = place_open_socket(&p, &st);
        return inode < 0 ? inode : file_apply(inode, file);
}

int listen_file_stat(const Address *a, struct stat *ret)
{
        _cleanup_place_ Place p = PLACE_NULL;
        _cleanup_close_ int inode = -EBADF;
        struct stat st;
        int r;

        r = place_open(a->path, false, &p, NULL);
        if (r < 0)
                return r;
        inode = place_open_socket(&p, &st);
        if (inode < 0)
                return inode;
        *ret = st;
        return 0;
}

bool listen_same_file(const Address *a, const Address *b)
{
        struct stat one, other;

        return a->kind == ADDRESS_UNIX && b->kind == ADDRESS_UNIX &&
               listen_file_stat(a, &one) >= 0 && listen_file_stat(b, &other) >= 0 &&
               one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int unix_address(const struct sockaddr_storage *sa, socklen_t length, Address *ret)
{
        const char *path = ((const struct sockaddr_un *)sa)->sun_path;
        size_t begin = offsetof(struct sockaddr_un, sun_path);

        /* Without a name, of the abstract kind, or relative to a folder that was another's. */
        if (length <= begin || path[0] != '/')
                return -EAFNOSUPPORT;
        ret->path = strndup(path, length - begin);
        return ret->path ? 0 : -ENOMEM;
}

static int tcp_address(const struct sockaddr_storage *sa, Address *ret)
{
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
        bool is_v6 = sa->ss_family == AF_INET6;

        if (!inet_ntop(sa->ss_family,
                       is_v6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host,
                       sizeof(host)))
                return -errno;
        ret->port = ntohs(is_v6 ? in6->sin6_port : in->sin_port);
        if (is_v6 && in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, name))
                ret->host = text_format("%s%%%s", host, name);
        else
                ret->host = strdup(host);
        return ret->host ? 0 : -ENOMEM;
}

static int socket_address(int fd, Address *ret)
{
        struct sockaddr_storage sa = { 0 };
        const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&sa;
        socklen_t length = sizeof(sa);

        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return -errno;
        switch (sa.ss_family) {
        case AF_VSOCK:
                ret->kind = ADDRESS_VSOCK;
                ret->cid = vm->svm_cid;
                ret->port = vm->svm_port;
                return 0;
        case AF_UNIX:
                ret->kind = ADDRESS_UNIX;
                return unix_address(&sa, MIN_OF(length, (socklen_t)sizeof(struct sockaddr_un)),
                                    ret);
        case AF_INET:
        case AF_INET6:
                ret->kind = ADDRESS_TCP;
                return tcp_address(&sa, ret);
        default:
                return -EAFNOSUPPORT;
        }
}

int listen_address(int fd, Address *ret)
{
        _cleanup_address_ Address a = ADDRESS_NULL;
        int type = 0, listens = 0, r;
        socklen_t length = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
                return -errno;
        length = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0)
                return -errno;
        if (type != SOCK_STREAM || !listens)
                return -EPROTOTYPE;
        r = socket_address(fd, &a);
        if (r < 0)
                return r;
        *ret = a;
        a = ADDRESS_NULL;
        return 0;
}

static int adopt(int fd, const Address *a, const ListenFile *file, char **ret_problem)
{
        const int on = 1;
        int flags, r;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        if (a->kind == ADDRESS_VSOCK)
                vsock_set_buffers(fd);
        if (a->kind == ADDRESS_TCP)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (a->kind == ADDRESS_UNIX) {
                r = listen_file_change(a, file);
                if (r < 0)
                        return problem_take(ret_problem,
                                            text_format("cannot give '%s', which was passed to "
                                                        "us, its mode, owner and group: %s",
                                                        a->path, strerror(-r)),
                                            r);
        }
        /* Once more: for the backlog, and for Unix sockets it makes SO_PEERCRED name us. */
        return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

int listen_adopt(int fd, const Address *a, const ListenFile *file, char **ret_problem)
{
        char *problem = NULL;
        int r;

        r = adopt(fd, a, file, &problem);
        if (r < 0)
                *ret_problem = problem ? problem : problem_of_error(a, r);
        return r;
}

/*
 * The kernel tells no unprivileged caller which file a socket is bound to, but a connection
 * made through the file has the credentials of who listens behind it.
 */
static bool inode_is_ours(int inode)
{
        _cleanup_close_ int probe = place_connect(inode);
        struct ucred cred;
        socklen_t length = sizeof(cred);

        return probe >= 0 && getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &cred, &length) == 0 &&
               cred.pid == getpid();
}

void listen_file_remove(const Address *a, int fd)
{
        _cleanup_place_ Place p = PLACE_NULL;
        _cleanup_close_ int inode = -EBADF;
        _cleanup_address_ Address own = ADDRESS_NULL;
        struct stat st;

        if (a->kind != ADDRESS_UNIX || listen_address(fd, &own) < 0 ||
            (!address_equal(a, &own) && !listen_same_file(a, &own)))
                return;
        if (place_open(a->path, false, &p, NULL) < 0)
                return;
        inode = place_open_socket(&p, &st);
        if (inode >= 0 && inode_is_ours(inode))
                place_remove(&p);
}
