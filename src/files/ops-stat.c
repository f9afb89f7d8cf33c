/* SPDX-License-Identifier: MIT */

/* file.stat and file.list: what is there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "files/job.h"

#define LIMIT_DEFAULT 1000U
#define LIMIT_MAX 10000U
/* The most that one entry of a listing takes as JSON, but for its strings. */
#define ENTRY_SIZE 256U
/* And what a byte of a string may become: \u0001. */
#define BYTE_SIZE 6U

static void add_basics(json_object *o, const struct stat *st)
{
        object_add_text(o, "type", file_type_to_text(st->st_mode));
        object_add_unsigned(o, "size", (uint64_t)st->st_size);
        object_add_unsigned(o, "mode", st->st_mode & 07777);
        object_add_time(o, "mtime_ns", &st->st_mtim);
        object_add_unsigned(o, "uid", st->st_uid);
        object_add_unsigned(o, "gid", st->st_gid);
}

/* Where a link leads; nothing where it cannot be read. Bytes added. */
static size_t add_target(json_object *o, int fd, const char *name)
{
        char target[PATH_MAX];
        ssize_t n;

        n = readlinkat(fd, name, target, sizeof(target));
        if (n <= 0)
                return 0;
        object_add_bytes(o, "target", "target_base64", target, (size_t)n);
        return (size_t)n;
}

/* No name, or nobody to ask: null. */
static json_object *name_of_user(uid_t uid)
{
        const struct passwd *p = getpwuid(uid);

        return p ? must(json_object_new_string(p->pw_name)) : NULL;
}

static json_object *name_of_group(gid_t gid)
{
        const struct group *g = getgrgid(gid);

        return g ? must(json_object_new_string(g->gr_name)) : NULL;
}

void file_stat(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_close_ int fd = -EBADF;
        json_object *o;
        struct stat st;

        fd = path_open(j->root, path, O_PATH | (job_flag(j, "follow", true) ? 0 : O_NOFOLLOW), 0);
        if (fd < 0) {
                job_fail(j, fd, "%s", shown);
                return;
        }
        if (fstat(fd, &st) < 0) {
                job_fail(j, errno, "%s", shown);
                return;
        }
        o = job_result(j);
        add_basics(o, &st);
        object_add_null(o, "user", name_of_user(st.st_uid));
        object_add_null(o, "group", name_of_group(st.st_gid));
        object_add_time(o, "atime_ns", &st.st_atim);
        object_add_time(o, "ctime_ns", &st.st_ctim);
        object_add_unsigned(o, "links", st.st_nlink);
        object_add_unsigned(o, "inode", st.st_ino);
        object_add_unsigned(o, "device", st.st_dev);
        object_add_unsigned(o, "allocated_bytes", (uint64_t)st.st_blocks * 512);
        if (S_ISLNK(st.st_mode))
                (void)add_target(o, fd, "");
}

/*
 * A page of a listing: the first names, in the order of their bytes, that come after the cursor.
 * Who goes from page to page by the last name seen meets each name once that is there throughout,
 * whatever comes and goes meanwhile; positions in a folder promise less, and not everywhere.
 */
typedef struct Page Page;

struct Page {
        char **names; /* a heap: the greatest is the first */
        size_t n;
        size_t limit;
};

static void page_done(Page *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->names[i]);
        free(p->names);
}

static void page_swap(Page *p, size_t a, size_t b)
{
        char *name = p->names[a];

        p->names[a] = p->names[b];
        p->names[b] = name;
}

static void page_sink(Page *p)
{
        for (size_t i = 0;;) {
                size_t left = 2 * i + 1, right = left + 1, greatest = i;

                if (left < p->n && strcmp(p->names[left], p->names[greatest]) > 0)
                        greatest = left;
                if (right < p->n && strcmp(p->names[right], p->names[greatest]) > 0)
                        greatest = right;
                if (greatest == i)
                        return;
                page_swap(p, i, greatest);
                i = greatest;
        }
}

static void page_add(Page *p, const char *name)
{
        size_t i;

        if (p->n == p->limit) {
                if (strcmp(name, p->names[0]) >= 0)
                        return;
                free(p->names[0]);
                p->names[0] = must(strdup(name));
                page_sink(p);
                return;
        }
        i = p->n++;
        p->names[i] = must(strdup(name));
        for (; i > 0 && strcmp(p->names[i], p->names[(i - 1) / 2]) > 0; i = (i - 1) / 2)
                page_swap(p, i, (i - 1) / 2);
}

static int name_compare(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 0 or -errno. */
static int page_read(Page *p, DIR *dir, const char *after)
{
        const struct dirent *entry;

        while ((errno = 0, entry = readdir(dir)) != NULL) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (!after || strcmp(entry->d_name, after) > 0)
                        page_add(p, entry->d_name);
        }
        if (errno != 0)
                return -errno;
        if (p->n > 0)
                qsort(p->names, p->n, sizeof(p->names[0]), name_compare);
        return 0;
}

/* One entry; the bytes that it may take as JSON, 0 where it has gone meanwhile. */
static size_t add_entry(json_object *entries, int dir, const char *name)
{
        size_t length = strlen(name);
        json_object *o;
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                return 0;
        o = must(json_object_new_object());
        object_add_bytes(o, "name", "name_base64", name, length);
        add_basics(o, &st);
        if (S_ISLNK(st.st_mode))
                length += add_target(o, dir, name);
        if (json_object_array_add(entries, o) < 0)
                job_die();
        return ENTRY_SIZE + BYTE_SIZE * length;
}

static void file_list_page(FileJob *j, const Page *p, int dir, size_t limit)
{
        json_object *entries = must(json_object_new_array());
        uint64_t size = 0;
        size_t i;

        object_add(job_result(j), "entries", entries);
        for (i = 0; i < MIN_OF(p->n, limit) && (i == 0 || size < j->max_data); i++)
                size += add_entry(entries, dir, p->names[i]);
        if (i < p->n)
                object_add_base64(job_result(j), "next", p->names[i - 1], strlen(p->names[i - 1]));
}

void file_list(FileJob *j)
{
        size_t limit = MIN_OF(job_number(j, "limit", LIMIT_DEFAULT), (uint64_t)LIMIT_MAX), n;
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        _cleanup_free_ char *after = job_bytes(j, "", "cursor", &n);
        _cleanup_(page_done) Page page = { .limit = limit + 1 };
        DIR *dir;
        int fd, r;

        fd = path_open(j->root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
        if (fd < 0) {
                job_fail(j, fd, "%s", shown);
                return;
        }
        dir = must(fdopendir(fd));
        page.names = must(calloc(page.limit, sizeof(page.names[0])));
        r = page_read(&page, dir, after);
        if (r < 0)
                job_fail(j, r, "%s", shown);
        else
                file_list_page(j, &page, fd, limit);
        (void)closedir(dir);
}
