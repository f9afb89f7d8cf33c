/* SPDX-License-Identifier: MIT */
#pragma once

#include <limits.h>
#include <sys/stat.h>

#include "files/transfer-internal.h"

/* The receiving side's own. */
typedef struct Attributes Attributes;
typedef struct Owners Owners;
typedef struct ReceiveFile ReceiveFile;
typedef struct ReceiveLevel ReceiveLevel;
typedef struct Receiver Receiver;

/* What an entry is to be given: (unsigned)-1, RECORD_TIME_NONE: left as it is. */
struct Attributes {
        unsigned mode;
        unsigned uid;
        unsigned gid;
        int64_t mtime_ns;
        int64_t atime_ns;
        bool owner_optional; /* where we may not, the files are simply ours */
};

/* The last names looked up. */
struct Owners {
        char *user;
        char *group;
        unsigned uid; /* RECORD_ID_NONE: nobody here has that name */
        unsigned gid;
};

/* A regular file on its way to its place. */
struct ReceiveFile {
        bool active;  /* its end record is awaited */
        bool discard; /* it did not work out: what comes of it is dropped */
        int fd;
        int folder;      /* borrowed: of its level, or the transfer's own */
        char *name;      /* in there */
        char *temporary; /* its name until it is whole; NULL: it has none, O_TMPFILE */
        bool is_partial; /* temporary is for others to find, if this is cut off */
        Attributes attributes;
        bool replaces;     /* something that is there */
        uint64_t position; /* of the next byte */
        bool hole_at_end;
        Hash hash;
};

#define RECEIVE_FILE_NULL ((ReceiveFile){ .fd = -EBADF, .folder = -EBADF })

/* A folder that is being filled. */
struct ReceiveLevel {
        int fd;
        size_t path_length;    /* in Receiver.path */
        Attributes attributes; /* given once it is left: what goes in changes its times */
};

struct Receiver {
        Transfer base;
        ReceiveSettings settings;
        int dirfd;
        char *name;
        mode_t umask;
        bool begun;     /* the topmost entry has come */
        bool is_tree;   /* and is a folder */
        unsigned ended; /* channels, 1U << each */
        ReceiveLevel *levels;
        size_t n_levels;
        size_t capacity;
        char *path;    /* of the innermost level's folder */
        char *current; /* of the entry that is under way */
        char *skipped; /* a folder that could not be made: what it holds is dropped */
        char *record;  /* one that comes in pieces */
        size_t record_size;
        uint64_t hole; /* its size, as far as it has come */
        ReceiveFile file;
        Owners owners;
};

/* By the settings and what the sender says of it. replaced: what is there, or NULL. */
void receive_attributes(Receiver *r, const Record *record, const struct stat *replaced,
                        Attributes *ret);
/* 0 or -errno. */
int attributes_apply(const Attributes *a, int fd);
int attributes_apply_link(const Attributes *a, int folder, const char *name);

/*
 * Whether what has this name may be replaced by a file or link. 1 with *ret where something is
 * there; 0 where nothing is; -errno with *ret_problem (allocated, or NULL). record: NULL, or what
 * is to come, which must not be the same.
 */
int receive_look(const Receiver *r, int folder, const char *name, const Record *record,
                 struct stat *ret, char **ret_problem);
/* Another name in the same folder that nobody has. make: is called with names until it does not
 * fail with -EEXIST. 0 with *ret, allocated; -errno. */
int receive_temporary(const char *name, int (*make)(const char *temporary, void *userdata),
                      void *userdata, char **ret);

/* Of the file under way. 0, or -errno with *ret_problem (allocated, or NULL). */
int receive_file_partial(Receiver *r, char **ret_problem);
int receive_file_begin(Receiver *r, int folder, const char *name, const Record *record,
                       char **ret_problem);
int receive_file_data(Receiver *r, const char *data, size_t n);
int receive_file_hole(Receiver *r, uint64_t n);
/* It is whole, as the record says. */
int receive_file_end(Receiver *r, const Record *record, char **ret_problem);
/* What there is of it is removed, but for a partial one. */
void receive_file_abort(ReceiveFile *f, bool keep);

/* Whether it is relative, and has neither empty components nor "." or "..". */
bool receive_path_is_sound(const char *path);
/* Goes to the folder where the entry belongs, leaving others. Its descriptor (borrowed) with
 * *ret_name, the rest of the path; -errno. */
int receive_go(Receiver *r, const char *path, const char **ret_name);
void receive_leave_all(Receiver *r);
/* 0; -errno with *ret_problem (allocated, or NULL). */
int receive_folder(Receiver *r, int folder, const char *name, const Record *record,
                   char **ret_problem);
int receive_link(Receiver *r, int folder, const char *name, const Record *record,
                 char **ret_problem);
