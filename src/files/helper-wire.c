/* SPDX-License-Identifier: MIT */
#include "files/helper-wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void put_header(uint8_t to[static HELPER_HEADER_SIZE], HelperKind kind, size_t n)
{
        uint32_t length = htobe32((uint32_t)n);

        memcpy(to, &length, sizeof(length));
        to[sizeof(length)] = (uint8_t)kind;
}

size_t helper_payload_size(const uint8_t header[static HELPER_HEADER_SIZE])
{
        uint32_t length;

        memcpy(&length, header, sizeof(length));
        return be32toh(length);
}

int helper_take(const Buffer *in, size_t max, HelperKind *ret_kind, const char **ret_data,
                size_t *ret_n)
{
        const char *data = buffer_peek(in);
        size_t length;

        if (in->size < HELPER_HEADER_SIZE)
                return 0;
        length = helper_payload_size((const uint8_t *)data);
        if (length > max)
                return -EMSGSIZE;
        if ((uint8_t)data[HELPER_HEADER_SIZE - 1] >= HELPER_KIND_MAX)
                return -EBADMSG;
        if (in->size - HELPER_HEADER_SIZE < length)
                return 0;
        *ret_kind = (HelperKind)data[HELPER_HEADER_SIZE - 1];
        *ret_data = data + HELPER_HEADER_SIZE;
        *ret_n = length;
        return 1;
}

int helper_append_two(Buffer *out, HelperKind kind, const void *head, size_t n_head,
                      const void *data, size_t n)
{
        char *p = buffer_reserve(out, HELPER_HEADER_SIZE + n_head + n);

        if (!p)
                return -ENOMEM;
        put_header((uint8_t *)p, kind, n_head + n);
        if (n_head > 0)
                memcpy(p + HELPER_HEADER_SIZE, head, n_head);
        if (n > 0)
                memcpy(p + HELPER_HEADER_SIZE + n_head, data, n);
        buffer_commit(out, HELPER_HEADER_SIZE + n_head + n);
        return 0;
}

int helper_append(Buffer *out, HelperKind kind, const void *data, size_t n)
{
        return helper_append_two(out, kind, NULL, 0, data, n);
}

static void put_u64(uint8_t *to, uint64_t value)
{
        value = htobe64(value);
        memcpy(to, &value, sizeof(value));
}

static uint64_t get_u64(const char *from)
{
        uint64_t value;

        memcpy(&value, from, sizeof(value));
        return be64toh(value);
}

void helper_return_write(const HelperReturn *r, uint8_t to[static HELPER_RETURN_SIZE])
{
        uint32_t error = htobe32((uint32_t)-r->error);

        to[0] = r->paused;
        memcpy(to + 1, &error, sizeof(error));
        put_u64(to + 5, r->received);
        put_u64(to + 13, r->sent);
}

int helper_return_read(HelperReturn *ret, const char *data, size_t n)
{
        uint32_t error;

        if (n < HELPER_RETURN_SIZE)
                return -EBADMSG;
        memcpy(&error, data + 1, sizeof(error));
        error = be32toh(error);
        /* errno's range, MAX_ERRNO of the kernel: what goes on is to be one. */
        if (error > 4095)
                return -EBADMSG;
        *ret = (HelperReturn){
                .paused = data[0],
                .error = -(int)error,
                .received = get_u64(data + 5),
                .sent = get_u64(data + 13),
        };
        return 0;
}
