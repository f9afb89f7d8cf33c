/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "files/receive.h"

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

bool receive_path_is_sound(const char *path)
{
        const char *p = path;
        size_t n;

        for (;;) {
                n = strcspn(p, "/");
                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                if (!p[n])
                        return true;
                p += n + 1;
        }
}

/* Out of the innermost folder: now it gets its times. */
static int leave(Receiver *r)
{
        ReceiveLevel *level = &r->levels[--r->n_levels];
        int e = attributes_apply(&level->attributes, level->fd);

        if (e < 0)
                transfer_entry_failed(&r->base, r->path, e, false,
                                      "the directory's owner, mode or times cannot be set");
        fd_close(level->fd);
        if (r->n_levels > 0)
                r->path[r->levels[r->n_levels - 1].path_length] = 0;
        return e;
}

void receive_leave_all(Receiver *r)
{
        while (r->n_levels > 0)
                (void)leave(r);
}

/* fd: taken over. path: of n bytes. */
static int enter(Receiver *r, int fd, const char *path, size_t n, const Attributes *a)
{
        _cleanup_close_ int folder = fd;
        char *grown;

        if (r->n_levels >= TRANSFER_DEPTH_MAX)
                return -ELOOP;
        if (r->n_levels == r->capacity) {
                size_t capacity = r->capacity * 2 + 16;
                ReceiveLevel *levels = reallocarray(r->levels, capacity, sizeof(*levels));

                if (!levels)
                        return -ENOMEM;
                r->levels = levels;
                r->capacity = capacity;
        }
        grown = realloc(r->path, n + 1);
        if (!grown)
                return -ENOMEM;
        r->path = memmove(grown, path == r->path ? grown : path, n);
        r->path[n] = 0;
        r->levels[r->n_levels++] =
                (ReceiveLevel){ .fd = TAKE_FD(folder), .path_length = n, .attributes = *a };
        return 0;
}

/* One component. One that may be entered but not read will do: what is in it is known. */
static int open_folder(int folder, const char *name)
{
        int fd;

        fd = openat(folder, name, OPEN_FOLDER);
        if (fd < 0 && errno == EACCES)
                fd = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int receive_go(Receiver *r, const char *path, const char **ret_name)
{
        static const Attributes none = { .mode = RECORD_ID_NONE,
                                         .uid = RECORD_ID_NONE,
                                         .gid = RECORD_ID_NONE,
                                         .mtime_ns = RECORD_TIME_NONE,
                                         .atime_ns = RECORD_TIME_NONE };
        const char *slash = strrchr(path, '/'), *p;
        size_t n, parent = slash ? (size_t)(slash - path) : 0;
        _cleanup_free_ char *name = NULL;
        int fd, e;

        /* Up, to the first folder that is on the way. */
        for (;; (void)leave(r)) {
                n = r->levels[r->n_levels - 1].path_length;
                if (n == 0 || (n <= parent && memcmp(r->path, path, n) == 0 && path[n] == '/'))
                        break;
        }
        /* And down: component by component from the folder that is held, so that no link which
         * somebody plants meanwhile leads out. */
        while (n < parent) {
                p = n > 0 ? path + n + 1 : path;
                free(name);
                name = strndup(p, strcspn(p, "/"));
                if (!name)
                        return -ENOMEM;
                fd = open_folder(r->levels[r->n_levels - 1].fd, name);
                if (fd < 0)
                        return fd;
                n = (size_t)(p - path) + strlen(name);
                e = enter(r, fd, path, n, &none);
                if (e < 0)
                        return e;
        }
        *ret_name = slash ? slash + 1 : path;
        return r->levels[r->n_levels - 1].fd;
}

/* Whether the folder is, or lies in, the one that is being sent. */
static bool lies_in_source(int folder, const Record *record)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat st, below = {};
        int up;

        if (!record->boot[0] || strcmp(record->boot, record_boot_id()) != 0)
                return false;
        fd = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (unsigned i = 0; fd >= 0 && fstat(fd, &st) == 0 && i < PATH_MAX; i++) {
                if (record->device == (uint64_t)st.st_dev && record->inode == (uint64_t)st.st_ino)
                        return true;
                if (i > 0 && st.st_dev == below.st_dev && st.st_ino == below.st_ino)
                        return false; /* the root is its own parent */
                below = st;
                up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
                fd_close(fd);
                fd = up;
        }
        return false;
}

/* Makes the folder, or takes the one that is there. The descriptor, or -errno. */
static int make_folder(Receiver *r, int folder, const char *name, const Record *record,
                       Attributes *ret, char **ret_problem)
{
        struct stat st;
        bool is_new;
        int fd;

        receive_attributes(r, record, NULL, ret);
        /* Nobody looks in before its owner is whom it shall be. */
        is_new = mkdirat(folder, name, r->settings.preserve ? 0700 : ret->mode | 0700) == 0;
        if (!is_new && errno != EEXIST)
                return -errno;
        fd = open_folder(folder, name);
        if (fd == -ENOTDIR || fd == -ELOOP) {
                if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        *ret_problem = text_format("there is %s of that name, and not a directory",
                                                   record_kind_of(st.st_mode));
                return -ENOTDIR;
        }
        /* One that was there stays as it was, unless it is to become like the other; and a new one
         * that has what it shall have keeps what it took from the folder it lies in: set-group-id.
         */
        if (!r->settings.preserve && r->settings.mode == RECORD_ID_NONE &&
            (!is_new || (ret->mode & 0700) == 0700))
                ret->mode = RECORD_ID_NONE;
        return fd;
}

int receive_folder(Receiver *r, int folder, const char *name, const Record *record,
                   char **ret_problem)
{
        Attributes attributes;
        int fd, e;

        if (!record->path[0] && lies_in_source(folder, record)) {
                *ret_problem = strdup("a directory cannot be copied into itself");
                return -EINVAL;
        }
        fd = make_folder(r, folder, name, record, &attributes, ret_problem);
        if (fd < 0)
                return fd;
        if (!record->path[0] && lies_in_source(fd, record)) {
                fd_close(fd);
                *ret_problem = strdup("it is the same directory as the source");
                return -EEXIST;
        }
        e = enter(r, fd, record->path, strlen(record->path), &attributes);
        if (e == 0)
                r->base.stats.directories++;
        return e;
}

typedef struct LinkPlace {
        int folder;
        const char *target;
} LinkPlace;

static int make_link(const char *temporary, void *userdata)
{
        const LinkPlace *p = userdata;

        return symlinkat(p->target, p->folder, temporary) < 0 ? -errno : 0;
}

int receive_link(Receiver *r, int folder, const char *name, const Record *record,
                 char **ret_problem)
{
        _cleanup_free_ char *temporary = NULL;
        Attributes attributes;
        struct stat st;
        LinkPlace p = { .folder = folder, .target = record->target };
        int e;

        e = receive_look(r, folder, name, record, &st, ret_problem);
        if (e < 0)
                return e;
        receive_attributes(r, record, NULL, &attributes);
        e = receive_temporary(name, make_link, &p, &temporary);
        if (e < 0)
                return e;
        e = attributes_apply_link(&attributes, folder, temporary);
        if (e == 0 && renameat(folder, temporary, folder, name) < 0)
                e = -errno;
        if (e < 0) {
                (void)unlinkat(folder, temporary, 0);
                return e;
        }
        r->base.stats.links++;
        return 0;
}
