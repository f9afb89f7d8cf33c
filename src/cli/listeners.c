/* SPDX-License-Identifier: MIT */
#include "cli/listeners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/vm_sockets_diag.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define STATE_LISTEN 10 /* TCP_LISTEN, which AF_VSOCK shares; netinet/tcp.h and linux's clash */
#define UNIX_ACCEPTCON 0x10000U
#define ANSWER_SECONDS 2

static void file_closep(FILE **f)
{
        if (*f)
                fclose(*f);
}

static int diag_ask(int fd)
{
        const struct {
                struct nlmsghdr header;
                struct vsock_diag_req body;
        } request = {
                .header = { .nlmsg_len = sizeof(request),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .body = { .sdiag_family = AF_VSOCK, .vdiag_states = 1U << STATE_LISTEN },
        };
        const struct timeval timeout = { .tv_sec = ANSWER_SECONDS };

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* One message of the answer. 1: the listener was found; 0: go on; -ENODATA: that was all. */
static int diag_take(const struct nlmsghdr *h, uint32_t port, uint64_t *ret_inode)
{
        const struct vsock_diag_msg *m = NLMSG_DATA(h);
        const struct nlmsgerr *e = NLMSG_DATA(h);

        if (h->nlmsg_type == NLMSG_DONE)
                return -ENODATA;
        if (h->nlmsg_type == NLMSG_ERROR)
                return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && e->error < 0 ? e->error
                                                                                : -EPROTO;
        if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
                return 0;
        if (m->vdiag_state != STATE_LISTEN || m->vdiag_src_port != port)
                return 0;
        *ret_inode = m->vdiag_ino;
        return 1;
}

static int find_vsock(uint32_t port, uint64_t *ret_inode)
{
        _cleanup_close_ int fd = -EBADF;
        union {
                struct nlmsghdr header;
                char bytes[16384];
        } buffer;
        int r, found = 0;
        ssize_t n;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0)
                return -errno;
        r = diag_ask(fd);
        if (r < 0)
                return r;
        for (;;) {
                n = recv(fd, &buffer, sizeof(buffer), 0);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EPROTO;
                for (struct nlmsghdr *h = &buffer.header; NLMSG_OK(h, (size_t)n);
                     h = NLMSG_NEXT(h, n)) {
                        r = diag_take(h, port, ret_inode);
                        if (r == -ENODATA)
                                return found;
                        if (r < 0)
                                return r;
                        found |= r;
                }
        }
}

/* Lines of /proc/net/unix: number, references, protocol, flags, type, state, inode, path. */
static int find_unix(const char *path, uint64_t *ret_inode)
{
        _cleanup_(file_closep) FILE *f = fopen("/proc/net/unix", "re");
        char line[512];

        if (!f)
                return -errno;
        while (fgets(line, sizeof(line), f)) {
                unsigned flags;
                uint64_t inode;
                int end = 0;

                if (sscanf(line, "%*s %*s %*s %x %*s %*s %" SCNu64 " %n", &flags, &inode, &end) <
                            2 ||
                    end == 0 || !(flags & UNIX_ACCEPTCON))
                        continue;
                line[strcspn(line, "\n")] = 0;
                if (strcmp(line + end, path) == 0) {
                        *ret_inode = inode;
                        return 1;
                }
        }
        return 0;
}

/* Lines of /proc/net/tcp: number, local address and port in hex, remote, state, five more, inode.
 */
static int find_tcp(const char *table, uint32_t port, uint64_t *ret_inode)
{
        _cleanup_(file_closep) FILE *f = fopen(table, "re");
        char line[512];

        if (!f)
                return -errno;
        while (fgets(line, sizeof(line), f)) {
                unsigned local, state;
                uint64_t inode;

                if (sscanf(line, "%*s %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, &local,
                           &state, &inode) == 3 &&
                    state == STATE_LISTEN && local == port) {
                        *ret_inode = inode;
                        return 1;
                }
        }
        return 0;
}

int listeners_find(const Address *a, uint64_t *ret_inode)
{
        int r;

        switch (a->kind) {
        case ADDRESS_VSOCK:
                return find_vsock(a->port, ret_inode);
        case ADDRESS_UNIX:
        case ADDRESS_MUX:
                return find_unix(a->path, ret_inode);
        case ADDRESS_TCP:
                r = find_tcp("/proc/net/tcp", a->port, ret_inode);
                return r > 0 ? r : find_tcp("/proc/net/tcp6", a->port, ret_inode);
        default:
                return -EINVAL;
        }
}

/* Whether a process has the socket open. folder: its /proc/PID/fd. */
static bool holds_socket(const char *folder, const char *link)
{
        struct dirent *d;
        char target[64];
        bool found = false;
        ssize_t n;
        DIR *dir;

        dir = opendir(folder);
        if (!dir)
                return false;
        while (!found && (d = readdir(dir))) {
                n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
                if (n < 0)
                        continue;
                target[n] = 0;
                found = strcmp(target, link) == 0;
        }
        closedir(dir);
        return found;
}

static void read_name(pid_t pid, char ret[static LISTENERS_NAME_SIZE])
{
        _cleanup_close_ int fd = -EBADF;
        char path[64];
        ssize_t n = -1;

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
                n = read(fd, ret, LISTENERS_NAME_SIZE - 1);
        ret[n > 0 ? n : 0] = 0;
        ret[strcspn(ret, "\n")] = 0;
}

int listeners_owner(uint64_t inode, pid_t *ret_pid, char ret_name[static LISTENERS_NAME_SIZE])
{
        char link[64], path[64];
        struct dirent *d;
        uint32_t pid;
        int found = 0;
        DIR *proc;

        (void)snprintf(link, sizeof(link), "socket:[%" PRIu64 "]", inode);
        proc = opendir("/proc");
        if (!proc)
                return -errno;
        while (found == 0 && (d = readdir(proc))) {
                if (text_to_u32(d->d_name, &pid) < 0)
                        continue;
                (void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd", pid);
                if (holds_socket(path, link)) {
                        *ret_pid = (pid_t)pid;
                        read_name((pid_t)pid, ret_name);
                        found = 1;
                }
        }
        closedir(proc);
        return found;
}
