/* SPDX-License-Identifier: MIT */
#include "rpc/frame.h"

#include <assert.h>
#include <errno.h>

#include "base/macros.h"

void frame_put_header(uint8_t to[static FRAME_HEADER_SIZE], uint8_t channel, size_t n)
{
        assert(n <= FRAME_PAYLOAD_MAX);
        to[0] = (uint8_t)(n >> 24);
        to[1] = (uint8_t)(n >> 16);
        to[2] = (uint8_t)(n >> 8);
        to[3] = (uint8_t)n;
        to[4] = channel;
}

static uint32_t frame_size(const FrameReader *r)
{
        const uint8_t *h = r->header;

        return (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

static bool is_white(char c)
{
        return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

int frame_next(FrameReader *r, const char *data, size_t n, size_t *ret_used, FramePiece *ret)
{
        size_t used = 0;

        /* No frame begins like this: the first byte of a length is 0. */
        while (!r->begun && r->have == 0 && used < n && is_white(data[used]))
                used++;

        if (r->have < FRAME_HEADER_SIZE) {
                while (r->have < FRAME_HEADER_SIZE && used < n)
                        r->header[r->have++] = (uint8_t)data[used++];
                if (r->have < FRAME_HEADER_SIZE) {
                        *ret_used = used;
                        return FRAME_MORE;
                }
                r->channel = r->header[FRAME_HEADER_SIZE - 1];
                r->left = frame_size(r);
                if (r->left > FRAME_PAYLOAD_MAX)
                        return -EMSGSIZE;
                r->begun = true;
                if (r->left == 0) {
                        r->have = 0;
                        *ret = (FramePiece){ .channel = r->channel, .first = true, .last = true };
                        *ret_used = used;
                        return FRAME_END;
                }
        }
        if (used == n) {
                *ret_used = used;
                return FRAME_MORE;
        }

        *ret = (FramePiece){
                .channel = r->channel,
                .data = data + used,
                .n = MIN_OF((size_t)r->left, n - used),
                .first = r->left == frame_size(r),
                .size = frame_size(r),
        };
        r->left -= (uint32_t)ret->n;
        ret->last = r->left == 0;
        if (ret->last)
                r->have = 0;
        *ret_used = used + ret->n;
        return FRAME_PIECE;
}

bool frame_is_between(const FrameReader *r)
{
        return r->have == 0;
}
