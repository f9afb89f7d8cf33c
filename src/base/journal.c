/* SPDX-License-Identifier: MIT */
#include "base/journal.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/macros.h"

static int journal_fd = -EBADF;
static unsigned n_lost;

/* Open for as long as the process lives, like stderr. */
static int journal_open(void)
{
        if (journal_fd < 0)
                journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return journal_fd < 0 ? -errno : 0;
}

/* "NAME=value\n", or where the value has line breaks "NAME\n", its length (64 bits, little-endian),
 * the value, "\n". Returns how many pieces were put. */
static size_t field_put(struct iovec *v, uint64_t *length, const char *field)
{
        static char newline[] = "\n";
        const char *value = strchrnul(field, '=');
        size_t n = strlen(field), n_name = (size_t)(value - field);

        if (*value == '\0' || !strchr(value, '\n')) {
                v[0] = (struct iovec){ (char *)field, n };
                v[1] = (struct iovec){ newline, 1 };
                return 2;
        }
        *length = htole64(n - n_name - 1);
        v[0] = (struct iovec){ (char *)field, n_name };
        v[1] = (struct iovec){ newline, 1 };
        v[2] = (struct iovec){ length, sizeof(*length) };
        v[3] = (struct iovec){ (char *)value + 1, n - n_name - 1 };
        v[4] = (struct iovec){ newline, 1 };
        return 5;
}

static int journal_send_datagram(const char *const *fields, size_t n)
{
        struct sockaddr_un sa = { .sun_family = AF_UNIX,
                                  .sun_path = "/run/systemd/journal/socket" };
        struct iovec v[JOURNAL_FIELDS_MAX * 5]; /* a field takes up to five pieces */
        uint64_t lengths[JOURNAL_FIELDS_MAX];
        struct msghdr msg = { .msg_name = &sa, .msg_namelen = sizeof(sa), .msg_iov = v };

        for (size_t i = 0; i < n; i++)
                msg.msg_iovlen += field_put(v + msg.msg_iovlen, &lengths[i], fields[i]);
        return sendmsg(journal_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int journal_send(const char *const *fields, size_t n)
{
        int r;

        r = journal_open();
        if (r < 0)
                return r;
        if (n_lost > 0) {
                char message[96];
                const char *lost[] = { message, "PRIORITY=4" };

                (void)snprintf(message, sizeof(message),
                               "MESSAGE=%u records were lost: the journal did not keep up", n_lost);
                if (journal_send_datagram(lost, ELEMENTSOF(lost)) == 0)
                        n_lost = 0;
        }
        r = journal_send_datagram(fields, MIN_OF(n, (size_t)JOURNAL_FIELDS_MAX));
        if (r == -EAGAIN || r == -ENOBUFS) {
                n_lost++;
                return -EAGAIN;
        }
        return r;
}
