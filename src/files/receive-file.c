/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/text.h"
#include "files/receive.h"

/* From this size on a file has no name while it is received, so that not even SIGKILL leaves it
 * behind. Below, a name costs less than the journal's list of orphans, and is there for less than
 * a block takes to come. */
#define UNNAMED_MIN ((uint64_t)1024 * 1024)
/* Of a temporary name: what makes it different. */
#define TEMPORARY_LETTERS 6U
#define TEMPORARY_NAME_MAX 200U
#define TEMPORARY_TRIES 100U
/* Between two looks whether somebody interrupts. */
#define HOLE_STEP ((uint64_t)256 * 1024 * 1024)

int receive_look(const Receiver *r, int folder, const char *name, const Record *record,
                 struct stat *ret, char **ret_problem)
{
        struct stat behind;

        if (fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (S_ISDIR(ret->st_mode)) {
                *ret_problem = strdup("there is a directory of that name");
                return -EISDIR;
        }
        if (record && record->boot[0] && strcmp(record->boot, record_boot_id()) == 0 &&
            record->device == (uint64_t)ret->st_dev && record->inode == (uint64_t)ret->st_ino) {
                *ret_problem = strdup("it is the same file as the source");
                return -EEXIST;
        }
        if (S_ISREG(ret->st_mode))
                return 1;
        if (!S_ISLNK(ret->st_mode)) {
                *ret_problem = text_format("it is %s, which a copy does not replace",
                                           record_kind_of(ret->st_mode));
                return -EEXIST;
        }
        /* A link is replaced, but one such as /dev/stdout is not what anybody means to lose. */
        if (!r->settings.confined && fstatat(folder, name, &behind, 0) == 0 &&
            !S_ISREG(behind.st_mode) && !S_ISDIR(behind.st_mode)) {
                *ret_problem = text_format("it is a link to %s, which a copy does not replace",
                                           record_kind_of(behind.st_mode));
                return -EEXIST;
        }
        return 1;
}

int receive_temporary(const char *name, int (*make)(const char *temporary, void *userdata),
                      void *userdata, char **ret)
{
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        _cleanup_free_ char *temporary = NULL;
        unsigned char random[TEMPORARY_LETTERS];
        size_t n = strlen(name);
        int r = -EEXIST;

        static_assert(sizeof(letters) - 1 == 64, "a letter is six bits");
        if (n > TEMPORARY_NAME_MAX)
                /* Not in the middle of a character: some file systems look at that. */
                for (n = TEMPORARY_NAME_MAX; n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;)
                        n--;
        temporary = text_format(".%.*s.XXXXXX", (int)n, name);
        if (!temporary)
                return -ENOMEM;
        for (unsigned i = 0; i < TEMPORARY_TRIES && r == -EEXIST; i++) {
                if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
                        return -EIO;
                for (size_t k = 0; k < TEMPORARY_LETTERS; k++)
                        temporary[n + 2 + k] = letters[random[k] & 63];
                r = make(temporary, userdata);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(temporary);
        return 0;
}

static int make_file(const char *temporary, void *userdata)
{
        ReceiveFile *f = userdata;

        f->fd = openat(f->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600);
        return f->fd < 0 ? -errno : 0;
}

static int make_name(const char *temporary, void *userdata)
{
        ReceiveFile *f = userdata;
        char path[32];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
        if (linkat(AT_FDCWD, path, f->folder, temporary, AT_SYMLINK_FOLLOW) == 0)
                return 0;
        if (errno == EEXIST)
                return -EEXIST;
        /* Without /proc; it takes a capability. */
        return linkat(f->fd, "", f->folder, temporary, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Opens something new to write to beside the target. */
static int open_new(ReceiveFile *f, uint64_t size)
{
        if (size >= UNNAMED_MIN) {
                f->fd = openat(f->folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
                /* Not every file system has it: EOPNOTSUPP; before it was known to one, its flags
                 * meant a folder to be written to: EISDIR, or ENOENT. */
                if (f->fd >= 0 ||
                    (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
                        return f->fd < 0 ? -errno : 0;
        }
        return receive_temporary(f->name, make_file, f, &f->temporary);
}

static int check_prefix(Receiver *r, char **ret_problem)
{
        uint64_t offset = r->settings.offset;
        char hash[HASH_TEXT_SIZE];
        int e;

        e = hash_add_file(&r->file.hash, r->file.fd, offset, r->base.wire->interrupt_fd);
        if (e == -ENODATA) {
                *ret_problem =
                        text_format("fewer than %" PRIu64 " bytes have arrived of it", offset);
                return -ESTALE;
        }
        if (e < 0)
                return e;
        hash_text(&r->file.hash, hash);
        if (r->settings.offset_hash && strcmp(hash, r->settings.offset_hash) != 0) {
                *ret_problem = text_format("what has arrived of it begins with other bytes");
                return -ESTALE;
        }
        return 0;
}

/* The partial file, ours alone from now on. */
static int open_partial(ReceiveFile *f, const char *name, bool make, char **ret_problem)
{
        struct stat st;

        f->fd = openat(f->folder, name,
                       O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                               (make ? O_CREAT : 0),
                       0600);
        if (f->fd < 0 && errno == ENOENT && !make) {
                *ret_problem = strdup("nothing of it has arrived yet");
                return -ESTALE;
        }
        if (f->fd < 0 || fstat(f->fd, &st) < 0)
                return -errno;
        /* Its name is known to all: it may be somebody else's trap. */
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1) {
                *ret_problem = text_format("%s is not of our making", name);
                return -EEXIST;
        }
        if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
                *ret_problem = strdup("another copy to the same place is under way");
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        }
        return 0;
}

int receive_file_partial(Receiver *r, char **ret_problem)
{
        _cleanup_free_ char *name = transfer_partial_name(r->name);
        ReceiveFile *f = &r->file;
        int e;

        if (!name)
                return -ENOMEM;
        f->folder = r->dirfd;
        e = open_partial(f, name, r->settings.offset == 0, ret_problem);
        if (e >= 0)
                e = hash_begin(&f->hash);
        if (e >= 0 && r->settings.offset > 0)
                e = check_prefix(r, ret_problem);
        if (e >= 0 && ftruncate(f->fd, (off_t)r->settings.offset) < 0)
                e = -errno;
        if (e < 0)
                return e; /* what is there stays: somebody may want it still */
        f->temporary = TAKE_PTR(name);
        f->is_partial = true;
        f->position = r->settings.offset;
        r->base.stats.resumed = f->position;
        return 0;
}

int receive_file_begin(Receiver *r, int folder, const char *name, const Record *record,
                       char **ret_problem)
{
        ReceiveFile *f = &r->file;
        struct stat st;
        int e;

        f->active = true;
        f->discard = false;
        f->hole_at_end = false;
        if (record->offset != r->settings.offset) {
                *ret_problem = strdup("it does not go on where it was asked to");
                return -EPROTO;
        }
        if (!f->is_partial) {
                f->position = 0;
                e = hash_begin(&f->hash);
                if (e < 0)
                        return e;
        }
        if (r->settings.stream_fd >= 0)
                return 0;

        f->folder = folder;
        f->name = strdup(name);
        if (!f->name)
                return -ENOMEM;
        e = receive_look(r, folder, name, record, &st, ret_problem);
        if (e < 0)
                return e;
        f->replaces = e > 0;
        receive_attributes(r, record, e > 0 && S_ISREG(st.st_mode) ? &st : NULL, &f->attributes);
        if (f->is_partial)
                return 0;
        return open_new(f, record->size);
}

/* To somebody's pipe, terminal or whatever. */
static int write_stream(Receiver *r, const char *data, size_t n)
{
        struct pollfd p[] = {
                { .fd = r->settings.stream_fd, .events = POLLOUT },
                { .fd = r->base.wire->interrupt_fd, .events = POLLIN },
        };
        ssize_t written;

        while (n > 0) {
                if (poll(p, ELEMENTSOF(p), -1) < 0 && errno != EINTR)
                        return -errno;
                if (p[1].revents)
                        return -EINTR;
                written = write(p[0].fd, data, n);
                if (written < 0 && errno != EINTR && errno != EAGAIN)
                        return -errno;
                if (written > 0) {
                        data += written;
                        n -= (size_t)written;
                }
        }
        return 0;
}

int receive_file_data(Receiver *r, const char *data, size_t n)
{
        ReceiveFile *f = &r->file;
        ssize_t written;

        if (f->discard)
                return 0;
        hash_add(&f->hash, data, n);
        if (r->settings.stream_fd >= 0) {
                f->position += n;
                return write_stream(r, data, n);
        }
        while (n > 0) {
                written = pwrite(f->fd, data, n, (off_t)f->position);
                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0)
                        return -errno;
                f->position += (uint64_t)written;
                data += written;
                n -= (size_t)written;
        }
        f->hole_at_end = false;
        return 0;
}

int receive_file_hole(Receiver *r, uint64_t n)
{
        static const char zeros[64 * 1024];
        ReceiveFile *f = &r->file;
        uint64_t step, most;
        int e;

        if (f->discard)
                return 0;
        if (n > (uint64_t)INT64_MAX - f->position)
                return -EFBIG;
        most = r->settings.stream_fd >= 0 ? sizeof(zeros) : HOLE_STEP;
        for (; n > 0; n -= step) {
                step = MIN_OF(n, most);
                hash_add_zeros(&f->hash, step);
                f->position += step;
                e = r->settings.stream_fd >= 0 ? write_stream(r, zeros, (size_t)step)
                                               : wire_interrupted(r->base.wire);
                if (e < 0)
                        return e;
        }
        f->hole_at_end = true;
        return 0;
}

/* Gives the file its name. It is not synced to the disk first: that would cost more than the copy
 * does, and cp, scp and rsync do not either. Who reads it sees the old one or all of the new one;
 * after a crash of the machine that holds as far as the file system orders a rename behind the data
 * (ext4, btrfs and xfs do, for one that replaces). */
static int place(ReceiveFile *f)
{
        int e;

        if (!f->temporary && !f->replaces) {
                e = make_name(f->name, f);
                if (e != -EEXIST)
                        return e;
        }
        if (!f->temporary) {
                e = receive_temporary(f->name, make_name, f, &f->temporary);
                if (e < 0)
                        return e;
        }
        if (renameat(f->folder, f->temporary, f->folder, f->name) < 0)
                return -errno;
        free(f->temporary);
        f->temporary = NULL;
        return 0;
}

/* What a disk elsewhere, full or ill, says only when a descriptor is closed: NFS, FUSE. It is to be
 * known before the file takes another's place. 0 or -errno. */
static int settle(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return -errno;
        return close(copy) < 0 && errno != EINTR ? -errno : 0;
}

/* A file of which all has come, and is right. */
static int finish(ReceiveFile *f, char **ret_problem)
{
        int e = 0;

        if (f->hole_at_end && ftruncate(f->fd, (off_t)f->position) < 0)
                return -errno;
        e = attributes_apply(&f->attributes, f->fd);
        if (e < 0) {
                *ret_problem =
                        text_format("its owner, mode or times cannot be set: %s", strerror(-e));
                return e;
        }
        e = settle(f->fd);
        return e < 0 ? e : place(f);
}

int receive_file_end(Receiver *r, const Record *record, char **ret_problem)
{
        ReceiveFile *f = &r->file;
        char hash[HASH_TEXT_SIZE];
        int e;

        hash_text(&f->hash, hash);
        if (record->size != f->position || strcmp(record->hash, hash) != 0) {
                *ret_problem = strdup("it did not arrive as it was sent: its hash is another");
                receive_file_abort(f, false);
                return -EBADMSG;
        }
        e = r->settings.stream_fd < 0 ? finish(f, ret_problem) : 0;
        if (e < 0) {
                receive_file_abort(f, true);
                return e;
        }
        r->base.stats.files++;
        memcpy(r->base.stats.hash, hash, sizeof(hash));
        receive_file_abort(f, true); /* nothing is left of it but descriptors */
        return 0;
}

void receive_file_abort(ReceiveFile *f, bool keep)
{
        void *state = f->hash.state;

        /* A partial file without a byte is of no use to anybody. */
        if (f->temporary && !(keep && f->is_partial && f->position > 0))
                (void)unlinkat(f->folder, f->temporary, 0);
        fd_close(f->fd);
        free(f->name);
        free(f->temporary);
        *f = RECEIVE_FILE_NULL;
        f->hash.state = state;
}
