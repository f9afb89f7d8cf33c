/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macros.h"
#include "files/path.h"
#include "rpc/error.h"

/*
 * One call of a file.* method, in the helper that runs it. The daemon has checked its parameters:
 * their types, that numbers are not negative and base64 is sound, that a path is there, absolute
 * and without NUL.
 *
 * The helper is there for one caller, and can be replaced: without memory it ends, and its call is
 * answered for it. So nothing here fails for want of it.
 */
typedef struct FileJob FileJob;

struct FileJob {
        const FileRoot *root; /* borrowed, as are these */
        json_object *params;
        uint64_t max_data;  /* bytes of content that a reply may hold */
        json_object *reply; /* the result; of a call that failed: reason, message, errno ... */
        bool failed;
};

/* No memory: says so on standard error, which the daemon logs, and ends the process. */
_Noreturn void job_die(void);
/* p itself, unless it is NULL. */
#define must(p)                            \
        ({                                 \
                __typeof__(p) _must = (p); \
                if (!_must)                \
                        job_die();         \
                _must;                     \
        })

/* Parameters, borrowed. */
bool job_has(const FileJob *j, const char *key);
bool job_flag(const FileJob *j, const char *key, bool otherwise);
uint64_t job_number(const FileJob *j, const char *key, uint64_t otherwise);
int64_t job_signed(const FileJob *j, const char *key);
/* NULL where it is absent. */
const char *job_text(const FileJob *j, const char *key);
/* Permission bits, in octal digits or as a number. */
mode_t job_mode(const FileJob *j, const char *key, mode_t otherwise);
/* The bytes of a text, or those of which key_base64 is the base64; a NUL follows. The caller frees.
 * NULL: neither is there. */
char *job_bytes(const FileJob *j, const char *key, const char *key_base64, size_t *ret_n);
/* The same of a path, which may also be given as KEY_base64. */
char *job_path(const FileJob *j, const char *key);

/* The result under construction: an object, made at the first use. Values are taken over. */
json_object *job_result(FileJob *j);
void object_add(json_object *o, const char *key, json_object *value);
/* NULL becomes null. */
void object_add_null(json_object *o, const char *key, json_object *value);
void object_add_text(json_object *o, const char *key, const char *value);
void object_add_unsigned(json_object *o, const char *key, uint64_t value);
void object_add_base64(json_object *o, const char *key, const char *value, size_t n);
/* value: text where it is UTF-8 without NUL, else under key_base64 in base64. */
void object_add_bytes(json_object *o, const char *key, const char *key_base64, const char *value,
                      size_t n);
void object_add_time(json_object *o, const char *key, const struct timespec *ts);

/*
 * Failures. The reason follows from the errno (positive or negative), which the reply names, and
 * the message is "format: what the errno means".
 */
void job_fail(FileJob *j, int error, const char *format, ...) _printf_(3, 4);
/* The same with a reason and all of the message. error: or 0. */
void job_refuse(FileJob *j, Reason reason, int error, const char *format, ...) _printf_(4, 5);
/* The numbers of the parameters `owner` and `group`, names or numbers; what is absent stays as it
 * is. False: the job has failed. */
bool job_find_ids(FileJob *j, uid_t *uid, gid_t *gid);
/* Of identity.h: kind is "user" or "group". */
void job_fail_identity(FileJob *j, int error, const char *kind, const char *name);
Reason reason_from_errno(int error);
/* A path as it stands in a message; to be freed. */
char *path_show(const char *path);

/* "file", "directory", "link", "fifo", "socket", "block-device", "character-device". */
const char *file_type_to_text(mode_t mode);
/* "a FIFO". */
const char *file_type_with_article(mode_t mode);

/* The methods: each ends with a result or a failure. */
void file_stat(FileJob *j);
void file_list(FileJob *j);
void file_mkdir(FileJob *j);
void file_remove(FileJob *j);
void file_rename(FileJob *j);
void file_chmod(FileJob *j);
void file_chown(FileJob *j);
void file_read(FileJob *j);
void file_write(FileJob *j);
void file_hash(FileJob *j);
