/* SPDX-License-Identifier: MIT */

/*
 * Any bytes as a configuration. What is refused is refused with errors that each name their line;
 * what is taken is printed in a form that reads back to the same.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"

#define NAME "fuzz.conf"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failed check must stop the fuzzer in builds with NDEBUG too. */
#define CHECK(expression)                                                                \
        do {                                                                             \
                if (!(expression)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression); \
                        abort();                                                         \
                }                                                                        \
        } while (0)

static void check_errors(const ConfigErrors *errors, size_t n_lines)
{
        unsigned long last = 0;

        CHECK(errors->list && errors->list[0]);
        for (char *const *p = errors->list; *p; p++) {
                unsigned long line;
                char *end;

                CHECK(strncmp(*p, NAME ":", strlen(NAME ":")) == 0);
                line = strtoul(*p + strlen(NAME ":"), &end, 10);
                CHECK(strncmp(end, ": ", 2) == 0 && end[2]);
                CHECK(line >= 1 && line <= n_lines && line >= last);
                CHECK(!strchr(*p, '\n') && text_is_utf8(*p, strlen(*p)));
                last = line;
        }
}

/* The text of config_print(); the caller frees. */
static char *print(const Config *c, size_t *ret_n)
{
        char *text = NULL;
        FILE *f;

        f = open_memstream(&text, ret_n);
        CHECK(f);
        config_print(c, f);
        CHECK(fclose(f) == 0);
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_config_ Config *first = NULL, *second = NULL;
        _cleanup_free_ char *printed = NULL, *again = NULL;
        size_t n_lines = 1, n_printed, n_again;
        ConfigErrors errors = { 0 };
        int r;

        for (size_t i = 0; i < size; i++)
                n_lines += data[i] == '\n';

        r = config_load_text(NAME, (const char *)data, size, &first, &errors);
        if (r < 0) {
                CHECK(r == -EINVAL && !first);
                check_errors(&errors, n_lines);
                config_errors_done(&errors);
                return 0;
        }
        CHECK(first && !errors.list);

        printed = print(first, &n_printed);
        r = config_load_text("printed.conf", printed, n_printed, &second, &errors);
        if (r < 0 && errors.list)
                fprintf(stderr, "%s\n%s", errors.list[0], printed);
        CHECK(r == 0);
        again = print(second, &n_again);
        CHECK(n_printed == n_again && memcmp(printed, again, n_again) == 0);
        return 0;
}
