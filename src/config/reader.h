/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/*
 * inih behind a reader that counts lines and refuses what inih would cut or misread, so that
 * a file means the same whatever flags inih was built with, and every error has its line.
 */
typedef struct ConfigReaderCalls ConfigReaderCalls;

struct ConfigReaderCalls {
        /* A header, also of a section without keys. name: between the brackets, stripped. */
        void (*section)(void *userdata, unsigned line, const char *name);
        /* A key with its whole value: continuation lines joined by one space, quotes undone
         * (but of words, see above). */
        void (*value)(void *userdata, unsigned line, const char *key, const char *value);
        /* What is wrong, and what to do; reading goes on with the next line. */
        void (*error)(void *userdata, unsigned line, const char *problem);
        /*
         * Whether a key of the section at hand takes words, which have quotes of their own: then
         * a value that begins with a double quote is handed over as it stands. NULL: none does.
         */
        bool (*takes_words)(void *userdata, const char *key);
};

/* Reads n bytes of text. 0 (errors were reported by call), or -ENOMEM. */
int config_reader_run(const char *text, size_t n, const ConfigReaderCalls *calls, void *userdata);
