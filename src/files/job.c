/* SPDX-License-Identifier: MIT */
#include "files/job.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/text.h"
#include "files/identity.h"

/* How much of a path an error says. */
#define PATH_SHOWN_MAX 512U

void job_die(void)
{
        static const char words[] = "the file helper is out of memory and ends\n";

        (void)!write(STDERR_FILENO, words, sizeof(words) - 1);
        _exit(EXIT_FAILURE);
}

static json_object *job_param(const FileJob *j, const char *key)
{
        json_object *value = NULL;

        (void)json_object_object_get_ex(j->params, key, &value);
        return value;
}

bool job_has(const FileJob *j, const char *key)
{
        return job_param(j, key);
}

bool job_flag(const FileJob *j, const char *key, bool otherwise)
{
        json_object *value = job_param(j, key);

        return value ? json_object_get_boolean(value) : otherwise;
}

uint64_t job_number(const FileJob *j, const char *key, uint64_t otherwise)
{
        json_object *value = job_param(j, key);

        return value ? json_object_get_uint64(value) : otherwise;
}

int64_t job_signed(const FileJob *j, const char *key)
{
        return json_object_get_int64(job_param(j, key));
}

const char *job_text(const FileJob *j, const char *key)
{
        return json_object_get_string(job_param(j, key));
}

mode_t job_mode(const FileJob *j, const char *key, mode_t otherwise)
{
        json_object *value = job_param(j, key);
        unsigned mode;

        if (!value)
                return otherwise;
        if (json_object_is_type(value, json_type_string) &&
            text_to_mode(json_object_get_string(value), &mode) >= 0)
                return mode;
        return (mode_t)json_object_get_int(value) & 07777;
}

/* A copy with a NUL at the end. */
static char *bytes_copy(const char *data, size_t n)
{
        char *copy = must(malloc(n + 1));

        if (n > 0)
                memcpy(copy, data, n);
        copy[n] = '\0';
        return copy;
}

char *job_bytes(const FileJob *j, const char *key, const char *key_base64, size_t *ret_n)
{
        json_object *value = job_param(j, key);
        Buffer decoded = BUFFER_NULL;
        char *bytes;

        if (value) {
                *ret_n = (size_t)json_object_get_string_len(value);
                return bytes_copy(json_object_get_string(value), *ret_n);
        }
        value = job_param(j, key_base64);
        if (!value)
                return NULL;
        if (base64_decode(&decoded, json_object_get_string(value),
                          (size_t)json_object_get_string_len(value)) == -ENOMEM)
                job_die();
        *ret_n = decoded.size;
        bytes = bytes_copy(buffer_peek(&decoded), decoded.size);
        buffer_done(&decoded);
        return bytes;
}

char *job_path(const FileJob *j, const char *key)
{
        _cleanup_free_ char *key_base64 = must(text_format("%s_base64", key));
        size_t n;

        return job_bytes(j, key, key_base64, &n);
}

json_object *job_result(FileJob *j)
{
        if (!j->reply)
                j->reply = must(json_object_new_object());
        return j->reply;
}

void object_add(json_object *o, const char *key, json_object *value)
{
        if (json_object_object_add(o, key, must(value)) < 0)
                job_die();
}

void object_add_null(json_object *o, const char *key, json_object *value)
{
        if (json_object_object_add(o, key, value) < 0)
                job_die();
}

void object_add_unsigned(json_object *o, const char *key, uint64_t value)
{
        object_add(o, key, json_object_new_uint64(value));
}

void object_add_text(json_object *o, const char *key, const char *value)
{
        object_add(o, key, json_object_new_string(value));
}

void object_add_base64(json_object *o, const char *key, const char *value, size_t n)
{
        Buffer text = BUFFER_NULL;

        if (base64_encode(&text, value, n) < 0)
                job_die();
        object_add(o, key, json_object_new_string_len(buffer_peek(&text) ?: "", (int)text.size));
        buffer_done(&text);
}

void object_add_bytes(json_object *o, const char *key, const char *key_base64, const char *value,
                      size_t n)
{
        if (memchr(value, '\0', n) || !text_is_utf8(value, n))
                object_add_base64(o, key_base64, value, n);
        else
                object_add(o, key, json_object_new_string_len(value, (int)n));
}

void object_add_time(json_object *o, const char *key, const struct timespec *ts)
{
        object_add(o, key, json_object_new_int64((int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec));
}

Reason reason_from_errno(int error)
{
        switch (abs(error)) {
        case ENOENT:
                return REASON_NOT_FOUND;
        case EEXIST:
                return REASON_EXISTS;
        case EOPNOTSUPP:
        case ENOSYS:
                return REASON_UNSUPPORTED;
        default:
                return REASON_FAILED;
        }
}

static void job_set_failed(FileJob *j, Reason reason, int error, const char *message)
{
        json_object_put(j->reply);
        j->reply = must(json_object_new_object());
        j->failed = true;
        object_add_text(j->reply, "reason", reason_to_text(reason));
        object_add_text(j->reply, "message", message);
        if (error != 0)
                object_add(j->reply, "errno", json_object_new_int(abs(error)));
}

void job_fail(FileJob *j, int error, const char *format, ...)
{
        _cleanup_free_ char *what = NULL, *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&what, format, ap);
        va_end(ap);
        if (r < 0)
                job_die();
        message = must(text_format("%s: %s", what, strerror(abs(error))));
        job_set_failed(j, reason_from_errno(error), error, message);
}

void job_refuse(FileJob *j, Reason reason, int error, const char *format, ...)
{
        _cleanup_free_ char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0)
                job_die();
        job_set_failed(j, reason, error, message);
}

void job_fail_identity(FileJob *j, int error, const char *kind, const char *name)
{
        _cleanup_free_ char *shown = path_show(name);

        if (error == -ENOENT)
                job_refuse(j, REASON_NOT_FOUND, 0, "There is no %s %s", kind, shown);
        else
                job_fail(j, error, "%s %s", kind, shown);
}

bool job_find_ids(FileJob *j, uid_t *uid, gid_t *gid)
{
        const char *owner = job_text(j, "owner"), *group = job_text(j, "group");
        int r;

        r = owner ? identity_find_user(owner, uid) : 0;
        if (r < 0) {
                job_fail_identity(j, r, "user", owner);
                return false;
        }
        r = group ? identity_find_group(group, gid) : 0;
        if (r < 0) {
                job_fail_identity(j, r, "group", group);
                return false;
        }
        return true;
}

char *path_show(const char *path)
{
        return must(text_show(path, strlen(path), PATH_SHOWN_MAX));
}

static const struct {
        mode_t type;
        const char *text;
        const char *with_article;
} types[] = {
        { S_IFREG, "file", "a regular file" },
        { S_IFDIR, "directory", "a directory" },
        { S_IFLNK, "link", "a symbolic link" },
        { S_IFIFO, "fifo", "a FIFO" },
        { S_IFSOCK, "socket", "a socket" },
        { S_IFBLK, "block-device", "a block device" },
        { S_IFCHR, "character-device", "a character device" },
};

const char *file_type_to_text(mode_t mode)
{
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (types[i].type == (mode & S_IFMT))
                        return types[i].text;
        return "unknown";
}

const char *file_type_with_article(mode_t mode)
{
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (types[i].type == (mode & S_IFMT))
                        return types[i].with_article;
        return "no file of a known kind";
}
