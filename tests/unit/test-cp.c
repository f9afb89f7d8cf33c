/* SPDX-License-Identifier: MIT */

/* What a SRC or DST of `guestwire cp` means. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cp.h"

static void test_ends(void **state)
{
        static const struct {
                const char *word;
                CpKind kind;
                const char *target;
                const char *path;
        } ends[] = {
                { "a", CP_LOCAL, NULL, "a" },
                { "/a:b", CP_LOCAL, NULL, "/a:b" },
                { "./a:b", CP_LOCAL, NULL, "./a:b" },
                { "d/a:/b", CP_LOCAL, NULL, "d/a:/b" },
                { "-", CP_STREAM, NULL, "-" },
                { "./-", CP_LOCAL, NULL, "./-" },
                { "21:/", CP_GUEST, "21", "/" },
                { "21:/a:/b", CP_GUEST, "21", "/a:/b" },
                { "local:/etc/hosts", CP_GUEST, "local", "/etc/hosts" },
                { "vsock:21:/a", CP_GUEST, "vsock:21", "/a" },
                { "vsock:21:1000:/a", CP_GUEST, "vsock:21:1000", "/a" },
                { "unix:/run/a.sock:/b", CP_GUEST, "unix:/run/a.sock", "/b" },
                { "unix:/run/a:b.sock:/c", CP_GUEST, "unix:/run/a:b.sock", "/c" },
                { "unix:a.sock:/b:/c", CP_GUEST, "unix:a.sock", "/b:/c" },
                { "mux:/run/fc.sock:/b", CP_GUEST, "mux:/run/fc.sock", "/b" },
                { "mux:/run/fc.sock:52:/b", CP_GUEST, "mux:/run/fc.sock:52", "/b" },
                { "tcp:host:1000:/a", CP_GUEST, "tcp:host:1000", "/a" },
                { "tcp:[::1]:1000:/a", CP_GUEST, "tcp:[::1]:1000", "/a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                CpEnd e = CP_END_NULL;

                if (cp_end_parse(ends[i].word, &e) != EXIT_OK || e.kind != ends[i].kind)
                        fail_msg("%s", ends[i].word);
                assert_string_equal(e.path, ends[i].path);
                if (ends[i].target)
                        assert_string_equal(e.target, ends[i].target);
                else
                        assert_null(e.target);
                cp_end_done(&e);
        }
}

static void test_base_names(void **state)
{
        static const char *const names[][2] = {
                { "a", "a" },   { "/a/b", "b" },   { "/a/b/", "b" }, { "a//", "a" },
                { "a/.", "." }, { ".", "." },      { "..", "." },    { "a/..", "." },
                { "/", "." },   { "/...", "..." }, { "a/.b", ".b" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *name = cp_base_name(names[i][0]);

                assert_string_equal(name, names[i][1]);
        }
}

static void test_sizes(void **state)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } sizes[] = {
                { 0, "0 B" },
                { 1023, "1023 B" },
                { 1024, "1.0 KiB" },
                { 1536, "1.5 KiB" },
                { (1 << 20) - 1, "1.0 MiB" },
                { 1 << 30, "1.0 GiB" },
                { UINT64_MAX, "16.0 EiB" },
        };
        char text[32];

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                progress_size(text, sizes[i].bytes);
                assert_string_equal(text, sizes[i].text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),
                cmocka_unit_test(test_base_names),
                cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
