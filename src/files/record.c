/* SPDX-License-Identifier: MIT */
#include "files/record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/text.h"
#include "rpc/error.h"
#include "rpc/frame.h"
#include "rpc/scan.h"

#define ERRNO_MAX 134
/* What is not a string: keys, numbers, a hash, punctuation. */
#define FIXED_BOUND 1024U

static const char *const type_names[] = {
        [RECORD_FILE] = "file",
        [RECORD_DIRECTORY] = "directory",
        [RECORD_LINK] = "link",
        [RECORD_OTHER] = "other",
};

RecordType record_type_of(mode_t mode)
{
        return S_ISREG(mode)   ? RECORD_FILE
               : S_ISDIR(mode) ? RECORD_DIRECTORY
               : S_ISLNK(mode) ? RECORD_LINK
                               : RECORD_OTHER;
}

const char *record_kind_of(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return "a regular file";
        case S_IFDIR:
                return "a directory";
        case S_IFLNK:
                return "a symbolic link";
        case S_IFIFO:
                return "a FIFO";
        case S_IFSOCK:
                return "a socket";
        case S_IFCHR:
                return "a character device";
        case S_IFBLK:
                return "a block device";
        default:
                return "of a kind that is not known";
        }
}

static int64_t ns_of(struct timespec ts)
{
        int64_t ns;

        /* Years past 2262 do not fit; nobody's file is that old or new but by mistake. */
        if (__builtin_mul_overflow((int64_t)ts.tv_sec, (int64_t)1000000000, &ns) ||
            __builtin_add_overflow(ns, (int64_t)ts.tv_nsec, &ns))
                return RECORD_TIME_NONE;
        return ns;
}

void record_from_stat(Record *r, const struct stat *st)
{
        r->type = record_type_of(st->st_mode);
        r->mode = st->st_mode & 07777;
        r->uid = st->st_uid;
        r->gid = st->st_gid;
        r->mtime_ns = ns_of(st->st_mtim);
        r->atime_ns = ns_of(st->st_atim);
        if (S_ISREG(st->st_mode))
                r->size = (uint64_t)st->st_size;
}

const char *record_boot_id(void)
{
        static char id[RECORD_BOOT_SIZE];
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        if (id[0])
                return id;
        fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, id, sizeof(id) - 1) : -1;
        if (n != (ssize_t)sizeof(id) - 1)
                id[0] = 0;
        return id;
}

static size_t bound_of(const char *text)
{
        return text ? strlen(text) * 6 + 16 : 0;
}

size_t record_bound(const Record *r)
{
        return FIXED_BOUND + bound_of(r->path) + bound_of(r->target) + bound_of(r->user) +
               bound_of(r->group) + bound_of(r->message);
}

/* Writers: each returns where the next one goes on. */
static char *put_key(char *p, const char *key)
{
        if (p[-1] != '{')
                *p++ = ',';
        *p++ = '"';
        p = stpcpy(p, key);
        *p++ = '"';
        *p++ = ':';
        return p;
}

static char *put_text(char *p, const char *text)
{
        static const char digits[] = "0123456789abcdef";

        *p++ = '"';
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (c < 0x20) {
                        p = stpcpy(p, "\\u00");
                        *p++ = digits[c >> 4];
                        *p++ = digits[c & 15];
                } else {
                        if (c == '"' || c == '\\')
                                *p++ = '\\';
                        *p++ = (char)c;
                }
        }
        *p++ = '"';
        return p;
}

/* Bytes that are no text go by another key, in base64. */
static char *put_bytes(char *p, const char *key, const char *key_base64, const char *bytes)
{
        Buffer encoded = BUFFER_NULL;
        size_t n = strlen(bytes);

        if (text_is_utf8(bytes, n)) {
                p = put_key(p, key);
                return put_text(p, bytes);
        }
        p = put_key(p, key_base64);
        *p++ = '"';
        /* Without memory the name is empty, and its receiver refuses it. */
        if (base64_encode(&encoded, bytes, n) == 0)
                p = mempcpy(p, buffer_peek(&encoded), encoded.size);
        buffer_done(&encoded);
        *p++ = '"';
        return p;
}

static char *put_u64(char *p, const char *key, uint64_t value)
{
        p = put_key(p, key);
        return p + sprintf(p, "%" PRIu64, value);
}

static char *put_i64(char *p, const char *key, int64_t value)
{
        p = put_key(p, key);
        return p + sprintf(p, "%" PRId64, value);
}

static char *put_error(char *p, const Record *r)
{
        Reason reason = r->error == -ENOENT   ? REASON_NOT_FOUND
                        : r->error == -EEXIST ? REASON_EXISTS
                                              : REASON_FAILED;

        p = put_key(p, "error");
        *p++ = '{';
        p = put_text(put_key(p, "reason"), reason_to_text(reason));
        p = put_text(put_key(p, "errno"), text_errno_name(-r->error));
        p = put_text(put_key(p, "message"), r->message ?: strerror(-r->error));
        *p++ = '}';
        return p;
}

static char *put_entry(char *p, const Record *r)
{
        p = put_bytes(p, "path", "path_base64", r->path);
        p = put_text(put_key(p, "type"), type_names[r->type]);
        if (r->mode != RECORD_ID_NONE)
                p = put_u64(p, "mode", r->mode);
        if (r->uid != RECORD_ID_NONE)
                p = put_u64(p, "uid", r->uid);
        if (r->gid != RECORD_ID_NONE)
                p = put_u64(p, "gid", r->gid);
        if (r->user && text_is_utf8(r->user, strlen(r->user)))
                p = put_text(put_key(p, "user"), r->user);
        if (r->group && text_is_utf8(r->group, strlen(r->group)))
                p = put_text(put_key(p, "group"), r->group);
        if (r->mtime_ns != RECORD_TIME_NONE)
                p = put_i64(p, "mtime_ns", r->mtime_ns);
        if (r->atime_ns != RECORD_TIME_NONE)
                p = put_i64(p, "atime_ns", r->atime_ns);
        if (r->target)
                p = put_bytes(p, "target", "target_base64", r->target);
        if (r->offset > 0)
                p = put_u64(p, "offset", r->offset);
        if (r->total > 0)
                p = put_u64(p, "total", r->total);
        if (r->boot[0]) {
                p = put_text(put_key(p, "boot_id"), r->boot);
                p = put_u64(p, "device", r->device);
                p = put_u64(p, "inode", r->inode);
        }
        return p;
}

size_t record_write(const Record *r, char *to)
{
        char *p = to;

        *p++ = '{';
        if (r->type != RECORD_END)
                p = put_entry(p, r);
        if (r->size != RECORD_SIZE_NONE)
                p = put_u64(p, "size", r->size);
        if (r->hash[0])
                p = put_text(put_key(p, "hash"), r->hash);
        if (r->changed)
                p = stpcpy(put_key(p, "changed"), "true");
        if (r->error != 0)
                p = put_error(p, r);
        *p++ = '}';
        return (size_t)(p - to);
}

/* Checks the text before json-c sees it, which would take much that is no JSON. */
static int parse_json(const char *text, size_t n, json_object **ret)
{
        static const ScanKeys keys = { .names = { "v" }, .params = SCAN_KEYS_MAX };
        const ScanLimits limits = { .bytes = FRAME_PAYLOAD_MAX, .values = 64, .depth = 4 };
        struct json_tokener *tokener;
        json_object *object;
        ScanResult result;
        size_t used;
        Scan scan;

        scan_init(&scan, &keys, &limits);
        result = scan_feed(&scan, text, n, &used);
        if (result == SCAN_DONE && (used != n || scan_is_batch(&scan)))
                result = SCAN_BAD_SYNTAX;
        scan_done(&scan);
        if (result != SCAN_DONE)
                return result == SCAN_NO_MEMORY ? -ENOMEM : -EBADMSG;

        tokener = json_tokener_new();
        if (!tokener)
                return -ENOMEM;
        object = json_tokener_parse_ex(tokener, text, (int)n);
        json_tokener_free(tokener);
        if (!json_object_is_type(object, json_type_object)) {
                json_object_put(object);
                return -EBADMSG;
        }
        *ret = object;
        return 0;
}

/* Readers: an absent member leaves *ret alone. 0; -EBADMSG for one of another kind; -ENOMEM. */
static int get_text(json_object *object, const char *key, char **ret)
{
        json_object *member;
        const char *text;
        size_t n;

        if (!json_object_object_get_ex(object, key, &member))
                return 0;
        if (!json_object_is_type(member, json_type_string))
                return -EBADMSG;
        text = json_object_get_string(member);
        n = (size_t)json_object_get_string_len(member);
        if (memchr(text, 0, n))
                return -EBADMSG;
        free(*ret);
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int get_bytes(json_object *object, const char *key, const char *key_base64, char **ret)
{
        _cleanup_free_ char *encoded = NULL;
        Buffer b = BUFFER_NULL;
        int r;

        r = get_text(object, key, ret);
        if (r >= 0)
                r = get_text(object, key_base64, &encoded);
        if (r < 0 || !encoded)
                return r;
        if (*ret)
                return -EBADMSG; /* which of the two? */
        r = base64_decode(&b, encoded, strlen(encoded));
        if (r >= 0 && (b.size == 0 || memchr(buffer_peek(&b), 0, b.size)))
                r = -EINVAL;
        if (r >= 0) {
                *ret = strndup(buffer_peek(&b), b.size);
                r = *ret ? 0 : -ENOMEM;
        }
        buffer_done(&b);
        return r == -EINVAL ? -EBADMSG : r;
}

static int get_u64(json_object *object, const char *key, uint64_t max, uint64_t *ret)
{
        json_object *member;
        uint64_t value;

        if (!json_object_object_get_ex(object, key, &member))
                return 0;
        if (!json_object_is_type(member, json_type_int))
                return -EBADMSG;
        /* Of a negative number json-c makes 0, of one past 64 bits the largest. */
        value = json_object_get_uint64(member);
        if (value > max || (value == 0 && json_object_get_int64(member) < 0))
                return -EBADMSG;
        *ret = value;
        return 0;
}

static int get_unsigned(json_object *object, const char *key, unsigned max, unsigned *ret)
{
        uint64_t value = *ret;
        int r;

        r = get_u64(object, key, max, &value);
        if (r == 0)
                *ret = (unsigned)value;
        return r;
}

static int get_time(json_object *object, const char *key, int64_t *ret)
{
        json_object *member;

        if (!json_object_object_get_ex(object, key, &member))
                return 0;
        if (!json_object_is_type(member, json_type_int))
                return -EBADMSG;
        *ret = json_object_get_int64(member);
        return 0;
}

static int get_fixed(json_object *object, const char *key, size_t size, char *ret)
{
        _cleanup_free_ char *text = NULL;
        int r;

        r = get_text(object, key, &text);
        if (r < 0 || !text)
                return r;
        if (strlen(text) >= size)
                return -EBADMSG;
        strcpy(ret, text);
        return 0;
}

static int get_error(json_object *object, Record *record)
{
        _cleanup_free_ char *name = NULL;
        json_object *error, *changed;
        int r;

        if (json_object_object_get_ex(object, "changed", &changed))
                record->changed = json_object_get_boolean(changed);
        if (!json_object_object_get_ex(object, "error", &error))
                return 0;
        if (!json_object_is_type(error, json_type_object))
                return -EBADMSG;
        r = get_text(error, "errno", &name);
        if (r >= 0)
                r = get_text(error, "message", &record->message);
        record->error = -EIO;
        for (int i = 1; name && i < ERRNO_MAX; i++)
                if (strcmp(text_errno_name(i), name) == 0)
                        record->error = -i;
        return r;
}

static int get_type(json_object *object, Record *record)
{
        _cleanup_free_ char *name = NULL;
        int r;

        r = get_text(object, "type", &name);
        if (r < 0)
                return r;
        if (!record->path != !name)
                return -EBADMSG;
        record->type = RECORD_END;
        if (!name)
                return 0;
        for (RecordType t = RECORD_FILE; t <= RECORD_OTHER; t++)
                if (strcmp(type_names[t], name) == 0)
                        record->type = t;
        return record->type == RECORD_END || (record->type == RECORD_LINK && !record->target) ||
                               (record->type == RECORD_OTHER && record->error == 0)
                       ? -EBADMSG
                       : 0;
}

int record_parse(const char *text, size_t n, Record *ret)
{
        _cleanup_(record_done) Record record = RECORD_NULL;
        json_object *o = NULL;
        int r;

        r = parse_json(text, n, &o);
        if (r < 0)
                return r;
        (void)((r = get_bytes(o, "path", "path_base64", &record.path)) < 0 ||
               (r = get_bytes(o, "target", "target_base64", &record.target)) < 0 ||
               (r = get_unsigned(o, "mode", 07777, &record.mode)) < 0 ||
               (r = get_unsigned(o, "uid", UINT32_MAX, &record.uid)) < 0 ||
               (r = get_unsigned(o, "gid", UINT32_MAX, &record.gid)) < 0 ||
               (r = get_text(o, "user", &record.user)) < 0 ||
               (r = get_text(o, "group", &record.group)) < 0 ||
               (r = get_time(o, "mtime_ns", &record.mtime_ns)) < 0 ||
               (r = get_time(o, "atime_ns", &record.atime_ns)) < 0 ||
               (r = get_u64(o, "size", INT64_MAX, &record.size)) < 0 ||
               (r = get_u64(o, "offset", INT64_MAX, &record.offset)) < 0 ||
               (r = get_u64(o, "total", INT64_MAX, &record.total)) < 0 ||
               (r = get_fixed(o, "boot_id", sizeof(record.boot), record.boot)) < 0 ||
               (r = get_u64(o, "device", UINT64_MAX, &record.device)) < 0 ||
               (r = get_u64(o, "inode", UINT64_MAX, &record.inode)) < 0 ||
               (r = get_fixed(o, "hash", sizeof(record.hash), record.hash)) < 0 ||
               (r = get_error(o, &record)) < 0 || (r = get_type(o, &record)) < 0);
        json_object_put(o);
        if (r < 0)
                return r;
        *ret = record;
        record = RECORD_NULL;
        return 0;
}

void record_done(Record *r)
{
        free(r->path);
        free(r->target);
        free(r->user);
        free(r->group);
        free(r->message);
        *r = RECORD_NULL;
}
