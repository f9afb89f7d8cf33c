/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static void test_empty_holds_no_memory(void **state)
{
        Buffer b = BUFFER_NULL;

        assert_int_equal(buffer_append(&b, NULL, 0), 0);
        assert_null(b.data);
        assert_int_equal(buffer_append(&b, "abc", 3), 0);
        assert_non_null(b.data);
        buffer_consume(&b, 3);
        assert_null(b.data);
        assert_int_equal(b.size, 0);
        assert_int_equal(b.capacity, 0);
        buffer_done(&b);
        buffer_done(&b);
}

static void test_reserve_and_commit(void **state)
{
        Buffer b = BUFFER_NULL;
        char *p;

        p = buffer_reserve(&b, 1000);
        assert_non_null(p);
        memset(p, 'x', 1000); /* all of it is ours: a sanitizer sees if not */
        buffer_commit(&b, 4);
        assert_int_equal(b.size, 4);
        assert_memory_equal(buffer_peek(&b), "xxxx", 4);

        /* What was reserved and not committed is not there. */
        p = buffer_reserve(&b, 1);
        *p = 'y';
        buffer_commit(&b, 1);
        assert_memory_equal(buffer_peek(&b), "xxxxy", 5);
        buffer_done(&b);
}

/* Only no memory is NULL: asking an empty buffer for no room is not. */
static void test_nothing_of_an_empty_one(void **state)
{
        Buffer b = BUFFER_NULL;

        assert_null(buffer_peek(&b));
        assert_non_null(buffer_reserve(&b, 0));
        buffer_commit(&b, 0);
        assert_int_equal(b.size, 0);
        buffer_done(&b);
        assert_null(buffer_peek(&b));
}

static void test_no_memory(void **state)
{
        Buffer b = BUFFER_NULL;

        assert_int_equal(buffer_append(&b, "abc", 3), 0);
        assert_null(buffer_reserve(&b, SIZE_MAX));
        assert_null(buffer_reserve(&b, SIZE_MAX - 3));
        assert_int_equal(buffer_append(&b, "abc", SIZE_MAX / 2), -ENOMEM);
        assert_int_equal(b.size, 3);
        assert_memory_equal(buffer_peek(&b), "abc", 3);
        buffer_done(&b);
}

/* Against a plain model: each byte's value is its number in the stream. */
static void test_is_a_queue(void **state)
{
        Buffer b = BUFFER_NULL;
        unsigned random = 1;
        size_t in = 0, out = 0, n, largest = 0;
        char chunk[700];

        for (unsigned round = 0; round < 20000; round++) {
                random = random * 1103515245 + 12345;
                n = (random >> 16) % sizeof(chunk);
                if (random & 0x8000) {
                        for (size_t i = 0; i < n; i++)
                                chunk[i] = (char)(in + i);
                        assert_int_equal(buffer_append(&b, chunk, n), 0);
                        in += n;
                } else {
                        n = MIN_OF(n, b.size);
                        for (size_t i = 0; i < n; i++)
                                assert_int_equal(buffer_peek(&b)[i], (char)(out + i));
                        buffer_consume(&b, n);
                        out += n;
                }
                assert_int_equal(b.size, in - out);
                largest = MAX_OF(largest, b.size);
                /* Space at the front is used again: bounded by what was ever held at once. */
                assert_true(b.capacity <= 4 * largest + 1024);
        }
        buffer_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty_holds_no_memory),
                cmocka_unit_test(test_reserve_and_commit),
                cmocka_unit_test(test_nothing_of_an_empty_one),
                cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_is_a_queue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
