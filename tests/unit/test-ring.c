/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "methods/ring.h"

/* The byte at each cursor, so that a reader can tell where it is. */
static char byte_at(uint64_t cursor)
{
        return (char)(cursor * 7 + cursor / 251);
}

static void write_bytes(Ring *r, size_t n)
{
        char *data = malloc(MAX_OF(n, (size_t)1));

        assert_non_null(data);
        for (size_t i = 0; i < n; i++)
                data[i] = byte_at(r->end + i);
        ring_write(r, data, n);
        free(data);
}

/* Reads from cursor to the end; each byte is the one that belongs there. */
static void assert_reads(const Ring *r, uint64_t cursor)
{
        const char *data = NULL;
        size_t n;

        while ((n = ring_peek(r, cursor, &data)) > 0)
                for (size_t i = 0; i < n; i++, cursor++)
                        assert_int_equal(data[i], byte_at(cursor));
        assert_int_equal(cursor, r->end);
}

static void test_empty(void **state)
{
        const char *data;
        Ring r;

        ring_init(&r, 10);
        assert_int_equal(ring_begin(&r), 0);
        assert_int_equal(ring_peek(&r, 0, &data), 0);
        write_bytes(&r, 0);
        assert_int_equal(r.end, 0);
        ring_done(&r);
}

static void test_all_is_kept_up_to_the_limit(void **state)
{
        Ring r;

        ring_init(&r, 100000);
        for (size_t n = 1; r.end + n <= 100000; n += 37) {
                write_bytes(&r, n);
                assert_int_equal(ring_begin(&r), 0);
                assert_reads(&r, 0);
                assert_reads(&r, r.end / 2);
        }
        write_bytes(&r, (size_t)(100000 - r.end));
        assert_int_equal(ring_begin(&r), 0);
        assert_reads(&r, 0);
        write_bytes(&r, 1);
        assert_int_equal(ring_begin(&r), 1);
        assert_reads(&r, 1);
        ring_done(&r);
}

static void test_the_last_bytes_are_kept(void **state)
{
        static const size_t limits[] = { 1, 2, 7, 4095, 4096, 4097, 5000 };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                Ring r;

                ring_init(&r, limits[i]);
                for (size_t n = 0; n < 20000; n = n * 3 / 2 + 1) {
                        write_bytes(&r, n);
                        assert_int_equal(ring_begin(&r), r.end - MIN_OF(r.end, limits[i]));
                        assert_reads(&r, ring_begin(&r));
                }
                assert_int_equal(r.allocated, limits[i]);
                ring_done(&r);
        }
}

static void test_memory_is_taken_as_needed(void **state)
{
        Ring r;

        ring_init(&r, 1024 * 1024);
        assert_null(r.data);
        write_bytes(&r, 10);
        assert_in_range(r.allocated, 10, 4096);
        write_bytes(&r, 10000);
        assert_in_range(r.allocated, 10010, 32768);
        ring_done(&r);
}

static void test_without_memory_it_keeps_less(void **state)
{
        Ring r;

        /* No machine has that much: realloc() fails. */
        ring_init(&r, SIZE_MAX / 4);
        write_bytes(&r, 5000);
        ring_write(&r, NULL, 0);
        assert_reads(&r, 0);
        r.limit = r.allocated = 8192; /* as after such a failure */
        write_bytes(&r, 8192);
        assert_int_equal(ring_begin(&r), 5000);
        assert_reads(&r, 5000);
        ring_done(&r);

        ring_init(&r, 0);
        write_bytes(&r, 3);
        assert_int_equal(r.end, 3);
        assert_int_equal(ring_begin(&r), 3);
        assert_reads(&r, 3);
        ring_done(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_all_is_kept_up_to_the_limit),
                cmocka_unit_test(test_the_last_bytes_are_kept),
                cmocka_unit_test(test_memory_is_taken_as_needed),
                cmocka_unit_test(test_without_memory_it_keeps_less),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
