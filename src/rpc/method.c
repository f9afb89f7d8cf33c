/* SPDX-License-Identifier: MIT */
#include "rpc/method.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The rows by name; lengths[i] is that of rows[i]'s name, since names from outside end in no NUL
 * and may hold one. */
struct MethodSet {
        unsigned n_ref;
        void *userdata;
        void (*release)(void *owner);
        void *owner;
        bool has_prefixes;
        const Method **rows;
        size_t *lengths;
        size_t n;
};

int method_set_new(void *userdata, MethodSet **ret)
{
        MethodSet *s;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->n_ref = 1;
        s->userdata = userdata;
        *ret = s;
        return 0;
}

static int row_compare(const void *a, const void *b)
{
        return strcmp((*(const Method *const *)a)->name, (*(const Method *const *)b)->name);
}

int method_set_add(MethodSet *s, const Method *table)
{
        _cleanup_free_ const Method **rows = NULL;
        _cleanup_free_ size_t *lengths = NULL;
        size_t n = s->n;

        while (table[n - s->n].name)
                n++;
        if (n == s->n)
                return 0;
        rows = calloc(n, sizeof(*rows));
        lengths = calloc(n, sizeof(*lengths));
        if (!rows || !lengths)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++)
                rows[i] = i < s->n ? s->rows[i] : &table[i - s->n];
        qsort(rows, n, sizeof(*rows), row_compare);
        for (size_t i = 0; i < n; i++) {
                if (i > 0 && strcmp(rows[i]->name, rows[i - 1]->name) == 0)
                        return -EEXIST;
                lengths[i] = strlen(rows[i]->name);
        }
        for (size_t i = 0; table[i].name; i++)
                if (table[i].flags & METHOD_PREFIX)
                        s->has_prefixes = true;

        free(s->rows);
        free(s->lengths);
        s->rows = TAKE_PTR(rows);
        s->lengths = TAKE_PTR(lengths);
        s->n = n;
        return 0;
}

/* The longest "PREFIX.*" that the name begins with. There are few: a walk will do. */
static const Method *find_prefix(const MethodSet *s, const char *name, size_t length)
{
        const Method *found = NULL;
        size_t longest = 0;

        for (size_t i = 0; i < s->n; i++) {
                size_t n = s->lengths[i] - 1; /* without the star */

                if ((s->rows[i]->flags & METHOD_PREFIX) && n > longest && length > n &&
                    memcmp(s->rows[i]->name, name, n) == 0) {
                        found = s->rows[i];
                        longest = n;
                }
        }
        return found;
}

const Method *method_set_find(const MethodSet *s, const char *name, size_t length)
{
        size_t low = 0, high = s->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                size_t row_length = s->lengths[middle];
                int r = memcmp(name, s->rows[middle]->name, MIN_OF(length, row_length));

                if (r == 0 && length == row_length)
                        return s->rows[middle];
                if (r < 0 || (r == 0 && length < row_length))
                        high = middle;
                else
                        low = middle + 1;
        }
        return s->has_prefixes ? find_prefix(s, name, length) : NULL;
}

const Method *const *method_set_list(const MethodSet *s, size_t *ret_n)
{
        *ret_n = s->n;
        return s->rows;
}

void *method_set_userdata(const MethodSet *s)
{
        return s->userdata;
}

void method_set_set_owner(MethodSet *s, void (*release)(void *owner), void *owner)
{
        s->release = release;
        s->owner = owner;
}

MethodSet *method_set_ref(MethodSet *s)
{
        s->n_ref++;
        return s;
}

MethodSet *method_set_unref(MethodSet *s)
{
        if (!s || --s->n_ref > 0)
                return NULL;
        if (s->release)
                s->release(s->owner);
        free(s->rows);
        free(s->lengths);
        free(s);
        return NULL;
}
