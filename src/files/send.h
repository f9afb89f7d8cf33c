/* SPDX-License-Identifier: MIT */
#pragma once

#include "files/transfer-internal.h"
#include "files/walk.h"

/* The sending side's own. */
typedef struct SendFile SendFile;
typedef struct Sender Sender;
typedef struct NameCache NameCache;

/* The content of a file on its way. */
struct SendFile {
        int fd;
        bool own_fd;
        bool unbounded;    /* read to its end, whatever its size was */
        bool sparse;       /* it is asked where its holes are */
        uint64_t position; /* of the next byte */
        uint64_t data_end; /* up to where there is data */
        struct stat before;
        Hash hash;
};

#define SEND_FILE_NULL ((SendFile){ .fd = -EBADF })

/* The last user and group looked up: most files of a tree have the same. */
struct NameCache {
        unsigned uid;
        unsigned gid;
        char *user;
        char *group;
};

typedef enum SendState {
        SEND_TOP,   /* the topmost entry is to be told */
        SEND_WALK,  /* the next entry of the tree is */
        SEND_FILE,  /* a file's content is on its way */
        SEND_END,   /* the channels' ends are to be sent */
        SEND_FLUSH, /* all is written, not all is out */
        SEND_DONE,
} SendState;

struct Sender {
        Transfer base;
        SendSettings settings;
        int source;
        SendState state;
        struct stat top;
        bool is_tree;
        Walk walk;
        SendFile file;
        NameCache names;
};

int sender_put_record(Sender *s, const Record *r);
/* Of the entry that is under way. */
const char *sender_path(const Sender *s);
/* Begins a file's content. fd: taken over if own. 0 or -errno. */
int send_file_begin(SendFile *f, int fd, bool own, bool unbounded, const struct stat *st);
/* Sends a piece of it, or its end record. SEND_FILE_MORE, SEND_FILE_END, or -errno (of the wire:
 * wire.failed, or -EINTR). What is wrong with the file goes into its end record. */
enum {
        SEND_FILE_END = 0,
        SEND_FILE_MORE = 1,
        SEND_FILE_CONTROL = 2,
};
int send_file_step(Sender *s);
void send_file_done(SendFile *f);
