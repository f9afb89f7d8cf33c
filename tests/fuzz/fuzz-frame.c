/* SPDX-License-Identifier: MIT */

/*
 * The codec of frames, whatever the bytes and however they are cut: the first byte says how many
 * come at a time. What comes out of pieces must be what comes out of the whole, and what is put
 * together of it again must be what came.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "rpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition, const char *what)
{
        if (!condition) {
                fprintf(stderr, "%s\n", what);
                abort();
        }
}

static void add(Buffer *b, const void *data, size_t n)
{
        check(buffer_append(b, data, n) == 0, "no memory");
}

/* The frames of n bytes, made anew into *to: a header where a frame is first heard of. Returns
 * -EMSGSIZE, or whether it ends between two frames. */
static int take(const char *data, size_t n, size_t step, Buffer *to)
{
        FrameReader r = { 0 };
        uint8_t header[FRAME_HEADER_SIZE];
        size_t at = 0, left = 0;

        while (at < n) {
                size_t there = MIN_OF(step, n - at), used = SIZE_MAX;
                FramePiece piece;
                int what;

                what = frame_next(&r, data + at, there, &used, &piece);
                if (what < 0) {
                        check(what == -EMSGSIZE, "an error of another kind");
                        return what;
                }
                check(used > 0 && used <= there, "it used what is not there, or nothing");
                at += used;
                if (what == FRAME_MORE) {
                        check(used == there, "bytes were left for no reason");
                        continue;
                }
                if (piece.first) {
                        check(left == 0, "a frame in another");
                        left = piece.size;
                        check(left <= FRAME_PAYLOAD_MAX, "too long a frame");
                        frame_put_header(header, piece.channel, left);
                        add(to, header, sizeof(header));
                }
                check((what == FRAME_END) == (piece.n == 0), "an end that is none");
                check(piece.n <= left, "more than the frame holds");
                left -= piece.n;
                check(piece.last == (left == 0), "the end of a frame was missed");
                add(to, piece.data, piece.n);
        }
        return frame_is_between(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Buffer whole = BUFFER_NULL, pieces = BUFFER_NULL;
        size_t blank = 1, step;
        int a, b;

        if (size == 0)
                return 0;
        step = data[0] % 16U + 1;
        a = take((const char *)data + 1, size - 1, SIZE_MAX, &whole);
        b = take((const char *)data + 1, size - 1, step, &pieces);
        check(a == b, "it depends on the cuts whether that is sound");
        check(whole.size == pieces.size, "it depends on the cuts what comes out");
        check(whole.size == 0 || memcmp(buffer_peek(&whole), buffer_peek(&pieces), whole.size) == 0,
              "it depends on the cuts which bytes come out");

        while (blank < size && strchr("\n\r\t ", data[blank]) && data[blank] != '\0')
                blank++;
        check(whole.size <= size - blank, "more comes out than came");
        check(whole.size == 0 || memcmp(buffer_peek(&whole), data + blank, whole.size) == 0,
              "something else comes out than came");
        check(a != 1 || whole.size == size - blank, "something was lost");
        buffer_done(&whole);
        buffer_done(&pieces);
        return 0;
}
