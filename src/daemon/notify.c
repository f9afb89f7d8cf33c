/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"

/* Of other kinds of address the library knows more, and says what is wrong with them. */
static int notify_by_library(const char *message, int fd)
{
        int r = fd >= 0 ? sd_pid_notify_with_fds(0, 0, message, &fd, 1) : sd_notify(0, message);

        return MIN_OF(r, 0);
}

int notify_send(const char *message, int fd)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec iov = { .iov_base = (char *)message, .iov_len = strlen(message) };
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct msghdr m = { .msg_name = &un, .msg_iov = &iov, .msg_iovlen = 1 };
        const char *path = getenv("NOTIFY_SOCKET");
        _cleanup_close_ int socket_fd = -EBADF;
        size_t n = path ? strlen(path) : 0;

        if (n < 2 || n > sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
                return notify_by_library(message, fd);
        memcpy(un.sun_path, path, n);
        if (path[0] == '@')
                un.sun_path[0] = '\0';
        m.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        if (fd >= 0) {
                m.msg_control = &control;
                m.msg_controllen = sizeof(control.room);
                control.header = (struct cmsghdr){
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                        .cmsg_len = CMSG_LEN(sizeof(int)),
                };
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        }
        socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (socket_fd < 0)
                return -errno;
        return sendmsg(socket_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
