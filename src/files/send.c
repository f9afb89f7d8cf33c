/* SPDX-License-Identifier: MIT */
#include "files/send.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define REFUSED_KIND "only files, directories and symbolic links are copied"
/* Entries between two looks whether somebody interrupts a count. */
#define COUNT_STEP 512U

const char *sender_path(const Sender *s)
{
        return s->is_tree && s->walk.path ? s->walk.path : "";
}

int sender_put_record(Sender *s, const Record *r)
{
        char *p;
        int error;

        error = wire_reserve(s->base.wire, record_bound(r), &p);
        if (error < 0)
                return error;
        wire_commit(s->base.wire, FRAME_RECORDS, record_write(r, p));
        return 0;
}

/* The names of whom a file belongs to: the other side may have other numbers for them. */
static void fill_names(NameCache *c, Record *r)
{
        struct passwd *pw;
        struct group *gr;

        if (r->uid != c->uid) {
                free(c->user);
                pw = getpwuid(r->uid);
                c->user = pw ? strdup(pw->pw_name) : NULL;
                c->uid = r->uid;
        }
        if (r->gid != c->gid) {
                free(c->group);
                gr = getgrgid(r->gid);
                c->group = gr ? strdup(gr->gr_name) : NULL;
                c->gid = r->gid;
        }
        r->user = c->user;
        r->group = c->group;
}

/* The entry's first record. path and target: borrowed. */
static int put_entry(Sender *s, const char *path, const struct stat *st, char *target)
{
        Record r = RECORD_NULL;

        r.path = (char *)path;
        r.target = target;
        if (s->settings.stream) {
                r.type = RECORD_FILE;
                return sender_put_record(s, &r);
        }
        record_from_stat(&r, st);
        fill_names(&s->names, &r);
        if (!path[0]) {
                strcpy(r.boot, record_boot_id());
                r.device = (uint64_t)st->st_dev;
                r.inode = (uint64_t)st->st_ino;
                r.offset = s->settings.offset;
                r.total = S_ISDIR(st->st_mode) ? s->base.stats.total_bytes : 0;
        }
        return sender_put_record(s, &r);
}

/* An entry that cannot be sent: the other side is told, and it goes on. */
static int put_failure(Sender *s, const char *path, int error, const char *message)
{
        Record r = RECORD_NULL;

        r.type = RECORD_OTHER;
        r.path = (char *)path;
        r.error = error;
        r.message = (char *)message;
        transfer_entry_failed(&s->base, path, error, false, message);
        return sender_put_record(s, &r);
}

/* 0 with *ret allocated, or -errno. */
static int read_link(int folder, const char *name, size_t size, char **ret)
{
        size_t capacity = size > 0 ? size + 1 : PATH_MAX;
        _cleanup_free_ char *target = malloc(capacity + 1);
        ssize_t n;

        if (!target)
                return -ENOMEM;
        n = readlinkat(folder, name, target, capacity);
        if (n < 0)
                return -errno;
        if ((size_t)n >= capacity)
                return -ESTALE; /* it has become another one meanwhile */
        target[n] = 0;
        *ret = TAKE_PTR(target);
        return 0;
}

static int send_link(Sender *s, const WalkEntry *e)
{
        _cleanup_free_ char *target = NULL;
        int r;

        r = read_link(e->folder, e->name, (size_t)e->st.st_size, &target);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return put_failure(s, e->path, r, "the link cannot be read");
        r = put_entry(s, e->path, &e->st, target);
        if (r == 0)
                s->base.stats.links++;
        return r;
}

static int send_regular(Sender *s, const WalkEntry *e)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        /* Between lstat() and this a FIFO may have taken its place. */
        fd = openat(e->folder, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                return put_failure(s, e->path, -errno, "it cannot be opened");
        if (!S_ISREG(st.st_mode))
                return put_failure(s, e->path, -ESTALE, "it has become something else meanwhile");
        r = put_entry(s, e->path, &st, NULL);
        if (r >= 0)
                r = send_file_begin(&s->file, TAKE_FD(fd), true, false, &st);
        if (r >= 0)
                s->state = SEND_FILE;
        return r;
}

static int send_folder(Sender *s, const WalkEntry *e)
{
        int fd, r;

        fd = openat(e->folder, e->name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return put_failure(s, e->path, -errno, "the directory cannot be opened");
        r = put_entry(s, e->path, &e->st, NULL);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        s->base.stats.directories++;
        r = walk_enter(&s->walk, fd);
        if (r == -ELOOP)
                return put_failure(s, e->path, r, "directories are nested deeper than 500 levels");
        return r < 0 && r != -ENOMEM ? put_failure(s, e->path, r, "the directory cannot be read")
                                     : r;
}

static int send_next(Sender *s)
{
        char words[128];
        WalkEntry e;
        int r;

        r = walk_next(&s->walk, &e);
        if (r == 0)
                s->state = SEND_END;
        if (r <= 0)
                return r;
        transfer_progress(&s->base, e.path);
        if (e.error < 0)
                return put_failure(s, e.path, e.error, "it cannot be looked at");
        switch (record_type_of(e.st.st_mode)) {
        case RECORD_FILE:
                return send_regular(s, &e);
        case RECORD_DIRECTORY:
                return send_folder(s, &e);
        case RECORD_LINK:
                return send_link(s, &e);
        default:
                snprintf(words, sizeof(words), "it is %s: " REFUSED_KIND,
                         record_kind_of(e.st.st_mode));
                return put_failure(s, e.path, -EINVAL, words);
        }
}

/* How much there is to send. What cannot be looked at is told when its turn comes. */
static int count_tree(Sender *s)
{
        _cleanup_(walk_done) Walk walk = WALK_NULL;
        uint64_t total = 0;
        WalkEntry e;
        int fd, r;

        fd = openat(s->source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -errno : walk_enter(&walk, fd);
        for (unsigned i = 1; r >= 0; i++) {
                if (i % COUNT_STEP == 0 && wire_interrupted(s->base.wire) < 0)
                        return -EINTR;
                r = walk_next(&walk, &e);
                if (r <= 0)
                        break;
                if (e.error < 0)
                        continue;
                if (S_ISREG(e.st.st_mode))
                        total += (uint64_t)e.st.st_size;
                if (!S_ISDIR(e.st.st_mode))
                        continue;
                fd = openat(e.folder, e.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd >= 0)
                        (void)walk_enter(&walk, fd);
        }
        s->base.stats.total_bytes = total;
        return 0;
}

static int send_top(Sender *s)
{
        _cleanup_free_ char *target = NULL;
        int fd, r;

        if (s->settings.stream || S_ISREG(s->top.st_mode)) {
                s->state = SEND_FILE;
                return put_entry(s, "", &s->top, NULL);
        }
        if (S_ISLNK(s->top.st_mode)) {
                s->state = SEND_END;
                s->base.stats.links++;
                r = read_link(s->source, "", (size_t)s->top.st_size, &target);
                return r < 0 ? transfer_fail(&s->base, r, "the link cannot be read: %s",
                                             strerror(-r))
                             : put_entry(s, "", &s->top, target);
        }
        r = s->settings.count_first ? count_tree(s) : 0;
        if (r >= 0)
                r = put_entry(s, "", &s->top, NULL);
        if (r < 0)
                return r;
        fd = openat(s->source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return transfer_fail(&s->base, -errno, "the directory cannot be read: %s",
                                     strerror(errno));
        s->base.stats.directories++;
        s->state = SEND_WALK;
        return walk_enter(&s->walk, fd);
}

/* Sends what was gathered. */
static int send_flush(Sender *s)
{
        int r;

        r = wire_flush(s->base.wire);
        transfer_progress(&s->base, sender_path(s));
        return r == WIRE_CONTROL ? TRANSFER_CONTROL : r < 0 ? r : TRANSFER_STEP;
}

static int send_content(Sender *s)
{
        int r;

        r = send_file_step(s);
        if (r == SEND_FILE_CONTROL)
                return TRANSFER_CONTROL;
        if (r == SEND_FILE_END)
                s->state = s->is_tree ? SEND_WALK : SEND_END;
        return r < 0 ? r : TRANSFER_STEP;
}

static int send_step(Transfer *t)
{
        Sender *s = CONTAINER_OF(t, Sender, base);
        int r = 0;

        /* Before more is made of it: what waits is a pause's, too. */
        if (wire_waiting(t->wire) >= WIRE_BLOCK) {
                r = send_flush(s);
                if (r != TRANSFER_STEP)
                        return r;
        }
        switch (s->state) {
        case SEND_TOP:
                r = send_top(s);
                break;
        case SEND_WALK:
                r = send_next(s);
                break;
        case SEND_FILE:
                r = send_content(s);
                if (r == TRANSFER_CONTROL)
                        return r;
                break;
        case SEND_END:
                for (uint8_t channel = FRAME_DATA; r >= 0 && channel <= FRAME_RECORDS; channel++)
                        r = wire_put(t->wire, channel, NULL, 0);
                s->state = SEND_FLUSH;
                break;
        case SEND_FLUSH:
                /* What the peer says now is for whoever goes on with the connection. */
                r = wire_flush(t->wire);
                if (r < 0)
                        break;
                s->state = SEND_DONE;
                transfer_progress(t, "");
                return TRANSFER_DONE;
        case SEND_DONE:
                return TRANSFER_DONE;
        }
        if (r >= 0)
                return TRANSFER_STEP;
        return transfer_fail(t, r, "%s", strerror(-r));
}

static Transfer *send_free(Transfer *t)
{
        Sender *s = CONTAINER_OF(t, Sender, base);

        send_file_done(&s->file);
        walk_done(&s->walk);
        free(s->names.user);
        free(s->names.group);
        transfer_done(t);
        free(s);
        return NULL;
}

/* A regular file whose O_PATH descriptor we have: what it names now, not what its name does. */
static int reopen(int fd)
{
        char path[32];
        int opened;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return opened < 0 ? -errno : opened;
}

/* Leaves the beginning out, which the other side has already. */
static int send_skip(Sender *s, char **ret_problem)
{
        uint64_t offset = s->settings.offset;
        char hash[HASH_TEXT_SIZE];
        int r;

        if (offset > (uint64_t)s->top.st_size) {
                *ret_problem = text_format("it has %" PRIu64 " bytes, fewer than the %" PRIu64
                                           " to be left out",
                                           (uint64_t)s->top.st_size, offset);
                return -ESTALE;
        }
        r = hash_add_file(&s->file.hash, s->file.fd, offset, s->base.wire->interrupt_fd);
        if (r < 0)
                return r;
        hash_text(&s->file.hash, hash);
        if (s->settings.offset_hash && strcmp(hash, s->settings.offset_hash) != 0) {
                *ret_problem = text_format("its first %" PRIu64 " bytes are others", offset);
                return -ESTALE;
        }
        s->file.position = offset;
        s->base.stats.resumed = offset;
        return 0;
}

static int open_regular(Sender *s, char **ret_problem)
{
        int fd, r;

        fd = s->settings.stream ? s->source : reopen(s->source);
        if (fd < 0)
                return fd;
        r = send_file_begin(&s->file, fd, !s->settings.stream, s->settings.stream, &s->top);
        if (r >= 0 && s->settings.offset > 0)
                r = send_skip(s, ret_problem);
        if (!s->settings.stream)
                s->base.stats.total_bytes = (uint64_t)s->top.st_size;
        return r;
}

/* What can be said before anything is sent. */
static int send_open(Sender *s, char **ret_problem)
{
        if (s->settings.stream)
                return open_regular(s, ret_problem);
        if (fstat(s->source, &s->top) < 0)
                return -errno;
        switch (record_type_of(s->top.st_mode)) {
        case RECORD_FILE:
                return open_regular(s, ret_problem);
        case RECORD_LINK:
                return 0;
        case RECORD_DIRECTORY:
                s->is_tree = true;
                if (s->settings.recursive && s->settings.offset == 0)
                        return 0;
                *ret_problem =
                        strdup(s->settings.recursive
                                       ? "it is a directory, which has no beginning to leave out"
                                       : "it is a directory, and not to be copied as one");
                return -EISDIR;
        default:
                *ret_problem =
                        text_format("it is %s: " REFUSED_KIND, record_kind_of(s->top.st_mode));
                return -EINVAL;
        }
}

int transfer_send_new(Wire *wire, int source, const SendSettings *settings, Transfer **ret,
                      char **ret_problem)
{
        static const TransferOps ops = { .step = send_step, .free = send_free };
        _cleanup_(transfer_freep) Transfer *t = NULL;
        _cleanup_free_ char *problem = NULL;
        Sender *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        t = &s->base;
        t->ops = &ops;
        t->wire = wire;
        t->events = settings->events;
        s->settings = *settings;
        s->source = source;
        s->file = SEND_FILE_NULL;
        s->names = (NameCache){ .uid = RECORD_ID_NONE, .gid = RECORD_ID_NONE };
        r = send_open(s, &problem);
        if (r < 0) {
                *ret_problem = problem ? TAKE_PTR(problem) : strdup(strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(t);
        return 0;
}
