/* SPDX-License-Identifier: MIT */
#include "cli/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"

int standard_guard(void)
{
        int fd;

        for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
                if (fcntl(i, F_GETFD) >= 0)
                        continue;
                /* The lowest number that is free, which is i. Not close-on-exec, as is usual
                 * for the three. */
                fd = open("/dev/null", O_RDWR);
                if (fd < 0)
                        return -errno;
        }
        return 0;
}

/*
 * A description of our own is to be had for what the kernel opens anew by its link in /proc. A
 * named pipe is left out: opened without a writer it never tells of its end (pipe_poll).
 */
static bool can_be_reopened(int fd, const struct stat *st)
{
        struct statfs fs;

        if (S_ISCHR(st->st_mode))
                return isatty(fd) > 0;
        return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

static int reopen(int fd, int access_mode)
{
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return open(path, access_mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Returns a descriptor, non-blocking where that means something, or -errno. */
static int take_stream(int fd, int access_mode, int *ret_restore)
{
        _cleanup_close_ int taken = -EBADF, restore = -EBADF;
        struct stat st;
        int flags;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (can_be_reopened(fd, &st)) {
                taken = reopen(fd, access_mode);
                if (taken >= 0)
                        return TAKE_FD(taken);
        }
        taken = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (taken < 0)
                return -errno;
        flags = fcntl(taken, F_GETFL);
        if (flags < 0)
                return -errno;
        /* Neither files nor disks ever make their reader wait in the sense of poll(2). */
        if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || (flags & O_NONBLOCK))
                return TAKE_FD(taken);
        /* What keeps a pipe open would keep its end from the reader. */
        if (!S_ISFIFO(st.st_mode)) {
                restore = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
                if (restore < 0)
                        return -errno;
        }
        if (fcntl(taken, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        *ret_restore = TAKE_FD(restore);
        return TAKE_FD(taken);
}

/* Whether both are one socket, as inetd and its kind set them up. */
static bool is_same_socket(int a, int b)
{
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && S_ISSOCK(x.st_mode) &&
               S_ISSOCK(y.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int fill_with_null(int fd)
{
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        return null < 0 || dup2(null, fd) < 0 ? -errno : 0;
}

int standard_take(Standard *ret)
{
        _cleanup_(standard_done) Standard s = STANDARD_NULL;
        int r;

        r = take_stream(STDIN_FILENO, O_RDONLY, &s.restore[0]);
        if (r < 0)
                return r;
        s.end.in = r;
        if (is_same_socket(STDIN_FILENO, STDOUT_FILENO)) {
                s.end.out = s.end.in;
        } else {
                r = take_stream(STDOUT_FILENO, O_WRONLY, &s.restore[1]);
                if (r < 0)
                        return r;
                s.end.out = r;
        }
        r = fill_with_null(STDIN_FILENO);
        if (r >= 0)
                r = fill_with_null(STDOUT_FILENO);
        if (r < 0)
                return r;
        *ret = s;
        s = STANDARD_NULL;
        return 0;
}

int standard_take_one(int fd, int access_mode, int *ret_restore)
{
        _cleanup_close_ int taken = -EBADF;
        int restore = -EBADF, r;

        taken = take_stream(fd, access_mode, &restore);
        if (taken < 0)
                return taken;
        r = fd == STDERR_FILENO ? 0 : fill_with_null(fd);
        if (r < 0) {
                standard_restore(restore);
                return r;
        }
        *ret_restore = restore;
        return TAKE_FD(taken);
}

void standard_restore(int restore)
{
        int flags = restore < 0 ? -1 : fcntl(restore, F_GETFL);

        if (flags >= 0)
                (void)fcntl(restore, F_SETFL, flags & ~O_NONBLOCK);
        fd_close(restore);
}

void standard_done(Standard *s)
{
        for (size_t i = 0; i < ELEMENTSOF(s->restore); i++) {
                standard_restore(s->restore[i]);
                s->restore[i] = -EBADF;
        }
        if (s->end.out != s->end.in)
                fd_close(s->end.out);
        fd_close(s->end.in);
        s->end = (PumpEnd){ .in = -EBADF, .out = -EBADF };
}
