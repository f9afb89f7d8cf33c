/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/dial.h"
#include "tests/unit/dial-world.h"

static void test_mux(void **state)
{
        static const char answer[] = "OK 1073741824\n";
        World *w = *state;

        dial_vmm(w, answer, strlen(answer), strlen(answer), false, LONG);
        assert_connected(w);
        assert_string_equal(w->request, "CONNECT 1000\n");
}

static void test_mux_byte_by_byte(void **state)
{
        World *w = *state;

        dial_vmm(w, "OK 1\n", 5, 1, false, LONG);
        assert_connected(w);
}

/* Everything past the line is the guest's, at every way of cutting the stream. */
static void test_mux_leaves_the_rest(void **state)
{
        static const char said[] = "OK 1\n{\"a\":1}\nOK 2\n";
        World *w = *state;

        for (size_t chunk = 1; chunk <= strlen(said); chunk++) {
                char rest[64] = { 0 };
                size_t n = 0;

                dial_vmm(w, said, strlen(said), chunk, false, LONG);
                assert_connected(w);
                while (n < strlen(said) - 5) {
                        ssize_t k;

                        if (w->n_script > 0)
                                turn(w);
                        k = read(w->result, rest + n, sizeof(rest) - 1 - n);
                        if (k > 0)
                                n += (size_t)k;
                        else
                                assert_int_equal(errno, EAGAIN);
                }
                assert_string_equal(rest, said + 5);
                vmm_stop(w);
        }
}

/* At every byte of the answer, the first included. */
static void test_mux_closes_early(void **state)
{
        static const char answer[] = "OK 1\n";
        World *w = *state;

        for (size_t n = 0; n < strlen(answer); n++) {
                dial_vmm(w, answer, n, 1, true, LONG);
                assert_failed(w, -ECONNRESET, "nobody listens on port 1000 in the guest");
                vmm_stop(w);
        }
}

/* It may hang up before it has read the request, too. */
static void test_mux_closes_at_once(void **state)
{
        World *w = *state;
        const Address a = mux_address(w);

        listen_at_path(w, 8);
        begin(w, &a, 0, LONG);
        /* The connection waits in the backlog; nothing is written yet. */
        turn(w);
        close(accept4(w->listener, NULL, NULL, SOCK_CLOEXEC));
        finish(w);
        assert_failed(w, -ECONNRESET, "nobody listens on port 1000 in the guest");
}

static void test_mux_answers_nonsense(void **state)
{
        static const struct {
                const char *answer;
                const char *shown;
        } cases[] = {
                { "\n", "with '' and" },
                { "OK\n", "with 'OK' and" },
                { "OK \n", "with 'OK ' and" },
                { "OK x\n", "with 'OK x' and" },
                { "OK 1 \n", "with 'OK 1 ' and" },
                { "OK -1\n", "with 'OK -1' and" },
                { "OK 1\r\n", "with 'OK 1\\x0d' and" },
                { "ok 1\n", "with 'ok 1' and" },
                { "NO 1\n", "with 'NO 1' and" },
                { "\xff\x1b\n", "with '\\xff\\x1b' and" },
                { "HTTP/1.1 400 Bad Request\r\n", "with 'HTTP/1.1 400 Bad Request\\x0d' and" },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t chunk = 1; chunk < 3; chunk++) {
                        dial_vmm(w, cases[i].answer, strlen(cases[i].answer), chunk, false, LONG);
                        assert_failed(w, -EPROTO, cases[i].shown);
                        vmm_stop(w);
                }
        dial_vmm(w, "OK 1\0\n", 6, 6, false, LONG);
        assert_failed(w, -EPROTO, "is this the VMM's vsock socket?");
}

static void test_mux_line_without_end(void **state)
{
        char line[4096];
        World *w = *state;

        memset(line, '1', sizeof(line));
        memcpy(line, "OK ", 3);
        for (size_t chunk = 7; chunk < sizeof(line); chunk *= 8) {
                dial_vmm(w, line, sizeof(line), chunk, false, LONG);
                assert_failed(w, -EPROTO, "is this the VMM's vsock socket?");
                vmm_stop(w);
        }
}

/* The longest line that is taken, and one byte more. */
static void test_mux_line_length(void **state)
{
        char line[65];
        World *w = *state;

        memset(line, '0', sizeof(line));
        memcpy(line, "OK ", 3);
        line[63] = '\n';
        dial_vmm(w, line, 64, 64, false, LONG);
        assert_connected(w);
        vmm_stop(w);
        line[63] = '0';
        line[64] = '\n';
        dial_vmm(w, line, 65, 65, false, LONG);
        assert_failed(w, -EPROTO, "is this the VMM's vsock socket?");
}

static void test_mux_hangs(void **state)
{
        World *w = *state;

        for (size_t n = 0; n < 5; n++) {
                dial_vmm(w, "OK 1\n", n, 1, false, SHORT);
                assert_failed(w, -ETIMEDOUT, "within 20ms");
                vmm_stop(w);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                with_world(test_mux),
                with_world(test_mux_byte_by_byte),
                with_world(test_mux_leaves_the_rest),
                with_world(test_mux_closes_early),
                with_world(test_mux_closes_at_once),
                with_world(test_mux_answers_nonsense),
                with_world(test_mux_line_without_end),
                with_world(test_mux_line_length),
                with_world(test_mux_hangs),
        };

        return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
