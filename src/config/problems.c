/* SPDX-License-Identifier: MIT */
#include "config/problems.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NAME_SHOWN 256

int problems_add_file(Problems *p, const char *name, size_t *ret)
{
        char *shown;
        int r;

        shown = text_show(name, strlen(name), NAME_SHOWN);
        if (!shown)
                return -ENOMEM;
        r = text_list_take(&p->files, shown);
        if (r < 0)
                return r;
        *ret = p->n_files++;
        return 0;
}

void problems_add_v(Problems *p, size_t file, unsigned line, const char *format, va_list ap)
{
        char *text;

        /* Doubled at each power of two: a file may hold as many errors as lines. */
        if ((p->n & (p->n - 1)) == 0) {
                Problem *list = reallocarray(p->list, p->n ? p->n * 2 : 1, sizeof(*list));

                if (!list) {
                        p->error = -ENOMEM;
                        return;
                }
                p->list = list;
        }
        if (vasprintf(&text, format, ap) < 0) {
                p->error = -ENOMEM;
                return;
        }
        p->list[p->n] = (Problem){ .file = file, .line = line, .turn = p->n, .text = text };
        p->n++;
}

void problems_add(Problems *p, size_t file, unsigned line, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problems_add_v(p, file, line, format, ap);
        va_end(ap);
}

static int problem_compare(const void *a, const void *b)
{
        const Problem *x = a, *y = b;

        if (x->file != y->file)
                return x->file < y->file ? -1 : 1;
        if (x->line != y->line)
                return x->line < y->line ? -1 : 1;
        return x->turn < y->turn ? -1 : 1;
}

int problems_tell(Problems *p, ConfigErrors *errors)
{
        _cleanup_text_list_ char **list = NULL;

        if (p->error < 0)
                return p->error;
        if (p->n == 0)
                return 0;

        qsort(p->list, p->n, sizeof(*p->list), problem_compare);
        list = calloc(p->n + 1, sizeof(*list));
        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < p->n; i++) {
                const Problem *x = p->list + i;

                list[i] = text_format("%s:%u: %s", p->files[x->file], x->line, x->text);
                if (!list[i])
                        return -ENOMEM;
        }
        config_errors_done(errors);
        errors->list = TAKE_PTR(list);
        return -EINVAL;
}

void problems_done(Problems *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->list[i].text);
        free(p->list);
        text_list_free(p->files);
        *p = (Problems){ 0 };
}
