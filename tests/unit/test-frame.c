/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/frame.h"

static void test_header_to_the_byte(void **state)
{
        static const struct {
                size_t n;
                uint8_t channel;
                uint8_t bytes[FRAME_HEADER_SIZE];
        } rows[] = {
                { 0, 0, { 0, 0, 0, 0, 0 } },
                { 1, 3, { 0, 0, 0, 1, 3 } },
                { 258, 255, { 0, 0, 1, 2, 255 } },
                { FRAME_PAYLOAD_MAX, 2, { 0, 0x10, 0, 0, 2 } },
        };
        uint8_t header[FRAME_HEADER_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                frame_put_header(header, rows[i].channel, rows[i].n);
                assert_memory_equal(header, rows[i].bytes, sizeof(header));
        }
}

/* "CHANNEL:payload;" for each frame, whose pieces are put together, and "CHANNEL.;" for an end. */
static void show(char *to, size_t size, const char *data, size_t n, size_t step)
{
        FrameReader r = { 0 };
        size_t at = 0;

        *to = '\0';
        while (at < n) {
                size_t limit = MIN_OF(at + step, n), used = SIZE_MAX;
                FramePiece piece;
                char *end = to + strlen(to);
                size_t room = size - strlen(to);

                switch (frame_next(&r, data + at, limit - at, &used, &piece)) {
                case FRAME_MORE:
                        assert_int_equal(used, limit - at);
                        break;
                case FRAME_END:
                        (void)snprintf(end, room, "%u.;", piece.channel);
                        break;
                case FRAME_PIECE:
                        assert_true(piece.n > 0 && piece.data + piece.n == data + at + used);
                        if (piece.first)
                                (void)snprintf(end, room, "%u:%zu:", piece.channel, piece.size);
                        assert_true(strlen(to) + piece.n + 2 < size);
                        (void)strncat(to, piece.data, piece.n);
                        if (piece.last)
                                (void)strcat(to, ";");
                        break;
                default:
                        fail();
                }
                at += used;
        }
        (void)strncat(to, frame_is_between(&r) ? "|" : "...", size - strlen(to) - 1);
}

static void test_pieces_of_every_size(void **state)
{
        static const char data[] = "\r\n \t\0\0\0\5\1hello\0\0\0\1\0{\0\0\0\0\1\0\0\0\3\377\n\n\n"
                                   "\0\0\0\0\0\0\0\0\2\2ab";
        char got[256];

        for (size_t step = 1; step <= sizeof(data); step++) {
                show(got, sizeof(got), data, sizeof(data) - 1, step);
                assert_string_equal(got, "1:5:hello;0:1:{;1.;255:3:\n\n\n;0.;2:2:ab;|");
        }
        /* Wherever it stops, it knows whether a frame is begun. */
        show(got, sizeof(got), data, 11, 3);
        assert_string_equal(got, "1:5:he...");
        show(got, sizeof(got), data, 6, 3);
        assert_string_equal(got, "...");
        show(got, sizeof(got), data, 14, 3);
        assert_string_equal(got, "1:5:hello;|");
}

/* White space is what the text before the first frame left; later it is no frame. */
static void test_white_space_only_at_the_beginning(void **state)
{
        FrameReader r = { 0 };
        FramePiece piece;
        size_t used;

        assert_int_equal(frame_next(&r, "\n\n", 2, &used, &piece), FRAME_MORE);
        assert_int_equal(used, 2);
        assert_true(frame_is_between(&r));
        assert_int_equal(frame_next(&r, "\n\0\0\0\0\1", 6, &used, &piece), FRAME_END);
        assert_int_equal(used, 6);
        assert_int_equal(frame_next(&r, "\n\0\0\0\0\1", 6, &used, &piece), -EMSGSIZE);
}

static void test_too_long(void **state)
{
        static const char longest[] = "\0\20\0\0\1x", longer[] = "\0\20\0\1\1x";
        FrameReader r = { 0 };
        FramePiece piece;
        size_t used;

        assert_int_equal(frame_next(&r, longest, 6, &used, &piece), FRAME_PIECE);
        assert_int_equal(piece.size, FRAME_PAYLOAD_MAX);
        assert_true(piece.first && !piece.last);

        r = (FrameReader){ 0 };
        used = 77;
        /* It is known by the header alone, and outputs stay as they were. */
        assert_int_equal(frame_next(&r, longer, 4, &used, &piece), FRAME_MORE);
        assert_int_equal(used, 4);
        assert_int_equal(frame_next(&r, longer + 4, 1, &used, &piece), -EMSGSIZE);
        assert_int_equal(used, 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_header_to_the_byte),
                cmocka_unit_test(test_pieces_of_every_size),
                cmocka_unit_test(test_white_space_only_at_the_beginning),
                cmocka_unit_test(test_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
