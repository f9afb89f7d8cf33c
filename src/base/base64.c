/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <errno.h>
#include <nettle/base64.h>

size_t base64_length(size_t n)
{
        return BASE64_ENCODE_RAW_LENGTH(n);
}

int base64_encode(Buffer *to, const void *data, size_t n)
{
        char *p;

        if (n == 0)
                return 0;
        p = buffer_reserve(to, base64_length(n));
        if (!p)
                return -ENOMEM;
        base64_encode_raw(p, n, data);
        buffer_commit(to, base64_length(n));
        return 0;
}

int base64_decode(Buffer *to, const char *text, size_t n)
{
        struct base64_decode_ctx context;
        size_t length = 0;
        char *p;

        if (n == 0)
                return 0;
        p = buffer_reserve(to, BASE64_DECODE_LENGTH(n));
        if (!p)
                return -ENOMEM;
        base64_decode_init(&context);
        if (!base64_decode_update(&context, &length, (uint8_t *)p, n, text) ||
            !base64_decode_final(&context))
                return -EINVAL;
        buffer_commit(to, length);
        return 0;
}
