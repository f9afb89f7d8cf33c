/* SPDX-License-Identifier: MIT */

/* file.read, file.write, file.hash: what is in small files, and what identifies any. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "files/job.h"

#define HASH_BLOCK (256U * 1024U)
#define UTF8_MAX 4U
/* Should anything else than a file have got in the way, nothing waits for it. */
#define OPEN_FLAGS (O_NONBLOCK | O_NOCTTY)

/* Whether an open file is one; if not, the job has failed. */
static bool check_regular(FileJob *j, int fd, const char *shown, struct stat *ret)
{
        if (fstat(fd, ret) < 0) {
                job_fail(j, errno, "%s", shown);
                return false;
        }
        if (S_ISREG(ret->st_mode))
                return true;
        job_refuse(j, REASON_UNSUPPORTED, S_ISDIR(ret->st_mode) ? EISDIR : EINVAL,
                   "%s is %s, not a regular file", shown, file_type_with_article(ret->st_mode));
        return false;
}

/* An existing regular file. The descriptor, or -errno with the job failed. */
static int open_regular(FileJob *j, const char *path, const char *shown, int flags,
                        struct stat *ret)
{
        _cleanup_close_ int fd = path_open(j->root, path, O_PATH, 0);
        int opened;

        if (fd < 0) {
                job_fail(j, fd, "%s", shown);
                return fd;
        }
        if (!check_regular(j, fd, shown, ret))
                return -EINVAL;
        opened = path_reopen(fd, flags | OPEN_FLAGS);
        if (opened < 0)
                job_fail(j, opened, "%s", shown);
        return opened;
}

/* Up to n bytes from the offset on: how many there were, or -errno. */
static ssize_t read_at(int fd, char *to, size_t n, uint64_t offset)
{
        size_t done = 0;

        while (done < n) {
                ssize_t k = pread(fd, to + done, n - done, (off_t)(offset + done));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                done += (size_t)k;
        }
        return (ssize_t)done;
}

/* How many of the n bytes are whole characters, where the last one is cut: it is left for the next
 * read. n where they are no UTF-8 anyhow. */
static size_t without_cut_character(const char *data, size_t n)
{
        for (size_t cut = 1; cut < UTF8_MAX && cut < n; cut++) {
                unsigned char first = (unsigned char)data[n - cut];
                size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;

                if (length > cut && text_is_utf8(data, n - cut))
                        return n - cut;
        }
        return n;
}

void file_read(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path), *data = NULL;
        uint64_t offset = job_number(j, "offset", 0);
        size_t max = (size_t)MIN_OF(job_number(j, "length", j->max_data), j->max_data), length;
        _cleanup_close_ int fd = -EBADF;
        json_object *o;
        struct stat st;
        ssize_t n;

        fd = open_regular(j, path, shown, O_RDONLY, &st);
        if (fd < 0)
                return;
        /* One byte more tells whether that was the end. */
        data = must(malloc(max + 1));
        n = read_at(fd, data, max + 1, offset);
        if (n < 0) {
                job_fail(j, (int)n, "%s", shown);
                return;
        }
        length = MIN_OF((size_t)n, max);
        if ((size_t)n > max && !text_is_utf8(data, length))
                length = without_cut_character(data, length);
        o = job_result(j);
        object_add_unsigned(o, "offset", offset);
        object_add_unsigned(o, "length", length);
        object_add_unsigned(o, "size", (uint64_t)st.st_size);
        object_add(o, "eof", json_object_new_boolean((size_t)n <= max));
        object_add_bytes(o, "data", "base64", data, length);
}

/* The descriptor, or -errno with the job failed. */
static int open_for_writing(FileJob *j, const char *path, const char *shown, bool *ret_created)
{
        bool append = job_flag(j, "append", false);
        bool truncate = job_flag(j, "truncate", !append && !job_has(j, "offset"));
        mode_t mode = job_mode(j, "mode", 0666), mask = 0;
        int flags = O_WRONLY | (append ? O_APPEND : 0);
        _cleanup_close_ int fd = path_open(j->root, path, O_PATH, 0);
        struct stat st;

        if (fd >= 0) {
                *ret_created = false;
                return open_regular(j, path, shown, flags | (truncate ? O_TRUNC : 0), &st);
        }
        if (fd != -ENOENT || !job_flag(j, "create", true)) {
                job_fail(j, fd, "%s", shown);
                return fd;
        }
        if (job_has(j, "mode"))
                mask = umask(0);
        fd = path_open(j->root, path, flags | O_CREAT | OPEN_FLAGS, mode);
        if (job_has(j, "mode"))
                (void)umask(mask);
        if (fd < 0) {
                job_fail(j, fd, "%s", shown);
                return fd;
        }
        /* Somebody else may have been faster. */
        if (!check_regular(j, fd, shown, &st))
                return -EINVAL;
        *ret_created = true;
        return TAKE_FD(fd);
}

/* 0 or -errno; *done: how many bytes are written, in either case. */
static int write_all(int fd, const char *data, size_t n, bool append, uint64_t offset, size_t *done)
{
        /* The kernel says EINVAL to what goes beyond an off_t. */
        if (n > (uint64_t)INT64_MAX - offset)
                return -EFBIG;
        while (*done < n) {
                ssize_t k = append ? write(fd, data + *done, n - *done)
                                   : pwrite(fd, data + *done, n - *done, (off_t)(offset + *done));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                *done += (size_t)k;
        }
        return 0;
}

void file_write(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path), *data = NULL;
        size_t n = 0, done = 0;
        struct stat st = { 0 };
        bool created = false;
        int fd, r;

        data = must(job_bytes(j, "data", "base64", &n));
        fd = open_for_writing(j, path, shown, &created);
        if (fd < 0)
                return;
        r = write_all(fd, data, n, job_flag(j, "append", false), job_number(j, "offset", 0), &done);
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        /* Over a network some errors come no sooner. */
        if (close(fd) < 0 && r >= 0)
                r = -errno;
        if (r < 0) {
                job_fail(j, r, "%s: %zu of %zu bytes are written", shown, done, n);
                object_add_unsigned(j->reply, "written", done);
                return;
        }
        object_add_unsigned(job_result(j), "written", done);
        object_add_unsigned(job_result(j), "size", (uint64_t)st.st_size);
        object_add(job_result(j), "created", json_object_new_boolean(created));
}

static bool same_content(const struct stat *a, const struct stat *b)
{
        return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* 0 or -errno. */
static int hash_content(int fd, uint64_t offset, uint64_t length, char ret[static 65],
                        uint64_t *ret_done)
{
        _cleanup_free_ char *block = must(malloc(HASH_BLOCK));
        uint8_t digest[SHA256_DIGEST_SIZE];
        struct sha256_ctx context;
        uint64_t done = 0;

        sha256_init(&context);
        while (done < length) {
                size_t want = (size_t)MIN_OF(length - done, (uint64_t)HASH_BLOCK);
                ssize_t n = read_at(fd, block, want, offset + done);

                if (n < 0)
                        return (int)n;
                sha256_update(&context, (size_t)n, (const uint8_t *)block);
                done += (uint64_t)n;
                if ((size_t)n < want)
                        break;
        }
        sha256_digest(&context, sizeof(digest), digest);
        for (size_t i = 0; i < sizeof(digest); i++) {
                ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
                ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
        }
        ret[2 * sizeof(digest)] = '\0';
        *ret_done = done;
        return 0;
}

void file_hash(FileJob *j)
{
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path);
        uint64_t offset = job_number(j, "offset", 0);
        /* An offset_t has 63 bits; further than that nothing reaches. */
        uint64_t length = MIN_OF(job_number(j, "length", INT64_MAX), (uint64_t)INT64_MAX - offset);
        _cleanup_close_ int fd = -EBADF;
        struct stat before, after;
        char hash[65];
        uint64_t done = 0;
        json_object *o;
        int r;

        fd = open_regular(j, path, shown, O_RDONLY, &before);
        if (fd < 0)
                return;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        r = hash_content(fd, offset, length, hash, &done);
        if (r >= 0 && fstat(fd, &after) < 0)
                r = -errno;
        if (r < 0) {
                job_fail(j, r, "%s", shown);
                return;
        }
        o = job_result(j);
        object_add_text(o, "algorithm", "sha256");
        object_add_text(o, "hash", hash);
        object_add_unsigned(o, "length", done);
        object_add_unsigned(o, "size", (uint64_t)after.st_size);
        object_add(o, "changed", json_object_new_boolean(!same_content(&before, &after)));
}
