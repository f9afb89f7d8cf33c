/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "proc/lines.h"

/* Far beyond what any of these take: a test that hangs ends, and fails. */
#define LONG UINT64_C(60000000)
#define LOG_SIZE ((size_t)1024 * 1024)

typedef struct World World;

struct World {
        sd_event *event;
        Lines *lines;
        int writer;
        int log; /* what stands in for standard error */
        int saved;
        char *text;
};

static int setup(void **state)
{
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->text = malloc(LOG_SIZE);
        assert_non_null(w->text);
        assert_true(sd_event_new(&w->event) >= 0);
        w->log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        assert_true(w->log >= 0);
        w->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        assert_true(w->saved >= 0);
        assert_int_equal(lines_new(w->event, "p", NULL, &w->lines, &w->writer), 0);
        assert_true(fcntl(w->writer, F_GETFD) & FD_CLOEXEC);
        /* To the program it blocks. */
        assert_false(fcntl(w->writer, F_GETFL) & O_NONBLOCK);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        lines_release(w->lines);
        sd_event_unref(w->event);
        fd_close(w->writer);
        fd_close(w->log);
        fd_close(w->saved);
        free(w->text);
        free(w);
        return 0;
}

/* Only while something may be logged: cmocka's own words go to standard error as well. */
static void turn(World *w, uint64_t timeout)
{
        assert_true(dup2(w->log, STDERR_FILENO) >= 0);
        (void)sd_event_run(w->event, timeout);
        assert_true(dup2(w->saved, STDERR_FILENO) >= 0);
}

static void put(World *w, const char *data, size_t n)
{
        while (n > 0) {
                size_t part = MIN_OF(n, (size_t)32768);

                assert_int_equal(write(w->writer, data, part), part);
                data += part;
                n -= part;
                turn(w, LONG);
        }
}

/* All that was logged, once the program has closed its end. */
static const char *finish(World *w)
{
        ssize_t n;

        w->writer = fd_close(w->writer);
        w->lines = lines_release(w->lines);
        while (sd_event_get_state(w->event) != SD_EVENT_FINISHED) {
                off_t before = lseek(w->log, 0, SEEK_CUR);

                turn(w, 0);
                if (lseek(w->log, 0, SEEK_CUR) == before)
                        break;
        }
        n = pread(w->log, w->text, LOG_SIZE - 1, 0);
        assert_true(n >= 0);
        w->text[n] = '\0';
        return w->text;
}

static void test_lines(void **state)
{
        World *w = *state;

        put(w, "one\ntw", 6);
        put(w, "o\r\n\n\nthree", 10);
        assert_string_equal(finish(w), "p: one\np: two\np: three\n");
}

static void test_not_text(void **state)
{
        World *w = *state;

        put(w, "a\033[31mb\0c\xff\n\xc3\xa4\n", 14);
        assert_string_equal(finish(w), "p: a\\x1b[31mb\\x00c\\xff\np: \xc3\xa4\n");
}

/* A long line becomes several, each of whole characters. */
static void test_long_line(void **state)
{
        World *w = *state;
        char line[5001];
        const char *p;
        size_t n = 0;

        line[0] = 'x';
        for (size_t i = 1; i < 5001; i += 2)
                memcpy(line + i, "\xc3\xa4", 2);
        put(w, line, 5001);
        put(w, "\nnext\n", 6);
        p = finish(w);
        assert_null(strstr(p, "\\x"));
        while (strncmp(p, "p: next\n", 8) != 0) {
                const char *end = strchr(p, '\n');

                assert_non_null(end);
                assert_true(strncmp(p, "p: ", 3) == 0);
                assert_true((size_t)(end - p) - 3 <= 2048);
                n += (size_t)(end - p) - 3;
                p = end + 1;
        }
        assert_int_equal(n, 5001);
}

/* A flood is read to its end and mostly counted. */
static void test_flood(void **state)
{
        World *w = *state;
        static char line[] = "flood flood flood flood flood fl\n";
        char *all = malloc(LOG_SIZE);
        const char *text;
        size_t n = 0, shown = 0;
        unsigned held_back = 0;

        assert_non_null(all);
        for (; n + sizeof(line) < LOG_SIZE; n += sizeof(line) - 1)
                memcpy(all + n, line, sizeof(line) - 1);
        put(w, all, n);
        free(all);
        text = finish(w);
        for (const char *p = text; (p = strstr(p, "p: flood")); p++)
                shown++;
        for (const char *p = text; (p = strstr(p, " lines were not logged")); p++) {
                const char *number = p;

                while (number[-1] != ' ')
                        number--;
                held_back += (unsigned)atoi(number);
        }
        assert_in_range(shown, 200, 2000);
        assert_int_equal(shown + held_back, n / (sizeof(line) - 1));
}

static void expect_tail(World *w, const char *expected, size_t n)
{
        const char *tail;

        assert_true(dup2(w->log, STDERR_FILENO) >= 0);
        assert_int_equal(lines_tail(w->lines, &tail), n);
        assert_true(dup2(w->saved, STDERR_FILENO) >= 0);
        assert_memory_equal(tail, expected, n);
}

static void test_tail(void **state)
{
        World *w = *state;
        char text[3 * LINES_TAIL_MAX];

        expect_tail(w, "", 0);
        put(w, "one\n", 4);
        /* What the loop has not seen yet counts too. */
        assert_int_equal(write(w->writer, "two\n", 4), 4);
        expect_tail(w, "one\ntwo\n", 8);

        memset(text, 'x', sizeof(text));
        put(w, text, LINES_TAIL_MAX - 3);
        put(w, "end", 3);
        memcpy(text + LINES_TAIL_MAX - 3, "end", 3);
        expect_tail(w, text, LINES_TAIL_MAX);

        /* It begins with a whole character. */
        for (size_t i = 0; i < sizeof(text); i += 3)
                memcpy(text + i, "\xe2\x82\xac", 3);
        put(w, text, sizeof(text));
        expect_tail(w, text, LINES_TAIL_MAX - LINES_TAIL_MAX % 3);

        /* After the end too. */
        w->writer = fd_close(w->writer);
        expect_tail(w, text, LINES_TAIL_MAX - LINES_TAIL_MAX % 3);
        expect_tail(w, text, LINES_TAIL_MAX - LINES_TAIL_MAX % 3);
}

/* Who is let go lives on until the pipe ends, and not longer than the loop. */
static void test_released(void **state)
{
        World *w = *state;

        w->lines = lines_release(w->lines);
        put(w, "first\n", 6);
        put(w, "last words", 10);
        assert_string_equal(finish(w), "p: first\np: last words\n");
}

static void test_loop_ends_first(void **state)
{
        World *w = *state;

        w->lines = lines_release(w->lines);
        assert_int_equal(write(w->writer, "last words\n", 11), 11);
        assert_true(dup2(w->log, STDERR_FILENO) >= 0);
        w->event = sd_event_unref(w->event);
        assert_true(dup2(w->saved, STDERR_FILENO) >= 0);
        assert_int_equal(pread(w->log, w->text, LOG_SIZE, 0), 14);
        assert_memory_equal(w->text, "p: last words\n", 14);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
                cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
                cmocka_unit_test_setup_teardown(test_released, setup, teardown),
                cmocka_unit_test_setup_teardown(test_loop_ends_first, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
