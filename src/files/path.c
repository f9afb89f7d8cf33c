/* SPDX-License-Identifier: MIT */
#include "files/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* A rename elsewhere makes the kernel unsure whether a `..` has led out: it says EAGAIN, and the
 * path may be tried again, openat2(2). */
#define CONFINED_TRIES 64U

static int open_confined(int root, const char *path, int flags, mode_t mode)
{
        const struct open_how how = {
                .flags = (uint64_t)flags,
                .mode = flags & O_CREAT ? mode : 0,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        int fd = -1;

        for (unsigned i = 0; i < CONFINED_TRIES; i++) {
                fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        break;
        }
        return fd < 0 ? -errno : fd;
}

int file_root_open(const char *path, FileRoot *ret)
{
        _cleanup_close_ int fd = -EBADF, probe = -EBADF;

        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* EPERM is what a seccomp filter that is older than the call makes of it. */
        probe = open_confined(fd, "/", O_PATH | O_CLOEXEC, 0);
        if (probe == -ENOSYS || probe == -EPERM)
                return -EOPNOTSUPP;
        if (probe < 0)
                return probe;
        *ret = (FileRoot){ .fd = TAKE_FD(fd) };
        return 0;
}

void file_root_done(FileRoot *root)
{
        root->fd = fd_close(root->fd);
}

int path_open(const FileRoot *root, const char *path, int flags, mode_t mode)
{
        int fd;

        if (root->fd >= 0)
                return open_confined(root->fd, path, flags | O_CLOEXEC, mode);
        do
                fd = open(path, flags | O_CLOEXEC, mode);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

/* A process may always look at its own, be it dumpable or not. */
static void own_path(int fd, char ret[static 32])
{
        (void)snprintf(ret, 32, "/proc/self/fd/%d", fd);
}

int path_reopen(int fd, int flags)
{
        char path[32];
        int opened;

        own_path(fd, path);
        do
                opened = open(path, flags | O_CLOEXEC);
        while (opened < 0 && errno == EINTR);
        return opened < 0 ? -errno : opened;
}

int path_chmod(int fd, mode_t mode)
{
        char path[32];

        own_path(fd, path);
        return chmod(path, mode) < 0 ? -errno : 0;
}

int path_open_place(const FileRoot *root, const char *path, FilePlace *ret)
{
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;
        _cleanup_free_ char *parent = strdup(path);
        size_t n = strlen(path);
        char *name;

        if (!parent)
                return -ENOMEM;
        while (n > 0 && parent[n - 1] == '/')
                n--;
        if (n == 0)
                return -EBUSY;
        place.folder = parent[n] == '/';
        parent[n] = '\0';
        name = strrchr(parent, '/');
        if (!name || strcmp(name, "/.") == 0 || strcmp(name, "/..") == 0)
                return -EINVAL;
        place.name = strdup(name + 1);
        if (!place.name)
                return -ENOMEM;
        name[name == parent ? 1 : 0] = '\0';
        place.fd = path_open(root, parent, O_PATH | O_DIRECTORY, 0);
        if (place.fd < 0)
                return place.fd;
        *ret = place;
        place = FILE_PLACE_NULL;
        return 0;
}

int file_place_stat(const FilePlace *place, struct stat *ret)
{
        struct stat st;

        if (fstatat(place->fd, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (place->folder && !S_ISDIR(st.st_mode))
                return -ENOTDIR;
        *ret = st;
        return 0;
}

void file_place_done(FilePlace *place)
{
        place->fd = fd_close(place->fd);
        free(TAKE_PTR(place->name));
}
