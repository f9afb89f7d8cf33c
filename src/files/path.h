/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/macros.h"

/*
 * From paths to file descriptors. A caller may be confined to a folder, which he then sees as `/`:
 * neither `..` nor a link leads out of it, not even one that is planted meanwhile (openat2(2)).
 *
 * Nothing is ever opened to see what it is: a path is resolved to an O_PATH descriptor, which has
 * no effect on a FIFO or a device, and that is opened again once it is known to be a file.
 */
typedef struct FileRoot FileRoot;
typedef struct FilePlace FilePlace;

struct FileRoot {
        int fd; /* negative: not confined */
};

#define FILE_ROOT_NULL ((FileRoot){ .fd = -EBADF })

/* path: absolute. 0, -errno; -EOPNOTSUPP where the kernel (before 5.6) cannot confine. */
int file_root_open(const char *path, FileRoot *ret);
void file_root_done(FileRoot *root);

/* path: absolute; links are followed, the last component's too. flags: of open(2), O_CLOEXEC is
 * added; mode counts with O_CREAT. The descriptor, or -errno. */
int path_open(const FileRoot *root, const char *path, int flags, mode_t mode);
/* What an O_PATH descriptor stands for, opened with these flags. The descriptor or -errno. */
int path_reopen(int fd, int flags);
/* Changes the mode of what an O_PATH descriptor stands for. 0 or -errno. */
int path_chmod(int fd, mode_t mode);

/* The folder that a path's last component is in, and that component, which is not followed. */
struct FilePlace {
        int fd; /* O_PATH; negative: none */
        char *name;
        bool folder; /* the path ended in a slash: it means a folder */
};

#define FILE_PLACE_NULL ((FilePlace){ .fd = -EBADF })

/* 0; -EBUSY for `/`, -EINVAL where the last component is `.` or `..`; -errno. */
int path_open_place(const FileRoot *root, const char *path, FilePlace *ret);
/* Looks at the component itself. 0; -ENOTDIR where it is not the folder that the path means; or
 * -errno. */
int file_place_stat(const FilePlace *place, struct stat *ret);
void file_place_done(FilePlace *place);
#define _cleanup_place_ _cleanup_(file_place_done)
