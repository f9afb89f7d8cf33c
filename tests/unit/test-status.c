/* SPDX-License-Identifier: MIT */

/* What is said as STATUS=, and what where there is no memory to say it. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/status.h"

static bool no_memory;

FILE *open_memstream(char **text, size_t *n)
{
        FILE *(*real)(char **, size_t *) =
                (FILE * (*)(char **, size_t *)) dlsym(RTLD_NEXT, "open_memstream");
        static char room[1024];

        if (!no_memory)
                return real(text, n);
        /* As glibc's, whose fclose() succeeds where it cannot make the text, and sets neither. */
        *text = NULL;
        return fmemopen(room, sizeof(room), "w");
}

static void test_text(void **state)
{
        Agent a = { .stats = { .connections_current = 2, .calls_total = 5, .calls_running = 1 } };
        _cleanup_free_ char *text = NULL;

        list_init(&a.listeners);
        assert_int_equal(activation_new(NULL, &a.activation), 0);
        text = status_text(&a);
        assert_string_equal(text, "No port is configured; 2 connections, 4 calls served");
        (void)activation_free(a.activation);
}

static void test_without_memory(void **state)
{
        Agent a = { 0 };

        list_init(&a.listeners);
        assert_int_equal(activation_new(NULL, &a.activation), 0);
        no_memory = true;
        assert_null(status_text(&a));
        (void)activation_free(a.activation);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
