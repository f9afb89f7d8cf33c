/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/place.h"
#include "io/problem.h"

typedef char FdPath[sizeof("/proc/self/fd/-2147483648")];

/* A path of the very inode that an O_PATH descriptor holds. */
static const char *fd_path(int fd, FdPath path)
{
        (void)snprintf(path, sizeof(FdPath), "/proc/self/fd/%d", fd);
        return path;
}

static bool folder_is_safe(const struct stat *st)
{
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return false;
        /* An ACL that lets others write shows in the group's bit. In a sticky folder others
         * can add files but neither remove nor rename ours. */
        return !(st->st_mode & (S_IWGRP | S_IWOTH)) || (st->st_mode & S_ISVTX);
}

static int folder_check(int fd, const char *path, char **ret_problem)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (folder_is_safe(&st))
                return 0;
        return problem_take(ret_problem,
                            text_format("the folder '%s' belongs to another user or lets others "
                                        "write: chmod go-w and chown root it, or choose another "
                                        "folder",
                                        path),
                            -EPERM);
}

static int folder_open(int at, const char *path)
{
        int fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* The part of path before its last component, "/" for one in the root folder. */
static char *parent_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/*
 * The unit's RuntimeDirectory= makes /run/guestwire; a daemon started by hand makes it
 * itself. One level and no more: what lies above is the administrator's.
 */
static int folder_make(const char *path, char **ret_problem)
{
        _cleanup_free_ char *above = parent_of(path);
        _cleanup_close_ int fd = -EBADF;
        mode_t mask;
        int r;

        if (!above)
                return -ENOMEM;
        r = folder_open(AT_FDCWD, above);
        if (r < 0)
                return problem_take(ret_problem,
                                    text_format("there is no folder '%s': mkdir -p it", path), r);
        fd = r;
        r = folder_check(fd, above, ret_problem);
        if (r < 0)
                return r;
        mask = umask(0022);
        r = mkdirat(fd, strrchr(path, '/') + 1, 0755) < 0 ? -errno : 0;
        (void)umask(mask);
        if (r < 0 && r != -EEXIST)
                return problem_take(ret_problem,
                                    text_format("cannot make the folder '%s': %s", path,
                                                strerror(-r)),
                                    r);
        return folder_open(fd, strrchr(path, '/') + 1);
}

int place_open(const char *path, bool create, Place *ret, char **ret_problem)
{
        _cleanup_free_ char *parent = NULL;
        _cleanup_place_ Place p = PLACE_NULL;
        int r;

        if (*path != '/')
                return -EINVAL;
        parent = parent_of(path);
        if (!parent)
                return -ENOMEM;
        r = folder_open(AT_FDCWD, parent);
        if (r == -ENOENT && create)
                r = folder_make(parent, ret_problem);
        else if (r < 0)
                r = problem_take(ret_problem,
                                 text_format("cannot open the folder '%s': %s", parent,
                                             strerror(-r)),
                                 r);
        if (r < 0)
                return r;
        p.folder = r;
        r = folder_check(p.folder, parent, ret_problem);
        if (r < 0)
                return r;
        p.path = path;
        p.name = strrchr(path, '/') + 1;
        *ret = p;
        p = PLACE_NULL;
        return 0;
}

int place_open_socket(const Place *p, struct stat *ret_st)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = openat(p->folder, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        *ret_st = st;
        return TAKE_FD(fd);
}

int place_connect(int inode)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        FdPath path;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        (void)fd_path(inode, path);
        memcpy(un.sun_path, path, strlen(path) + 1);
        if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int place_clear(const Place *p, uid_t owner, char **ret_problem)
{
        _cleanup_close_ int inode = -EBADF, probe = -EBADF;
        struct stat st;
        int r;

        r = place_open_socket(p, &st);
        if (r == -ENOENT)
                return 0;
        if (r == -EEXIST)
                return problem_take(ret_problem,
                                    text_format("'%s' is there already and is no socket: remove "
                                                "it, or choose another path",
                                                p->path),
                                    r);
        if (r < 0)
                return r;
        inode = r;
        /* With `owner` configured that is whom a crash left it to. */
        if (st.st_uid != geteuid() && st.st_uid != owner)
                return problem_take(ret_problem,
                                    text_format("'%s' is a socket of uid %u: remove it, or choose "
                                                "another path",
                                                p->path, (unsigned)st.st_uid),
                                    -EEXIST);
        probe = place_connect(inode);
        /* EAGAIN is a full backlog, EPROTOTYPE a datagram or packet socket: both live. */
        if (probe >= 0 || probe == -EAGAIN || probe == -EPROTOTYPE)
                return problem_take(ret_problem,
                                    text_format("somebody listens on '%s': stop the other one "
                                                "(ss -xlp shows who it is), or choose another "
                                                "path",
                                                p->path),
                                    -EADDRINUSE);
        if (probe != -ECONNREFUSED)
                return probe;
        return unlinkat(p->folder, p->name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int place_set_file(int inode, mode_t mode, uid_t uid, gid_t gid)
{
        FdPath path;

        if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
            fchownat(inode, "", uid, gid, AT_EMPTY_PATH) < 0)
                return -errno;
        /* fchmod() takes no O_PATH descriptor; its path in /proc is the inode all the same. */
        return chmod(fd_path(inode, path), mode) < 0 ? -errno : 0;
}

void place_remove(const Place *p)
{
        (void)unlinkat(p->folder, p->name, 0);
}

void place_done(Place *p)
{
        p->folder = fd_close(p->folder);
}
