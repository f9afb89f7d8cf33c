/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the configuration share: configurations from texts, and what is printed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/text.h"
#include "config/config.h"

/* The configuration of a text without errors. */
static _unused_ Config *load(const char *text)
{
        ConfigErrors errors = { 0 };
        Config *c = NULL;
        int r;

        r = config_load_text("f", text, strlen(text), &c, &errors);
        if (r < 0)
                fail_msg("%s\n%s", text, errors.list ? errors.list[0] : strerror(-r));
        assert_null(errors.list);
        return c;
}

static _unused_ char *print(const Config *c)
{
        char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        assert_non_null(f);
        config_print(c, f);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* Joins what was refused, one error a line. */
static _unused_ char *errors_join(ConfigErrors *errors)
{
        char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        assert_non_null(f);
        assert_non_null(errors->list);
        for (char **p = errors->list; *p; p++)
                fprintf(f, "%s\n", *p);
        assert_int_equal(fclose(f), 0);
        config_errors_done(errors);
        return text;
}

/* The errors of a text that has some. */
static _unused_ char *refuse(const char *text)
{
        Config *untouched = (Config *)&untouched, *c = untouched;
        ConfigErrors errors = { 0 };
        int r;

        r = config_load_text("f", text, strlen(text), &c, &errors);
        if (r != -EINVAL)
                fail_msg("not refused (%d): %s", r, text);
        assert_ptr_equal(c, untouched);
        return errors_join(&errors);
}

/* Exactly one error, which begins so and holds these words. */
static _unused_ void expect_refusal(const char *text, const char *begin, const char *words)
{
        _cleanup_free_ char *errors = refuse(text);

        if (strncmp(errors, begin, strlen(begin)) != 0 || !strstr(errors, words) ||
            strchr(errors, '\n') != errors + strlen(errors) - 1)
                fail_msg("%s\nexpected one error \"%s … %s\", got:\n%s", text, begin, words,
                         errors);
}

static _unused_ const char defaults_of_agent[] = "[agent]\n"
                                                 "log-level = info\n"
                                                 "max-connections = 1024\n"
                                                 "max-message = 1M\n"
                                                 "max-values = 16384\n"
                                                 "max-calls = 64\n"
                                                 "message-timeout = 30s\n"
                                                 "shutdown-timeout = 5s\n"
                                                 "exit-on-idle = 0\n"
                                                 "scope = auto\n"
                                                 "properties =\n"
                                                 "max-programs = 256\n"
                                                 "max-output = 4M\n"
                                                 "max-jobs = 64\n"
                                                 "job-output = 1M\n"
                                                 "job-keep = 1h\n"
                                                 "token-file =\n";

static _unused_ const char defaults_of_port[] = "\n[port 1000]\n"
                                                "description = Guest agent\n"
                                                "handler = rpc\n"
                                                "peers = host\n"
                                                "trust = privileged\n"
                                                "trust-unsafe = no\n"
                                                "methods = *\n"
                                                "block-methods =\n"
                                                "max-connections = 64\n"
                                                "idle-timeout = 0\n"
                                                "root =\n"
                                                "scope = auto\n"
                                                "properties =\n";

static _unused_ const char defaults_of_listen[] = "\n[listen admin]\n"
                                                  "address = unix:/run/guestwire/agent.sock\n"
                                                  "mode = 0600\n"
                                                  "owner =\n"
                                                  "group =\n"
                                                  "description = Guest agent\n"
                                                  "handler = rpc\n"
                                                  "peers = host\n"
                                                  "trust = privileged\n"
                                                  "trust-unsafe = no\n"
                                                  "methods = *\n"
                                                  "block-methods =\n"
                                                  "max-connections = 64\n"
                                                  "idle-timeout = 0\n"
                                                  "root =\n"
                                                  "scope = auto\n"
                                                  "properties =\n";
