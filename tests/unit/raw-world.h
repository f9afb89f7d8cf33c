/* SPDX-License-Identifier: MIT */
#pragma once

/* A session with raw calls, whose frames are told as text. */
#include "base/buffer.h"
#include "rpc/frame.h"
#include "rpc/raw.h"
#include "tests/unit/session-world.h"

#define CHANNELS 4

typedef struct World World;

/* What the holder of the raw call sees and does. One for all methods: a session has one at most. */
struct World {
        Call *call;
        Buffer in[CHANNELS];
        unsigned ended;    /* a mask of the caller's channels */
        size_t allowance;  /* of bytes to take; less from then on */
        size_t n_told[3];  /* by CallEnd */
        bool reply_at_end; /* of channel 1: what came on it goes back on channel 2 */
        bool deaf;         /* keeps the call when it is told to end it */

        size_t left; /* bytes to send on channel 2 as long as there is room */
        size_t sent;
        size_t n_writable;

        int fd; /* lent */
        Buffer received;
        size_t n_lent;
        bool return_at_once;
};

static World world;

static inline _unused_ size_t raw_on_data(Call *call, uint8_t channel, const char *data, size_t n,
                                          void *userdata)
{
        size_t taken = MIN_OF(n, world.allowance);

        assert_ptr_equal(call, world.call);
        assert_ptr_equal(userdata, &world);
        assert_true(channel < CHANNELS && n > 0 && !(world.ended & 1U << channel));
        world.allowance -= taken;
        assert_int_equal(buffer_append(&world.in[channel], data, taken), 0);
        return taken;
}

static inline _unused_ void raw_put(uint8_t channel, const char *data, size_t n)
{
        char *p = call_raw_reserve(world.call, channel, n + 10);

        assert_non_null(p);
        if (n > 0)
                memcpy(p, data, n);
        call_raw_commit(world.call, n);
}

static inline _unused_ void raw_reply(const char *json)
{
        Call *call = TAKE_PTR(world.call);

        call_reply_text(call, json, strlen(json));
}

static inline _unused_ void raw_on_end(Call *call, uint8_t channel, void *userdata)
{
        assert_ptr_equal(call, world.call);
        world.ended |= 1U << channel;
        if (channel != 1 || !world.reply_at_end)
                return;
        raw_put(2, buffer_peek(&world.in[1]), world.in[1].size);
        call_raw_end(call, 2);
        raw_reply("{\"exit\":0}");
}

static const RawOwner raw_owner = { .data = raw_on_data, .end = raw_on_end };

static inline _unused_ void raw_on_cancel(Call *call, CallEnd why, void *userdata)
{
        assert_ptr_equal(call, world.call);
        world.n_told[why]++;
        if (world.deaf)
                return;
        world.call = NULL;
        call_fail(call, REASON_CANCELLED, 0, "told to");
}

static inline _unused_ int raw_begin(Call *call)
{
        json_object *answer = json_object_new_object();

        json_object_object_add(answer, "raw", json_object_new_boolean(true));
        return call_raw_begin(call, answer, 1U << 1 | 1U << 3, &raw_owner, &world);
}

static inline _unused_ void method_raw(Call *call, json_object *params, void *userdata)
{
        call_set_cancel(call, raw_on_cancel, &world);
        if (raw_begin(call) >= 0)
                world.call = call;
}

static inline _unused_ void method_later(Call *call, json_object *params, void *userdata)
{
        call_set_cancel(call, raw_on_cancel, &world);
        world.call = call;
}

/* Sends world.left bytes that tell where they are. */
static inline _unused_ void raw_produce(Call *call, void *userdata)
{
        world.n_writable++;
        while (world.left > 0 && !call_is_congested(call)) {
                size_t n = MIN_OF(world.left, (size_t)100000);
                char *p = call_raw_reserve(call, 2, n);

                assert_non_null(p);
                for (size_t i = 0; i < n; i++)
                        p[i] = (char)((world.sent + i) % 251);
                call_raw_commit(call, n);
                world.sent += n;
                world.left -= n;
        }
        if (world.left == 0)
                raw_reply("{}");
}

static inline _unused_ void method_produce(Call *call, json_object *params, void *userdata)
{
        method_raw(call, params, userdata);
        call_set_writable(call, raw_produce, &world);
        world.left = 4 * 1024 * 1024 + 1;
        raw_produce(call, &world);
}

static inline _unused_ void method_huge(Call *call, json_object *params, void *userdata)
{
        static char text[FRAME_PAYLOAD_MAX + 2];

        memset(text, 'x', sizeof(text));
        text[0] = text[sizeof(text) - 1] = '"';
        call_reply_text(call, text, sizeof(text));
}

static const Method raw_methods[] = {
        { "raw.run", method_raw, METHOD_ASYNC, "Carries frames", NULL, NULL },
        { "raw.later", method_later, METHOD_ASYNC, "Carries them when told", NULL, NULL },
        { "raw.produce", method_produce, METHOD_ASYNC, "Sends 4 MiB", NULL, NULL },
        { "test.huge", method_huge, 0, "Answers more than a frame holds", NULL, NULL },
        { 0 },
};

static inline _unused_ int raw_setup(void **state)
{
        Fixture *f;

        (void)setup(state);
        f = *state;
        assert_int_equal(method_set_add(f->methods, raw_methods), 0);
        world = (World){ .allowance = SIZE_MAX, .fd = -EBADF };
        return 0;
}

static inline _unused_ int raw_teardown(void **state)
{
        int r = teardown(state);

        assert_null(world.call);
        for (size_t i = 0; i < CHANNELS; i++)
                buffer_done(&world.in[i]);
        buffer_done(&world.received);
        fd_close(world.fd);
        return r;
}

#define RAW_TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

static inline _unused_ void add_text(Buffer *b, const char *text)
{
        assert_int_equal(buffer_append(b, text, strlen(text)), 0);
}

static inline _unused_ void add_frame(Buffer *b, uint8_t channel, const char *payload, size_t n)
{
        uint8_t header[FRAME_HEADER_SIZE];

        frame_put_header(header, channel, n);
        assert_int_equal(buffer_append(b, header, sizeof(header)), 0);
        assert_int_equal(buffer_append(b, payload, n), 0);
}

/* "1:abc" is a frame, "1" an end. */
static inline _unused_ void feed_frame(Fixture *f, const char *what)
{
        Buffer b = BUFFER_NULL;

        add_frame(&b, (uint8_t)(what[0] - '0'), what[1] ? what + 2 : "",
                  what[1] ? strlen(what + 2) : 0);
        feed(f, buffer_peek(&b), b.size);
        buffer_done(&b);
}

/* Feeds at most `step` bytes at a time, and consumes them. */
static inline _unused_ void feed_in_steps(Fixture *f, Buffer *b, size_t step)
{
        for (size_t at = 0; at < b->size; at += step)
                feed(f, buffer_peek(b) + at, MIN_OF(step, b->size - at));
        buffer_done(b);
}

/* All that the session has sent. */
static inline _unused_ void collect_bytes(Fixture *f, Buffer *to)
{
        for (;;) {
                ssize_t n;
                char *p;

                turn(f);
                p = buffer_reserve(to, 65536);
                assert_non_null(p);
                n = recv(f->fd, p, 65536, 0);
                if (n <= 0)
                        return;
                buffer_commit(to, (size_t)n);
        }
}

/* Puts what the session has sent into words: a text up to its newline, and after an answer that
 * says raw "[2:data]" for each frame and "[2]" for an end, until "[0]". *raw: where it stands. */
static inline _unused_ char *collect_words(Fixture *f, bool *raw)
{
        Buffer b = BUFFER_NULL, words = BUFFER_NULL;
        FrameReader r = { .begun = true };

        collect_bytes(f, &b);
        while (b.size > 0) {
                const char *p = buffer_peek(&b);
                size_t used;
                FramePiece piece;

                if (!*raw) {
                        const char *end = memchr(p, '\n', b.size);

                        assert_non_null(end);
                        used = (size_t)(end - p) + 1;
                        assert_int_equal(buffer_append(&words, p, used), 0);
                        *raw = memmem(p, used, "\"raw\":true", 10);
                } else {
                        char head[16];
                        int what = frame_next(&r, p, b.size, &used, &piece);

                        assert_true(what == FRAME_END || (what == FRAME_PIECE && piece.last));
                        (void)snprintf(head, sizeof(head), "[%u%s", piece.channel,
                                       what == FRAME_END ? "" : ":");
                        add_text(&words, head);
                        assert_int_equal(buffer_append(&words, piece.data, piece.n), 0);
                        add_text(&words, "]");
                        *raw = what != FRAME_END || piece.channel != FRAME_CONTROL;
                }
                buffer_consume(&b, used);
        }
        buffer_done(&b);
        assert_int_equal(buffer_append(&words, "", 1), 0);
        return words.data + words.begin;
}

static inline _unused_ void expect_words(Fixture *f, bool raw, const char *words)
{
        _cleanup_free_ char *got = collect_words(f, &raw);

        assert_string_equal(got, words);
}

/* That the words hold these, in this order. */
static inline _unused_ void expect_among_words(Fixture *f, bool raw, const char *first,
                                               const char *second)
{
        _cleanup_free_ char *got = collect_words(f, &raw);
        const char *at = strstr(got, first);

        if (!at || !strstr(at + strlen(first), second))
                fail_msg("expected %s and %s in %s", first, second, got);
}

#define RUN(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"raw.run\"}\n"
#define RAW(id) "{\"jsonrpc\":\"2.0\",\"result\":{\"raw\":true},\"id\":" id "}\n"
#define ENDED(id) "{\"jsonrpc\":\"2.0\",\"result\":{\"exit\":0},\"id\":" id "}\n"
