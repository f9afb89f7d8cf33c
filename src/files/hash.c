/* SPDX-License-Identifier: MIT */
#include "files/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>
#ifdef HAVE_XXHASH_DISPATCH
/* The same function with the widest registers that this CPU has, at twice the speed. */
#include <xxh_x86dispatch.h>
#endif

#define READ_SIZE ((size_t)256 * 1024)

int hash_begin(Hash *h)
{
        if (!h->state)
                h->state = XXH3_createState();
        if (!h->state || XXH3_128bits_reset(h->state) != XXH_OK)
                return -ENOMEM;
        return 0;
}

void hash_add(Hash *h, const void *data, size_t n)
{
        if (n > 0)
                (void)XXH3_128bits_update(h->state, data, n);
}

void hash_add_zeros(Hash *h, uint64_t n)
{
        static const char zeros[64 * 1024];

        while (n > 0) {
                size_t step = (size_t)MIN_OF(n, (uint64_t)sizeof(zeros));

                hash_add(h, zeros, step);
                n -= step;
        }
}

void hash_text(const Hash *h, char ret[static HASH_TEXT_SIZE])
{
        const XXH128_hash_t hash = XXH3_128bits_digest(h->state);

        snprintf(ret, HASH_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
                 (uint64_t)hash.low64);
}

void hash_done(Hash *h)
{
        if (h->state)
                (void)XXH3_freeState(h->state);
        h->state = NULL;
}

int hash_add_file(Hash *h, int fd, uint64_t size, int interrupt_fd)
{
        struct pollfd p = { .fd = interrupt_fd, .events = POLLIN };
        _cleanup_free_ char *block = NULL;
        uint64_t position = 0;
        ssize_t n;

        block = malloc(READ_SIZE);
        if (!block)
                return -ENOMEM;
        while (position < size) {
                if (interrupt_fd >= 0 && poll(&p, 1, 0) > 0)
                        return -EINTR;
                n = pread(fd, block, (size_t)MIN_OF(size - position, (uint64_t)READ_SIZE),
                          (off_t)position);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENODATA;
                hash_add(h, block, (size_t)n);
                position += (uint64_t)n;
        }
        return 0;
}
