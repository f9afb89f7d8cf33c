/* SPDX-License-Identifier: MIT */
#include "files/receive.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define CHANNELS_ALL ((1U << FRAME_DATA) | (1U << FRAME_HOLE) | (1U << FRAME_RECORDS))
/* Of a path in words. */
#define SHOWN_MAX 300U

/* Errors that everything after would meet again. */
static bool is_fatal(int error)
{
        return error == -ENOSPC || error == -EDQUOT || error == -EIO || error == -ENOMEM ||
               error == -EINTR || error == -EPROTO;
}

/* "the disk is full", ... A constant string. */
static const char *error_words(int error)
{
        switch (-error) {
        case ENOSPC:
                return "the disk is full";
        case EDQUOT:
                return "the disk quota is used up";
        case EROFS:
                return "the file system is read-only";
        case ENAMETOOLONG:
                return "the name is too long for this file system";
        case ELOOP:
                return "a symbolic link is on the way, which is not followed, or more than 500 "
                       "directories are";
        default:
                return strerror(-error);
        }
}

/* An entry did not work out. 0 where the others may; else it is the end. problem: allocated. */
static int entry_failed(Receiver *r, const char *path, int error, char *problem)
{
        _cleanup_free_ char *words = problem, *shown = NULL;
        const char *message = words ?: error_words(error);

        receive_file_abort(&r->file, true);
        if (r->is_tree && path[0] && !is_fatal(error)) {
                transfer_entry_failed(&r->base, path, error, false, message);
                return 0;
        }
        r->base.stats.failed++;
        if (!path[0])
                return transfer_fail(&r->base, error, "%s", message);
        shown = text_show(path, strlen(path), SHOWN_MAX);
        return transfer_fail(&r->base, error, "%s: %s", shown ?: "?", message);
}

static int broken_stream(Receiver *r, const char *what)
{
        return transfer_fail(&r->base, -EPROTO, "what the other side sends is no file stream: %s",
                             what);
}

static bool is_skipped(const Receiver *r, const char *path)
{
        size_t n = r->skipped ? strlen(r->skipped) : 0;

        return r->skipped && strncmp(path, r->skipped, n) == 0 && path[n] == '/';
}

/* Into its folder, and there what it is. */
static int receive_entry(Receiver *r, const Record *record, char **ret_problem)
{
        const char *name = r->name;
        int folder = r->dirfd;

        if (record->path[0] && r->settings.stream_fd < 0) {
                folder = receive_go(r, record->path, &name);
                if (folder < 0)
                        return folder;
        }
        if (r->settings.stream_fd >= 0 && record->type != RECORD_FILE) {
                *ret_problem = strdup("only a regular file can be written to a stream");
                return -EISDIR;
        }
        switch (record->type) {
        case RECORD_FILE:
                return receive_file_begin(r, folder, name, record, ret_problem);
        case RECORD_DIRECTORY:
                return receive_folder(r, folder, name, record, ret_problem);
        case RECORD_LINK:
                return receive_link(r, folder, name, record, ret_problem);
        default:
                transfer_entry_failed(&r->base, record->path, record->error, true,
                                      record->message ?: strerror(-record->error));
                return 0;
        }
}

/* What may come where. 0, or -EPROTO with words. */
static int check_entry(Receiver *r, const Record *record)
{
        bool is_top = !record->path[0];

        if (r->file.active)
                return broken_stream(r, "an entry begins within another");
        /* The topmost folder comes a second time where its list could not be read to its end. */
        if (is_top == r->begun && !(is_top && record->type == RECORD_OTHER))
                return broken_stream(r, r->begun ? "a second beginning" : "it has no beginning");
        if (!is_top && !r->is_tree)
                return broken_stream(r, "it goes on behind a single file");
        if (!is_top && !receive_path_is_sound(record->path))
                return broken_stream(r, "a path leads elsewhere");
        return 0;
}

static int begin_entry(Receiver *r, const Record *record)
{
        char *problem = NULL;
        int e;

        e = check_entry(r, record);
        if (e < 0)
                return e;
        if (!r->begun) {
                r->begun = true;
                r->is_tree = record->type == RECORD_DIRECTORY;
                /* Only a single file is kept in part. */
                if (record->type != RECORD_FILE && r->file.is_partial) {
                        receive_file_abort(&r->file, true);
                        r->settings.offset = 0;
                }
                r->base.stats.total_bytes = r->is_tree                         ? record->total
                                            : record->size != RECORD_SIZE_NONE ? record->size
                                                                               : 0;
                if (r->is_tree && !r->settings.recursive)
                        return transfer_fail(&r->base, -EISDIR, "a directory comes, and no file");
                if (record->type == RECORD_LINK && r->settings.no_link)
                        return transfer_fail(&r->base, -ELOOP,
                                             "a symbolic link comes, and no file");
        }
        free(r->current);
        r->current = strdup(record->path);
        if (!r->current)
                return -ENOMEM;
        transfer_progress(&r->base, r->current);
        if (is_skipped(r, record->path)) {
                r->base.stats.failed++;
                r->file.active = r->file.discard = record->type == RECORD_FILE;
                return 0;
        }
        e = receive_entry(r, record, &problem);
        if (e >= 0)
                return 0;
        e = entry_failed(r, record->path, e, problem);
        if (e < 0)
                return e;
        if (record->type == RECORD_FILE)
                r->file.active = r->file.discard = true;
        if (record->type == RECORD_DIRECTORY) {
                free(r->skipped);
                r->skipped = strdup(record->path);
        }
        return 0;
}

static int end_file(Receiver *r, const Record *record)
{
        char *problem = NULL;
        int e;

        if (!r->file.active)
                return broken_stream(r, "an end without a beginning");
        r->file.active = false;
        if (r->file.discard) {
                r->file.discard = false;
                return 0;
        }
        if (record->error < 0) {
                receive_file_abort(&r->file, true);
                transfer_entry_failed(&r->base, r->current, record->error, true,
                                      record->message ?: strerror(-record->error));
                return 0;
        }
        e = receive_file_end(r, record, &problem);
        if (e < 0)
                return entry_failed(r, r->current, e, problem);
        if (record->changed) {
                r->base.stats.changed++;
                if (r->base.events.changed)
                        r->base.events.changed(r->current, r->base.events.userdata);
        }
        return 0;
}

static int take_record(Receiver *r, const char *text, size_t n)
{
        _cleanup_(record_done) Record record = RECORD_NULL;
        int e;

        e = record_parse(text, n, &record);
        if (e == -EBADMSG)
                return broken_stream(r, "a record that is none");
        if (e < 0)
                return e;
        return record.type == RECORD_END ? end_file(r, &record) : begin_entry(r, &record);
}

/* A record may come in pieces: then it is put together. */
static int on_record(Receiver *r, const FramePiece *piece)
{
        int e;

        if (piece->first && piece->last)
                return take_record(r, piece->data, piece->n);
        if (piece->first) {
                free(r->record);
                r->record = malloc(piece->size);
                r->record_size = 0;
                if (!r->record)
                        return -ENOMEM;
        }
        memcpy(r->record + r->record_size, piece->data, piece->n);
        r->record_size += piece->n;
        if (!piece->last)
                return 0;
        e = take_record(r, r->record, r->record_size);
        free(r->record);
        r->record = NULL;
        return e;
}

/* Content that could not be kept. */
static int content_failed(Receiver *r, int error)
{
        int e;

        if (error == -EINTR || r->base.wire->failed)
                return error;
        e = entry_failed(r, r->current, error,
                         text_format("it cannot be written: %s", error_words(error)));
        r->file.active = r->file.discard = true;
        return e;
}

static int on_data(Receiver *r, const FramePiece *piece)
{
        int e;

        if (!r->file.active)
                return broken_stream(r, "content of no file");
        r->base.stats.bytes += piece->n;
        e = receive_file_data(r, piece->data, piece->n);
        transfer_progress(&r->base, r->current);
        return e < 0 ? content_failed(r, e) : 0;
}

static int on_hole(Receiver *r, const FramePiece *piece)
{
        int e;

        if (!r->file.active)
                return broken_stream(r, "a hole in no file");
        if (piece->first) {
                if (piece->size != sizeof(r->hole))
                        return broken_stream(r, "a hole's size has eight bytes");
                r->hole = 0;
        }
        for (size_t i = 0; i < piece->n; i++)
                r->hole = r->hole << 8 | (uint8_t)piece->data[i];
        if (!piece->last)
                return 0;
        if (r->hole > INT64_MAX)
                return broken_stream(r, "a hole that no file has room for");
        r->base.stats.bytes += r->hole;
        e = receive_file_hole(r, r->hole);
        transfer_progress(&r->base, r->current);
        return e < 0 ? content_failed(r, e) : 0;
}

static int on_end(Receiver *r, uint8_t channel)
{
        r->ended |= 1U << channel;
        if (r->ended != CHANNELS_ALL)
                return TRANSFER_STEP;
        if (r->file.active || !r->begun)
                return broken_stream(r, "it ends in the middle");
        receive_leave_all(r);
        return TRANSFER_DONE;
}

static int on_piece(Receiver *r, const FramePiece *piece)
{
        if (piece->channel < FRAME_DATA || piece->channel > FRAME_RECORDS)
                return broken_stream(r, "a channel that there is not");
        if (r->ended & 1U << piece->channel)
                return broken_stream(r, "a channel goes on behind its end");
        if (piece->n == 0)
                return on_end(r, piece->channel);
        switch (piece->channel) {
        case FRAME_DATA:
                return on_data(r, piece);
        case FRAME_HOLE:
                return on_hole(r, piece);
        default:
                return on_record(r, piece);
        }
}

static int receive_step(Transfer *t)
{
        Receiver *r = CONTAINER_OF(t, Receiver, base);
        FramePiece piece;
        int e;

        if (r->ended == CHANNELS_ALL)
                return TRANSFER_DONE;
        e = wire_next(t->wire, false, &piece);
        if (e == WIRE_CONTROL)
                return TRANSFER_CONTROL;
        if (e >= 0) {
                e = on_piece(r, &piece);
                /* The piece that ends it all is the only one to be no step. */
                if (e >= 0)
                        return r->ended == CHANNELS_ALL ? TRANSFER_DONE : TRANSFER_STEP;
        }
        receive_file_abort(&r->file, true);
        receive_leave_all(r);
        return transfer_fail(t, e, "%s", strerror(-e));
}

static Transfer *receive_free(Transfer *t)
{
        Receiver *r = CONTAINER_OF(t, Receiver, base);

        receive_file_abort(&r->file, true);
        hash_done(&r->file.hash);
        receive_leave_all(r);
        free(r->levels);
        free(r->name);
        free(r->path);
        free(r->current);
        free(r->skipped);
        free(r->record);
        free(r->owners.user);
        free(r->owners.group);
        transfer_done(t);
        free(r);
        return NULL;
}

/* What can be said before anything comes. */
static int check_target(Receiver *r, char **ret_problem)
{
        struct stat st;
        int e;

        e = receive_look(r, r->dirfd, r->name, NULL, &st, ret_problem);
        if (e == -EISDIR && r->settings.recursive) {
                free(*ret_problem);
                *ret_problem = NULL;
                return 0;
        }
        if (e < 0)
                return e;
        return r->settings.keep_partial ? receive_file_partial(r, ret_problem) : 0;
}

int transfer_receive_new(Wire *wire, int dirfd, const char *name, const ReceiveSettings *settings,
                         Transfer **ret, char **ret_problem)
{
        static const TransferOps ops = { .step = receive_step, .free = receive_free };
        _cleanup_(transfer_freep) Transfer *t = NULL;
        _cleanup_free_ char *problem = NULL;
        Receiver *r;
        int e = 0;

        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        t = &r->base;
        t->ops = &ops;
        t->wire = wire;
        t->events = settings->events;
        r->settings = *settings;
        r->dirfd = dirfd;
        r->file = RECEIVE_FILE_NULL;
        r->umask = umask(0);
        (void)umask(r->umask);
        if (settings->stream_fd < 0) {
                r->name = strdup(name);
                e = r->name ? check_target(r, &problem) : -ENOMEM;
        }
        if (e < 0) {
                *ret_problem = problem ? TAKE_PTR(problem) : strdup(error_words(e));
                return e;
        }
        *ret = TAKE_PTR(t);
        return 0;
}
