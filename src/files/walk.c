/* SPDX-License-Identifier: MIT */
#include "files/walk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "files/transfer.h"

struct WalkLevel {
        DIR *dir;
        size_t path_length; /* of this folder's path in Walk.path, without a slash at its end */
        bool broken;        /* its list could not be read to its end, which has been told */
};

/* Walk.path becomes its first `length` bytes, a slash (but at the beginning) and the name. */
static int walk_set_name(Walk *w, size_t length, const char *name)
{
        size_t n = strlen(name), needed = length + 1 + n + 1;

        if (needed > w->path_capacity) {
                char *path = realloc(w->path, needed + 256);

                if (!path)
                        return -ENOMEM;
                w->path = path;
                w->path_capacity = needed + 256;
        }
        if (length > 0)
                w->path[length++] = '/';
        memcpy(w->path + length, name, n + 1);
        return 0;
}

int walk_enter(Walk *w, int fd)
{
        _cleanup_close_ int folder = fd;
        DIR *dir;
        int r;

        if (w->n_levels >= TRANSFER_DEPTH_MAX)
                return -ELOOP;
        if (w->n_levels == w->capacity) {
                size_t capacity = w->capacity * 2 + 16;
                WalkLevel *levels = reallocarray(w->levels, capacity, sizeof(*levels));

                if (!levels)
                        return -ENOMEM;
                w->levels = levels;
                w->capacity = capacity;
        }
        if (w->n_levels == 0) {
                r = walk_set_name(w, 0, "");
                if (r < 0)
                        return r;
        }
        dir = fdopendir(folder);
        if (!dir)
                return -errno;
        folder = -EBADF;
        w->levels[w->n_levels++] = (WalkLevel){ .dir = dir, .path_length = strlen(w->path) };
        return 0;
}

static void walk_leave(Walk *w)
{
        closedir(w->levels[--w->n_levels].dir);
}

/* A folder whose list cannot be read: that is told as the folder's own error. */
static int walk_broken(Walk *w, WalkLevel *level, int error, WalkEntry *ret)
{
        level->broken = true;
        w->path[level->path_length] = 0;
        *ret = (WalkEntry){
                .folder = dirfd(level->dir), .name = ".", .path = w->path, .error = error
        };
        return 1;
}

int walk_next(Walk *w, WalkEntry *ret)
{
        struct dirent *d;
        WalkLevel *level;
        int r;

        while (w->n_levels > 0) {
                level = &w->levels[w->n_levels - 1];
                errno = 0;
                d = level->broken ? NULL : readdir(level->dir);
                if (!d && !level->broken && errno != 0)
                        return walk_broken(w, level, -errno, ret);
                if (!d) {
                        walk_leave(w);
                        continue;
                }
                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                r = walk_set_name(w, level->path_length, d->d_name);
                if (r < 0)
                        return r;
                *ret = (WalkEntry){ .folder = dirfd(level->dir),
                                    .name = d->d_name,
                                    .path = w->path };
                if (fstatat(ret->folder, d->d_name, &ret->st, AT_SYMLINK_NOFOLLOW) < 0) {
                        if (errno == ENOENT)
                                continue;
                        ret->error = -errno;
                }
                return 1;
        }
        return 0;
}

void walk_done(Walk *w)
{
        while (w->n_levels > 0)
                walk_leave(w);
        free(w->levels);
        free(w->path);
        *w = WALK_NULL;
}
