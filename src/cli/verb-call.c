/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

/* More is refused: no agent takes it, and what is read here is held in memory. */
#define INPUT_MAX ((size_t)64 * 1024 * 1024)

static void buffer_donep(Buffer *b)
{
        buffer_done(b);
}

/* All of standard input. 0, or -errno; -EFBIG past INPUT_MAX. */
static int read_input(Buffer *ret)
{
        _cleanup_(buffer_donep) Buffer b = BUFFER_NULL;
        ssize_t n;
        char *p;

        for (;;) {
                p = buffer_reserve(&b, 64 * 1024);
                if (!p)
                        return -ENOMEM;
                n = read(STDIN_FILENO, p, 64 * 1024);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                buffer_commit(&b, (size_t)n);
                if (b.size > INPUT_MAX)
                        return -EFBIG;
        }
        *ret = b;
        b = BUFFER_NULL;
        return 0;
}

static int params_from_input(json_object **ret)
{
        _cleanup_(buffer_donep) Buffer b = BUFFER_NULL;
        _cleanup_json_ json_object *params = NULL;
        int r;

        r = read_input(&b);
        if (r < 0) {
                output_error("cannot read the parameters from standard input: %s", strerror(-r));
                return EXIT_USAGE;
        }
        r = json_from_text(b.size > 0 ? buffer_peek(&b) : "", b.size, INPUT_MAX, &params);
        if (r == -ENOMEM) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        if (r == -ERANGE) {
                output_error("standard input is JSON, but with a number past 64 bits, a key twice "
                             "or with a NUL, or nested too deep");
                return EXIT_USAGE;
        }
        if (r < 0 || !(json_object_is_type(params, json_type_object) ||
                       json_object_is_type(params, json_type_array))) {
                output_error("standard input is not a JSON object");
                return EXIT_USAGE;
        }
        *ret = TAKE_PTR(params);
        return EXIT_OK;
}

static int params_from_words(char **words, size_t n, json_object **ret)
{
        _cleanup_free_ char *problem = NULL;
        int r;

        r = json_from_words(words, n, ret, &problem);
        if (r == -ENOMEM) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_USAGE;
        }
        return EXIT_OK;
}

int verb_call(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_json_ json_object *params = NULL, *result = NULL;
        _cleanup_(client_freep) Client *c = NULL;
        const char *method = args[1];
        int r;

        if (!method[0] || !text_is_utf8(method, strlen(method))) {
                output_error("a method's name is UTF-8 and not empty");
                return EXIT_USAGE;
        }
        /* Before the connection: what is typed wrong needs no guest to say so. */
        r = n == 3 && strcmp(args[2], "-") == 0 ? params_from_input(&params)
                                                : params_from_words(args + 2, n - 2, &params);
        if (r == EXIT_OK)
                r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, method, params, &result);
        if (r == EXIT_OK)
                output_json(result, !s->json);
        return r;
}
