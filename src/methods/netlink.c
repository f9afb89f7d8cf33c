/* SPDX-License-Identifier: MIT */
#include "methods/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"

/* The kernel makes its answers as large as the reader's buffer, up to this. */
#define ANSWER_SIZE 32768U

int netlink_open(void)
{
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (fd < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int netlink_ask(int fd, uint16_t type)
{
        struct {
                struct nlmsghdr header;
                struct rtgenmsg body;
        } request = {
                .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
                            .nlmsg_type = type,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .body = { .rtgen_family = AF_UNSPEC },
        };
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        ssize_t n;

        do
                n = sendto(fd, &request, request.header.nlmsg_len, 0, (struct sockaddr *)&kernel,
                           sizeof kernel);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* One answer of the kernel's. Its length, or -errno. */
static ssize_t netlink_receive(int fd, char *buffer)
{
        for (;;) {
                struct sockaddr_nl from;
                socklen_t length = sizeof from;
                ssize_t n = recvfrom(fd, buffer, ANSWER_SIZE, MSG_TRUNC | MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &length);

                if (n < 0 && errno == EINTR)
                        continue;
                /* A dump does not wait: silence would be the kernel's fault. */
                if (n < 0)
                        return errno == EAGAIN ? -EIO : -errno;
                /* Any process may write to a netlink socket; port 0 is the kernel. */
                if (length != sizeof from || from.nl_pid != 0)
                        continue;
                if ((size_t)n > ANSWER_SIZE)
                        return -EMSGSIZE;
                if (n == 0)
                        return -EIO;
                return n;
        }
}

/* The error that an NLMSG_ERROR or NLMSG_DONE carries: 0 or -errno. */
static int message_error(const struct nlmsghdr *m)
{
        int error;

        if (m->nlmsg_len < NLMSG_LENGTH(sizeof error))
                return m->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
        error = *(const int *)NLMSG_DATA(m);
        return error < 0 ? error : 0;
}

int netlink_dump(int fd, uint16_t type, NetlinkFunction f, void *userdata)
{
        _cleanup_free_ char *buffer = malloc(ANSWER_SIZE);
        bool torn = false;
        int r;

        if (!buffer)
                return -ENOMEM;
        r = netlink_ask(fd, type);
        if (r < 0)
                return r;
        for (;;) {
                ssize_t n = netlink_receive(fd, buffer);
                unsigned left;

                if (n < 0)
                        return (int)n;
                left = (unsigned)n;
                for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(m, left);
                     m = NLMSG_NEXT(m, left)) {
                        torn = torn || (m->nlmsg_flags & NLM_F_DUMP_INTR);
                        if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR) {
                                r = message_error(m);
                                return r < 0 ? r : torn ? -EAGAIN : 0;
                        }
                        r = f(m, userdata);
                        if (r < 0)
                                return r;
                }
        }
}
