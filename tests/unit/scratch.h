/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of Unix sockets' files need: a folder, and sockets in it. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/listen.h"
#include "tests/unit/child.h"

typedef struct Scratch Scratch;

/* A folder of the test's own, and an address in it. */
struct Scratch {
        char folder[32];
        char path[ADDRESS_PATH_MAX + 1];
        Address address;
        char *problem; /* of the last listen_open() that failed */
};

static const ListenFile private_file = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };

/* The address becomes the folder's `name`. */
static inline _unused_ void scratch_name(Scratch *s, const char *name)
{
        /* A name that does not fit would be another test than the one meant. */
        assert_true(snprintf(s->path, sizeof(s->path), "%s/%s", s->folder, name) <
                    (int)sizeof(s->path));
        s->address = (Address){ .kind = ADDRESS_UNIX, .path = s->path };
}

static inline _unused_ int setup(void **state)
{
        Scratch *s = calloc(1, sizeof(*s));

        if (!s)
                return -1;
        strcpy(s->folder, "/tmp/guestwire-XXXXXX");
        if (!mkdtemp(s->folder)) {
                free(s);
                return -1;
        }
        scratch_name(s, "a.sock");
        *state = s;
        return 0;
}

static inline _unused_ int teardown(void **state)
{
        Scratch *s = *state;
        _cleanup_free_ char *command = text_format("rm -rf '%s'", s->folder);
        int r = command ? system(command) : -1;

        free(s->problem);
        free(s);
        return r;
}

static inline _unused_ int scratch_listen(Scratch *s, const ListenFile *file)
{
        free(s->problem);
        s->problem = NULL;
        return listen_open(&s->address, file, &s->problem);
}

static inline _unused_ void assert_refused(Scratch *s, int error, const char *words)
{
        int r = scratch_listen(s, &private_file);

        if (r != error)
                fail_msg("%s: %d instead of %d: %s", s->path, r, error,
                         s->problem ? s->problem : "no problem");
        if (!strstr(s->problem, words))
                fail_msg("no '%s' in '%s'", words, s->problem);
}

static inline _unused_ int unix_socket_to(const char *path)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(un.sun_path, path, strlen(path));
        return connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : TAKE_FD(fd);
}

/* Binds path and does not listen: what a crash leaves behind once the socket is closed. */
static inline _unused_ int unix_socket_at(const char *path, int type)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        memcpy(un.sun_path, path, strlen(path));
        assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
        return fd;
}

static inline _unused_ void assert_answers(const char *path)
{
        int fd = unix_socket_to(path);

        if (fd < 0)
                fail_msg("%s: %s", path, strerror(-fd));
        close(fd);
}

static inline _unused_ mode_t mode_of(const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                fail_msg("%s: %s", path, strerror(errno));
        return st.st_mode;
}

/* 0 where listening as an ordinary user fails with EACCES and the words given. */
static inline _unused_ int nobody_listens(Address *a, const char *words)
{
        _cleanup_free_ char *problem = NULL;
        int r;

        if (!child_become_nobody())
                return CHILD_CANNOT;
        r = listen_open(a, &private_file, &problem);
        if (r == -EACCES && problem && strstr(problem, words))
                return 0;
        fprintf(stderr, "got %d: %s\n", r, problem ? problem : "");
        return 1;
}

#define with_scratch(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
