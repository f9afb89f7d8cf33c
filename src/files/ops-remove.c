/* SPDX-License-Identifier: MIT */

/* file.remove. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "files/job.h"

/* Folders that are open at once: those further up are opened again by `..`. */
#define OPEN_MAX 64U

typedef struct Level Level;
typedef struct Removal Removal;

/* A folder that is being emptied. */
struct Level {
        char *name; /* in the folder above */
        DIR *dir;   /* NULL: it will be opened again */
        dev_t dev;
        ino_t ino;
        bool removed; /* something, since its beginning was last read */
};

/*
 * A tree on its way out. Everything is done by descriptor: a folder is entered by one component
 * that must be a folder and no link, and never into another file system; it is left to where it
 * was entered from, or not at all. So whoever moves things about meanwhile leads it nowhere.
 */
struct Removal {
        FileJob *job;
        const FilePlace *place;
        const char *shown;
        Level *levels;
        size_t n;
        size_t capacity;
        uint64_t removed;
};

static void removal_done(Removal *r)
{
        for (size_t i = 0; i < r->n; i++) {
                if (r->levels[i].dir)
                        (void)closedir(r->levels[i].dir);
                free(r->levels[i].name);
        }
        free(r->levels);
}

/* name: one component. The descriptor; -EXDEV: another file system is mounted there; -ENOTDIR, also
 * for a link; -errno. */
static int open_folder(int fd, const char *name)
{
        const struct open_how how = {
                .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        int opened;

        opened = (int)syscall(SYS_openat2, fd, name, &how, sizeof(how));
        if (opened < 0 && (errno == ENOSYS || errno == EPERM)) {
                _cleanup_close_ int plain = openat(fd, name, (int)how.flags);
                struct stat here, there;

                /* Linux before 5.6: by the device. */
                if (plain < 0 || fstat(fd, &here) < 0 || fstat(plain, &there) < 0)
                        return -errno;
                return here.st_dev == there.st_dev ? TAKE_FD(plain) : -EXDEV;
        }
        return opened < 0 ? -errno : opened;
}

/* The path of a name in the innermost folder, as it stands in a message. */
static char *removal_path(const Removal *r, const char *name)
{
        _cleanup_free_ char *path = NULL;
        size_t size;
        FILE *f = must(open_memstream(&path, &size));

        fputs(r->shown, f);
        for (size_t i = 1; i < r->n; i++)
                fprintf(f, "/%s", r->levels[i].name);
        if (name)
                fprintf(f, "/%s", name);
        if (fclose(f) != 0 || !path)
                job_die();
        return path_show(path);
}

/* Always false. */
static bool removal_fail(Removal *r, int error, const char *name)
{
        _cleanup_free_ char *path = removal_path(r, name);

        if (error == -EXDEV)
                job_refuse(r->job, REASON_FAILED, error,
                           "%s: another file system is mounted there, which is not entered", path);
        else if (error == -ESTALE)
                job_refuse(r->job, REASON_FAILED, error, "%s was moved meanwhile", path);
        else
                job_fail(r->job, error, "%s", path);
        return false;
}

/* Goes down into `name` of the innermost folder (of the place itself at first). */
static bool removal_enter(Removal *r, const char *name)
{
        int above = r->n > 0 ? dirfd(r->levels[r->n - 1].dir) : r->place->fd, fd;
        struct stat st;
        Level *level;

        fd = open_folder(above, name);
        if (fd < 0)
                return removal_fail(r, fd, r->n > 0 ? name : NULL);
        if (fstat(fd, &st) < 0) {
                fd_close(fd);
                return removal_fail(r, -errno, r->n > 0 ? name : NULL);
        }
        if (r->n == r->capacity) {
                r->capacity = MAX_OF(2 * r->capacity, (size_t)16);
                r->levels = must(reallocarray(r->levels, r->capacity, sizeof(*r->levels)));
        }
        if (r->n >= OPEN_MAX) {
                level = &r->levels[r->n - OPEN_MAX];
                if (level->dir)
                        (void)closedir(level->dir);
                level->dir = NULL;
        }
        r->levels[r->n++] = (Level){
                .name = must(strdup(name)),
                .dir = must(fdopendir(fd)),
                .dev = st.st_dev,
                .ino = st.st_ino,
        };
        return true;
}

/* The folder above the innermost one is open (again). */
static bool removal_open_above(Removal *r)
{
        Level *above = &r->levels[r->n - 2];
        struct stat st;
        int fd;

        if (above->dir)
                return true;
        fd = open_folder(dirfd(r->levels[r->n - 1].dir), "..");
        if (fd < 0)
                return removal_fail(r, fd, NULL);
        if (fstat(fd, &st) < 0 || st.st_dev != above->dev || st.st_ino != above->ino) {
                fd_close(fd);
                return removal_fail(r, -ESTALE, NULL);
        }
        above->dir = must(fdopendir(fd));
        return true;
}

/* Back up from a folder that has been emptied, which goes. */
static bool removal_leave(Removal *r)
{
        Level *level = &r->levels[r->n - 1];
        int above;

        if (r->n > 1 && !removal_open_above(r))
                return false;
        above = r->n > 1 ? dirfd(r->levels[r->n - 2].dir) : r->place->fd;
        if (unlinkat(above, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return removal_fail(r, -errno, NULL);
        (void)closedir(level->dir);
        free(level->name);
        r->n--;
        r->removed++;
        if (r->n > 0)
                r->levels[r->n - 1].removed = true;
        return true;
}

/* One entry of the innermost folder: removed, or entered. */
static bool removal_take(Removal *r, const struct dirent *entry)
{
        Level *level = &r->levels[r->n - 1];
        int fd = dirfd(level->dir);

        /* Linux, unlike POSIX, says EISDIR: unlink(2). A folder that is empty needs no visit. */
        if (entry->d_type != DT_DIR && unlinkat(fd, entry->d_name, 0) < 0) {
                if (errno != EISDIR)
                        return errno == ENOENT || removal_fail(r, -errno, entry->d_name);
        } else if (entry->d_type != DT_DIR) {
                level->removed = true;
                r->removed++;
                return true;
        }
        if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) >= 0) {
                level->removed = true;
                r->removed++;
                return true;
        }
        if (errno == ENOENT)
                return true;
        /* Of a place where something is mounted: to enter it tells. */
        if (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
                return removal_fail(r, -errno, entry->d_name);
        return removal_enter(r, entry->d_name);
}

/* One step of the innermost folder. */
static bool removal_step(Removal *r)
{
        Level *level = &r->levels[r->n - 1];
        const struct dirent *entry;

        errno = 0;
        entry = readdir(level->dir);
        if (entry) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        return true;
                return removal_take(r, entry);
        }
        if (errno != 0)
                return removal_fail(r, -errno, NULL);
        if (!level->removed)
                return removal_leave(r);
        /* What a folder lists while entries go is not said to be all: readdir(3). */
        level->removed = false;
        rewinddir(level->dir);
        return true;
}

static void remove_tree(FileJob *j, const FilePlace *place, const char *shown)
{
        _cleanup_(removal_done) Removal r = { .job = j, .place = place, .shown = shown };
        bool ok = removal_enter(&r, place->name);

        while (ok && r.n > 0)
                ok = removal_step(&r);
        if (ok)
                object_add_unsigned(job_result(j), "removed", r.removed);
        else
                object_add_unsigned(j->reply, "removed", r.removed);
}

void file_remove(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;
        bool folder;
        struct stat st;
        int r;

        r = path_open_place(j->root, path, &place);
        if (r >= 0)
                r = file_place_stat(&place, &st);
        if (r < 0) {
                job_fail(j, r, "%s", shown);
                return;
        }
        folder = S_ISDIR(st.st_mode);
        if (unlinkat(place.fd, place.name, folder ? AT_REMOVEDIR : 0) >= 0) {
                object_add_unsigned(job_result(j), "removed", 1);
                return;
        }
        if (!folder || (errno != ENOTEMPTY && errno != EEXIST))
                job_fail(j, errno, "%s", shown);
        else if (job_flag(j, "recursive", false))
                remove_tree(j, &place, shown);
        else
                job_refuse(j, REASON_FAILED, ENOTEMPTY,
                           "%s is not empty; `recursive` would remove it with all that is in it",
                           shown);
}
