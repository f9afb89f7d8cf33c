/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/macros.h"
#include "files/hash.h"

/* The records of a file stream, to and from their JSON (docs/protocol.md, "File streams"). */
typedef struct Record Record;

typedef enum RecordType {
        RECORD_END, /* of a file's content: no path */
        RECORD_FILE,
        RECORD_DIRECTORY,
        RECORD_LINK,
        RECORD_OTHER, /* what is not sent: a FIFO, a socket, a device; it has an error */
} RecordType;

#define RECORD_TIME_NONE INT64_MIN
#define RECORD_BOOT_SIZE 37U /* of a boot id's text */
#define RECORD_ID_NONE ((unsigned)-1)
#define RECORD_SIZE_NONE UINT64_MAX

/* Strings are bytes of any kind but NUL. record_parse() allocates them, record_write() borrows. */
struct Record {
        RecordType type;
        char *path;    /* relative; "" for the topmost entry */
        char *target;  /* of a link */
        unsigned mode; /* 07777; RECORD_ID_NONE: unknown */
        unsigned uid;  /* RECORD_ID_NONE: unknown */
        unsigned gid;  /* so too */
        char *user;    /* or NULL */
        char *group;   /* or NULL */
        int64_t mtime_ns;
        int64_t atime_ns;
        uint64_t size;   /* expected, in the end real; RECORD_SIZE_NONE: unknown */
        uint64_t offset; /* the content begins there */
        uint64_t total;  /* bytes of content in the tree, or 0 */
        /* Of the topmost entry: which file of which kernel it is. */
        char boot[RECORD_BOOT_SIZE];
        uint64_t device;
        uint64_t inode;
        /* Of ends. */
        char hash[HASH_TEXT_SIZE];
        bool changed; /* it was not the same at the end of reading as at its beginning */
        int error;    /* negative errno, or 0 */
        char *message;
};

#define RECORD_NULL                              \
        ((Record){ .mode = RECORD_ID_NONE,       \
                   .uid = RECORD_ID_NONE,        \
                   .gid = RECORD_ID_NONE,        \
                   .mtime_ns = RECORD_TIME_NONE, \
                   .atime_ns = RECORD_TIME_NONE, \
                   .size = RECORD_SIZE_NONE })

/* How long the JSON of it can become. */
size_t record_bound(const Record *r);
/* Writes it, without a NUL; record_bound() bytes are there. Returns its length. */
size_t record_write(const Record *r, char *to);
/* 0 with *ret, the caller's to record_done(); -EBADMSG for what is no record; -ENOMEM. */
int record_parse(const char *text, size_t n, Record *ret);
void record_done(Record *r);

/* What lstat() says. */
RecordType record_type_of(mode_t mode);
void record_from_stat(Record *r, const struct stat *st);
/* "a FIFO", "a socket", ...: what is there, in words. A constant string. */
const char *record_kind_of(mode_t mode);
/* The kernel's boot id, or "". A string of its own. */
const char *record_boot_id(void);
