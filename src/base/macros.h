/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* Runs f on the variable's address when it goes out of scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(string, first) __attribute__((__format__(__printf__, string, first)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define CONCAT_(x, y) x##y
#define CONCAT(x, y) CONCAT_(x, y)
/* Each use has names of its own, so that one may stand within another. */
#define PICK_(a, op, b, id)                                                         \
        ({                                                                          \
                __typeof__(a) CONCAT(_a, id) = (a);                                 \
                __typeof__(b) CONCAT(_b, id) = (b);                                 \
                CONCAT(_a, id) op CONCAT(_b, id) ? CONCAT(_a, id) : CONCAT(_b, id); \
        })
#define MIN_OF(a, b) PICK_(a, <, b, __COUNTER__)
#define MAX_OF(a, b) PICK_(a, >, b, __COUNTER__)
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Hand a resource over: the variable forgets it, the expression yields it. */
#define TAKE_PTR(p)                        \
        ({                                 \
                __typeof__(p) *_pp = &(p); \
                __typeof__(p) _p = *_pp;   \
                *_pp = NULL;               \
                _p;                        \
        })
#define TAKE_FD(fd)                \
        ({                         \
                int *_pfd = &(fd); \
                int _fd = *_pfd;   \
                *_pfd = -EBADF;    \
                _fd;               \
        })

/* Defines `func##p`, for use with _cleanup_(): calls func unless the pointer is NULL. */
#define DEFINE_CLEANUP(type, func)                    \
        static inline _unused_ void func##p(type **p) \
        {                                             \
                if (*p)                               \
                        func(*p);                     \
        }

static inline void freep(void *p)
{
        free(*(void **)p);
}

#define _cleanup_free_ _cleanup_(freep)
