/* SPDX-License-Identifier: MIT */
#include "methods/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define NSEC_PER_USEC 1000
#define ZONES "/zoneinfo/"

ssize_t facts_read(const char *root, const char *path, char *buffer, size_t size)
{
        _cleanup_close_ int fd = -EBADF;
        char full[PATH_MAX];
        size_t n = 0;

        if ((size_t)snprintf(full, sizeof full, "%s%s", root, path) >= sizeof full)
                return -ENAMETOOLONG;
        fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        /* proc hands out its longer files in pieces. */
        while (n < size - 1) {
                ssize_t r = read(fd, buffer + n, size - 1 - n);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -errno;
                if (r == 0)
                        break;
                n += (size_t)r;
        }
        buffer[n] = '\0';
        return (ssize_t)n;
}

int facts_find_kibibytes(const char *text, const char *key, uint64_t *ret_bytes)
{
        size_t length = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                char *end;
                unsigned long long value;

                line += *line == '\n';
                if (strncmp(line, key, length) != 0)
                        continue;
                errno = 0;
                value = strtoull(line + length, &end, 10);
                if (errno != 0 || end == line + length || value > UINT64_MAX / 1024)
                        return -ENOENT;
                *ret_bytes = (uint64_t)value * 1024;
                return 0;
        }
        return -ENOENT;
}

const char *facts_timezone(const char *root, char *buffer, size_t size)
{
        char full[PATH_MAX];
        const char *zone;
        ssize_t n;

        if ((size_t)snprintf(full, sizeof full, "%s/etc/localtime", root) >= sizeof full)
                return NULL;
        n = readlink(full, buffer, size - 1);
        if (n < 0)
                return errno == ENOENT ? "UTC" : NULL;
        buffer[n] = '\0';
        zone = strstr(buffer, ZONES);
        return zone && zone[strlen(ZONES)] != '\0' ? zone + strlen(ZONES) : NULL;
}

uint64_t facts_now(clockid_t clock)
{
        struct timespec t;

        if (clock_gettime(clock, &t) < 0)
                return 0;
        return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)(t.tv_nsec / NSEC_PER_USEC);
}
