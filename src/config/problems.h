/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/macros.h"
#include "config/config.h"

/* What is wrong with the files of one load, collected as it is found, told in their order. */
typedef struct Problem Problem;
typedef struct Problems Problems;

struct Problem {
        size_t file;
        unsigned line;
        size_t turn; /* the order among those of one line */
        char *text;
};

struct Problems {
        char **files; /* names, in the order in which they are read; NULL-terminated */
        size_t n_files;
        Problem *list;
        size_t n;
        int error; /* -ENOMEM once something could not be noted */
};

/* Begins a file (or folder) of that name. Its number, for problems_add(); or -ENOMEM. */
int problems_add_file(Problems *p, const char *name, size_t *ret);
/* line 0: the file as a whole. Without memory p->error is set. */
void problems_add(Problems *p, size_t file, unsigned line, const char *format, ...) _printf_(4, 5);
void problems_add_v(Problems *p, size_t file, unsigned line, const char *format, va_list ap)
        _printf_(4, 0);

/*
 * 0 where there are none; -EINVAL with *errors filled, each as "file:line: text", by file and
 * line; -ENOMEM.
 */
int problems_tell(Problems *p, ConfigErrors *errors);

void problems_done(Problems *p);
#define _cleanup_problems_ _cleanup_(problems_done)
