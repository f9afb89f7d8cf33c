/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of src/files need of files: a folder of their own, and things in it. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "files/path.h"
#include "tests/unit/child.h"

typedef struct Place Place;

struct Place {
        char folder[32];
        FileRoot free;     /* not confined */
        FileRoot confined; /* to the folder; not there where the kernel cannot */
};

static inline _unused_ int place_setup(void **state)
{
        Place *p = calloc(1, sizeof(*p));

        if (!p)
                return -1;
        p->free = p->confined = FILE_ROOT_NULL;
        strcpy(p->folder, "/tmp/guestwire-XXXXXX");
        if (!mkdtemp(p->folder) || chmod(p->folder, 0755) < 0)
                return -1;
        *state = p;
        (void)file_root_open(p->folder, &p->confined);
        return 0;
}

static inline _unused_ int place_teardown(void **state)
{
        Place *p = *state;
        _cleanup_free_ char *command = text_format("rm -rf '%s'", p->folder);
        int r = command ? system(command) : -1;

        file_root_done(&p->confined);
        free(p);
        return r;
}

/*
 * Ends a test that wants a confined root where there is none. valgrind (3.19) answers openat2() for
 * a kernel that has it, so there it says nothing about what can run here.
 */
#define needs_confined(p)                                                                    \
        do {                                                                                 \
                if ((p)->confined.fd >= 0)                                                   \
                        break;                                                               \
                if (!under_valgrind())                                                       \
                        cannot_run("this kernel has no openat2");                            \
                print_message("# SKIP %s: this valgrind does not know openat2\n", __func__); \
                return;                                                                      \
        } while (0)

/* "FOLDER/name"; the caller frees. */
static inline _unused_ char *place_path(const Place *p, const char *name)
{
        char *path = text_format("%s/%s", p->folder, name);

        assert_non_null(path);
        return path;
}

static inline _unused_ void place_write(const Place *p, const char *name, const char *content)
{
        _cleanup_free_ char *path = place_path(p, name);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, strlen(content)), strlen(content));
}

static inline _unused_ void place_mkdir(const Place *p, const char *name)
{
        _cleanup_free_ char *path = place_path(p, name);

        assert_int_equal(mkdir(path, 0755), 0);
}

static inline _unused_ void place_link(const Place *p, const char *target, const char *name)
{
        _cleanup_free_ char *path = place_path(p, name);

        assert_int_equal(symlink(target, path), 0);
}

static inline _unused_ bool place_has(const Place *p, const char *name)
{
        _cleanup_free_ char *path = place_path(p, name);
        struct stat st;

        return lstat(path, &st) == 0;
}
