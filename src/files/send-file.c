/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "files/send.h"

/* One frame of content. */
#define CONTENT_BLOCK ((size_t)256 * 1024)
/* What a file without a size (in /proc, or empty) is first asked for. */
#define CONTENT_UNKNOWN ((size_t)64 * 1024)
/* One frame of a hole: its hash takes a tenth of a second, and an interrupt is to be heard. */
#define HOLE_MAX ((uint64_t)1 << 30)

int send_file_begin(SendFile *f, int fd, bool own, bool unbounded, const struct stat *st)
{
        void *state = f->hash.state;
        int r;

        *f = (SendFile){ .fd = fd,
                         .own_fd = own,
                         .unbounded = unbounded,
                         .before = *st,
                         .hash = { .state = state } };
        r = hash_begin(&f->hash);
        if (r < 0)
                return r;
        if (!unbounded) {
                /* A file that says it is empty may be one of /proc. */
                f->unbounded = st->st_size == 0;
                f->sparse = (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
                if (st->st_size > (off_t)CONTENT_BLOCK)
                        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        }
        return 0;
}

static void send_file_close(SendFile *f)
{
        if (f->own_fd)
                fd_close(f->fd);
        f->fd = -EBADF;
}

void send_file_done(SendFile *f)
{
        send_file_close(f);
        hash_done(&f->hash);
}

/* Ends the entry: with the hash, or with what is wrong (negative errno, or 0). */
static int send_file_end(Sender *s, int error)
{
        Transfer *t = &s->base;
        SendFile *f = &s->file;
        Record record = RECORD_NULL;
        struct stat after;
        int r;

        record.type = RECORD_END;
        record.size = f->position;
        record.error = error;
        if (error == 0) {
                hash_text(&f->hash, record.hash);
                if (!s->settings.stream && fstat(f->fd, &after) == 0)
                        record.changed = after.st_size != f->before.st_size ||
                                         after.st_mtim.tv_sec != f->before.st_mtim.tv_sec ||
                                         after.st_mtim.tv_nsec != f->before.st_mtim.tv_nsec;
        }
        send_file_close(f);
        r = sender_put_record(s, &record);
        if (r < 0)
                return r;
        if (error < 0) {
                transfer_entry_failed(t, sender_path(s), error, false, "it cannot be read");
                return SEND_FILE_END;
        }
        t->stats.files++;
        memcpy(t->stats.hash, record.hash, sizeof(t->stats.hash));
        if (record.changed) {
                t->stats.changed++;
                if (t->events.changed)
                        t->events.changed(sender_path(s), t->events.userdata);
        }
        return SEND_FILE_END;
}

static int send_hole(Sender *s, uint64_t n)
{
        Transfer *t = &s->base;
        uint8_t count[8];
        int r;

        n = MIN_OF(n, HOLE_MAX);
        for (size_t i = 0; i < sizeof(count); i++)
                count[i] = (uint8_t)(n >> (8 * (sizeof(count) - 1 - i)));
        r = wire_put(t->wire, FRAME_HOLE, count, sizeof(count));
        if (r < 0)
                return r;
        hash_add_zeros(&s->file.hash, n);
        s->file.position += n;
        t->stats.bytes += n;
        r = wire_interrupted(t->wire);
        return r < 0 ? r : SEND_FILE_MORE;
}

/* Where a sparse file goes on with data, and how far. */
static void find_data(SendFile *f, uint64_t limit, uint64_t *ret_data)
{
        off_t data, hole;

        data = lseek(f->fd, (off_t)f->position, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
                data = (off_t)limit; /* a hole to its end */
        if (data < 0) {
                f->sparse = false; /* its file system cannot tell */
                *ret_data = f->position;
                return;
        }
        *ret_data = MIN_OF((uint64_t)data, limit);
        hole = lseek(f->fd, (off_t)*ret_data, SEEK_HOLE);
        f->data_end = hole < 0 ? limit : MIN_OF((uint64_t)hole, limit);
}

/* Waits for a stream to have more. What was read is not held back for it. */
static int wait_for_stream(Sender *s)
{
        struct pollfd p = { .fd = s->file.fd, .events = POLLIN };
        int r;

        if (poll(&p, 1, 0) > 0)
                return wire_interrupted(s->base.wire);
        r = wire_flush(s->base.wire);
        return r == 0 ? wire_wait(s->base.wire, s->file.fd, POLLIN) : r;
}

static int send_data(Sender *s, uint64_t most)
{
        Transfer *t = &s->base;
        SendFile *f = &s->file;
        size_t n = (size_t)MIN_OF(most, (uint64_t)CONTENT_BLOCK);
        ssize_t got;
        char *p;
        int r;

        if (f->unbounded && !s->settings.stream)
                n = CONTENT_UNKNOWN;
        r = wire_reserve(t->wire, n, &p);
        if (r < 0)
                return r;
        got = s->settings.stream ? read(f->fd, p, n) : pread(f->fd, p, n, (off_t)f->position);
        /* A file that has no more now, and no end, such as /proc/kmsg, is not waited for. */
        if (got < 0 && (errno == EINTR || (errno == EAGAIN && s->settings.stream))) {
                r = wire_interrupted(t->wire);
                return r < 0 ? r : SEND_FILE_MORE;
        }
        if (got <= 0)
                return send_file_end(s, got < 0 ? -errno : 0);
        hash_add(&f->hash, p, (size_t)got);
        wire_commit(t->wire, FRAME_DATA, (size_t)got);
        f->position += (uint64_t)got;
        t->stats.bytes += (uint64_t)got;
        return SEND_FILE_MORE;
}

int send_file_step(Sender *s)
{
        SendFile *f = &s->file;
        uint64_t limit = f->unbounded ? UINT64_MAX : (uint64_t)f->before.st_size, data;
        int r;

        /* What is added behind its end while it is read is left out: it may never stop. */
        if (f->position >= limit)
                return send_file_end(s, 0);
        if (s->settings.stream) {
                r = wait_for_stream(s);
                if (r != 0)
                        return r < 0 ? r : SEND_FILE_CONTROL;
        }
        if (f->sparse && f->position >= f->data_end) {
                find_data(f, limit, &data);
                if (data > f->position)
                        return send_hole(s, data - f->position);
        }
        if (f->sparse)
                limit = MAX_OF(f->data_end, f->position + 1);
        return send_data(s, limit - f->position);
}
