/* SPDX-License-Identifier: MIT */

/* file.get and file.put: the connection is lent to us, and given back between two frames. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "files/helper-internal.h"
#include "files/identity.h"

/* How many entries that failed are told of one by one; the rest is only counted. */
#define ERRORS_MAX 100U

typedef struct Raw Raw;

/* A raw call. */
struct Raw {
        Helper *helper;
        FileJob *job;
        Wire wire;
        Transfer *transfer;
        const char *shown;   /* the call's path */
        json_object *errors; /* of single entries */
        bool gone;           /* the daemon is */
};

static void raw_on_failed(const char *path, int error, bool by_peer, const char *message,
                          void *userdata)
{
        json_object *o;
        Raw *raw = userdata;

        if (json_object_array_length(raw->errors) >= ERRORS_MAX)
                return;
        o = must(json_object_new_object());
        object_add_bytes(o, "path", "path_base64", path, strlen(path));
        object_add_text(o, "reason", reason_to_text(reason_from_errno(error)));
        object_add_text(o, "errno", text_errno_name(abs(error)));
        object_add_text(o, "message", message ?: strerror(abs(error)));
        if (json_object_array_add(raw->errors, o) < 0)
                job_die();
}

static void raw_set_result(Raw *raw)
{
        const TransferStats *stats = transfer_stats(raw->transfer);
        json_object *o = job_result(raw->job);

        object_add_unsigned(o, "files", stats->files);
        object_add_unsigned(o, "directories", stats->directories);
        object_add_unsigned(o, "links", stats->links);
        object_add_unsigned(o, "bytes", stats->bytes);
        object_add_unsigned(o, "resumed", stats->resumed);
        object_add_unsigned(o, "failed", stats->failed);
        object_add_unsigned(o, "changed", stats->changed);
        object_add_null(o, "hash",
                        stats->hash[0] ? must(json_object_new_string(stats->hash)) : NULL);
        object_add(o, "errors", json_object_get(raw->errors));
}

/* The connection goes back. r: what transfer_run() said. True: it is wanted again. */
static bool raw_return(Raw *raw, int r)
{
        bool paused = r == TRANSFER_CONTROL || r == -EINTR;
        uint8_t head[HELPER_RETURN_SIZE];
        HelperReturn back = {
                .paused = paused,
                .received = raw->wire.received,
                .sent = raw->wire.sent,
        };
        const char *pending;
        size_t n;

        /* Whoever interrupts does not wait until the peer has read what it is sent. */
        if (wire_waiting(&raw->wire) > 0 || !wire_is_between(&raw->wire))
                back.error = -EPROTO;
        if (transfer_wire_failed(raw->transfer) && r < 0)
                back.error = r;
        pending = wire_pending(&raw->wire, &n);
        helper_return_write(&back, head);
        helper_send_two(raw->helper, HELPER_RETURN, head, sizeof(head), pending, n);
        return paused;
}

/* Runs on the connection that has come. True: it is wanted again. */
static bool raw_run(Raw *raw, const HelperMessage *m)
{
        bool again;
        int r;

        /* The transfer knows the wire by its place. */
        wire_done(&raw->wire);
        if (wire_init(&raw->wire, m->fd, m->data + 1, m->n - 1) < 0)
                job_die();
        raw->wire.deaf = m->data[0];
        raw->wire.interrupt_fd = raw->helper->fd;
        r = transfer_run(raw->transfer);
        if (r < 0 && r != -EINTR)
                job_refuse(raw->job, reason_from_errno(r), r, "%s: %s", raw->shown,
                           transfer_problem(raw->transfer) ?: strerror(-r));
        else if (r == TRANSFER_DONE)
                raw_set_result(raw);
        again = raw_return(raw, r);
        raw->wire.fd = -EBADF;
        return again;
}

/* From the moment that all is prepared. */
static void raw_serve(Raw *raw, const char *shown)
{
        bool again = true;

        raw->shown = shown;
        helper_send(raw->helper, HELPER_BEGIN, NULL, 0);
        while (again) {
                _cleanup_helper_message_ HelperMessage m = HELPER_MESSAGE_NULL;

                if (!helper_receive(raw->helper, &m)) {
                        raw->gone = true;
                        break;
                }
                if (m.kind == HELPER_LEND && m.fd >= 0 && m.n > 0) {
                        again = raw_run(raw, &m);
                } else if (m.kind == HELPER_ABORT) {
                        job_refuse(raw->job, REASON_CANCELLED, 0, "Cancelled: %s",
                                   "what had arrived in part is removed");
                        break;
                } else {
                        raw->gone = true;
                        break;
                }
        }
        /* Before anybody hears of the end. */
        raw->transfer = transfer_free(raw->transfer);
}

static void raw_done(Raw *raw)
{
        raw->transfer = transfer_free(raw->transfer);
        wire_done(&raw->wire);
        json_object_put(raw->errors);
}

/* open: makes the transfer, or fails the job. */
static bool raw_call(Helper *h, FileJob *j, void (*serve)(Raw *raw))
{
        _cleanup_(raw_done) Raw raw = {
                .helper = h,
                .job = j,
                .wire = WIRE_NULL,
                .errors = must(json_object_new_array()),
        };

        raw.wire.interrupt_fd = h->fd;
        helper_set_gentle(true);
        serve(&raw);
        if (!raw.gone)
                helper_send_reply(h, j);
        helper_set_gentle(false);
        return !raw.gone;
}

/* Its words are the transfer's, or those of the errno. */
static void raw_fail(Raw *raw, int error, const char *shown, const char *problem)
{
        if (problem)
                job_refuse(raw->job, reason_from_errno(error), error, "%s: %s", shown, problem);
        else
                job_fail(raw->job, error, "%s", shown);
}

static void raw_get(Raw *raw)
{
        FileJob *j = raw->job;
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path), *problem = NULL;
        const SendSettings settings = {
                .recursive = job_flag(j, "recursive", false),
                .count_first = job_flag(j, "count", false),
                .offset = job_number(j, "offset", 0),
                .offset_hash = job_text(j, "hash"),
                .events = { .failed = raw_on_failed, .userdata = raw },
        };
        _cleanup_close_ int source = -EBADF;
        int r;

        source = path_open(j->root, path, O_PATH | (job_flag(j, "follow", true) ? 0 : O_NOFOLLOW),
                           0);
        r = source < 0 ? source
                       : transfer_send_new(&raw->wire, source, &settings, &raw->transfer, &problem);
        if (r < 0)
                raw_fail(raw, r, shown, problem);
        else
                raw_serve(raw, shown);
}

/* What is said of owner, group and mode. False: the job has failed. */
static bool put_settings(Raw *raw, ReceiveSettings *settings)
{
        FileJob *j = raw->job;

        *settings = RECEIVE_SETTINGS_NULL;
        settings->recursive = job_flag(j, "recursive", false);
        settings->preserve = job_flag(j, "preserve", false);
        settings->confined = j->root->fd >= 0;
        settings->keep_partial = job_flag(j, "keep_partial", false);
        settings->offset = job_number(j, "offset", 0);
        settings->offset_hash = job_text(j, "hash");
        settings->mode = job_mode(j, "mode", TRANSFER_UNSET);
        if (job_has(j, "mtime_ns"))
                settings->mtime_ns = job_signed(j, "mtime_ns");
        settings->events = (TransferEvents){ .failed = raw_on_failed, .userdata = raw };
        return job_find_ids(j, &settings->uid, &settings->gid);
}

static void raw_put(Raw *raw)
{
        FileJob *j = raw->job;
        _cleanup_free_ char *path = job_path(j, "path"), *shown = path_show(path), *problem = NULL;
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;
        ReceiveSettings settings;
        int r;

        if (!put_settings(raw, &settings))
                return;
        r = path_open_place(j->root, path, &place);
        /* The root itself has no name; what comes can go into it. */
        if (r == -EBUSY) {
                place.name = must(strdup("."));
                place.fd = r = path_open(j->root, "/", O_PATH | O_DIRECTORY, 0);
        }
        if (r >= 0)
                r = transfer_receive_new(&raw->wire, place.fd, place.name, &settings,
                                         &raw->transfer, &problem);
        if (r < 0)
                raw_fail(raw, r, shown, problem);
        else
                raw_serve(raw, shown);
}

bool helper_run_get(Helper *h, FileJob *j)
{
        return raw_call(h, j, raw_get);
}

bool helper_run_put(Helper *h, FileJob *j)
{
        return raw_call(h, j, raw_put);
}
