/* SPDX-License-Identifier: MIT */

/* file.mkdir, file.rename, file.chmod, file.chown: names and what is said of files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "files/job.h"

#define SPECIAL_BITS ((mode_t)(S_ISUID | S_ISGID | S_ISVTX))

/* mkdir(2) takes no notice of these. */
static int add_special_bits(const FilePlace *place, mode_t mode)
{
        _cleanup_close_ int fd = -EBADF;

        fd = openat(place->fd, place->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : path_chmod(fd, mode);
}

/* 0; -EEXIST where something of that name is there already; -errno. */
static int make_folder(FileJob *j, const char *path, bool last)
{
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;
        bool exact = last && job_has(j, "mode");
        mode_t mode = exact ? job_mode(j, "mode", 0) : 0777, mask = 0;
        int r;

        r = path_open_place(j->root, path, &place);
        if (r < 0)
                return r == -EBUSY ? -EEXIST : r;
        if (exact)
                mask = umask(0);
        r = mkdirat(place.fd, place.name, mode) < 0 ? -errno : 0;
        if (exact)
                (void)umask(mask);
        if (r >= 0 && exact && (mode & SPECIAL_BITS))
                r = add_special_bits(&place, mode);
        return r;
}

static bool is_folder(const FileJob *j, const char *path)
{
        _cleanup_close_ int fd = path_open(j->root, path, O_PATH | O_DIRECTORY, 0);

        return fd >= 0;
}

/* Each folder on the way that is not there. 0 or -errno, with the path cut where that befell. */
static int make_parents(FileJob *j, char *path)
{
        size_t n = strlen(path);

        while (n > 1 && path[n - 1] == '/')
                path[--n] = '\0';
        for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
                int r;

                *slash = '\0';
                /* Looked for first: a parent may be closed to writing, or be `.` or `..`. */
                r = is_folder(j, path) ? 0 : make_folder(j, path, false);
                if (r == -EEXIST)
                        r = is_folder(j, path) ? 0 : -ENOTDIR;
                if (r < 0)
                        return r;
        }
        return 0;
}

void file_mkdir(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = NULL;
        bool parents = job_flag(j, "parents", false), created = true;
        int r = 0;

        if (parents)
                r = make_parents(j, path);
        if (r >= 0)
                r = make_folder(j, path, true);
        if (r == -EEXIST && parents && is_folder(j, path)) {
                created = false;
                r = 0;
        }
        if (r < 0) {
                shown = path_show(path);
                job_fail(j, r, "%s", shown);
                return;
        }
        object_add(job_result(j), "created", json_object_new_boolean(created));
}

/* Whether what a path with a slash at its end names is the folder that it must be. */
static int check_folder(const FilePlace *place)
{
        struct stat st;

        return place->folder ? file_place_stat(place, &st) : 0;
}

static void rename_failed(FileJob *j, int error, const char *from, const char *to)
{
        if (error == -EXDEV)
                job_refuse(j, REASON_FAILED, error,
                           "%s and %s are in different file systems: copy it with file.get and "
                           "file.put",
                           from, to);
        else if (error == -EEXIST)
                job_refuse(j, REASON_EXISTS, error, "%s exists; `replace` would replace it", to);
        else
                job_fail(j, error, "%s to %s", from, to);
}

void file_rename(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_free_ char *to = job_path(j, "to"), *to_shown = path_show(to);
        _cleanup_place_ FilePlace from_place = FILE_PLACE_NULL, to_place = FILE_PLACE_NULL;
        unsigned flags = job_flag(j, "replace", false) ? 0 : RENAME_NOREPLACE;
        int r;

        r = path_open_place(j->root, path, &from_place);
        if (r >= 0)
                r = check_folder(&from_place);
        if (r < 0) {
                job_fail(j, r, "%s", shown);
                return;
        }
        r = path_open_place(j->root, to, &to_place);
        if (r < 0) {
                job_fail(j, r, "%s", to_shown);
                return;
        }
        r = renameat2(from_place.fd, from_place.name, to_place.fd, to_place.name, flags);
        if (r >= 0) {
                (void)job_result(j);
                return;
        }
        r = -errno;
        if (r == -EINVAL && flags != 0 &&
            faccessat(to_place.fd, to_place.name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno == ENOENT) {
                /* EINVAL is also the answer to a folder that would move into itself. */
                job_refuse(j, REASON_FAILED, r,
                           "%s to %s: it would move into itself, or this file system renames only "
                           "with `replace`",
                           shown, to_shown);
                return;
        }
        rename_failed(j, r, shown, to_shown);
}

void file_chmod(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = path_open(j->root, path, O_PATH, 0);
        r = fd < 0 ? fd : path_chmod(fd, job_mode(j, "mode", 0));
        if (r < 0)
                job_fail(j, r, "%s", shown);
        else
                (void)job_result(j);
}

void file_chown(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_close_ int fd = -EBADF;
        uid_t uid = (uid_t)-1;
        gid_t gid = (gid_t)-1;

        if (!job_find_ids(j, &uid, &gid))
                return;
        fd = path_open(j->root, path, O_PATH | (job_flag(j, "follow", true) ? 0 : O_NOFOLLOW), 0);
        if (fd < 0)
                job_fail(j, fd, "%s", shown);
        else if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
                job_fail(j, errno, "%s", shown);
        else
                (void)job_result(j);
}
