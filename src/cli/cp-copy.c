/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cp.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

/* With --resume: what is there already, of the file that is to be copied. */
typedef struct Resume Resume;

struct Resume {
        uint64_t offset; /* 0: nothing */
        char hash[TRANSFER_HASH_SIZE];
};

static int out_of_memory(void)
{
        output_error("out of memory");
        return EXIT_REFUSED;
}

static bool is_terminal(void)
{
        return isatty(STDERR_FILENO) > 0;
}

/* Where the copy of `from` goes, in the guest or here. The caller frees; NULL without memory. */
static char *copy_place(const Copy *c, const CpEnd *from)
{
        _cleanup_free_ char *name = NULL;
        size_t n = strlen(c->to.path);

        if (!c->into)
                return strdup(c->to.path);
        name = cp_base_name(from->path);
        if (!name)
                return NULL;
        if (strcmp(name, ".") == 0)
                return strdup(c->to.path);
        return text_format("%s%s%s", c->to.path, n > 0 && c->to.path[n - 1] == '/' ? "" : "/",
                           name);
}

/* Splits into the folder and the last component, "." for the folder itself. 0 or -ENOMEM. */
static int split(const char *path, char **ret_folder, char **ret_name)
{
        _cleanup_free_ char *copy = strdup(path), *name = NULL;
        size_t n = copy ? strlen(copy) : 0;
        char *slash;

        if (!copy)
                return -ENOMEM;
        while (n > 1 && copy[n - 1] == '/')
                copy[--n] = 0;
        slash = strrchr(copy, '/');
        name = strdup(slash ? slash + 1 : copy);
        if (!name)
                return -ENOMEM;
        if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
                /* The folder itself, whatever its name is. */
                free(name);
                name = strdup(".");
                *ret_folder = TAKE_PTR(copy);
        } else {
                if (slash)
                        slash[slash == copy] = 0;
                *ret_folder = slash ? TAKE_PTR(copy) : strdup(".");
        }
        *ret_name = TAKE_PTR(name);
        return *ret_folder && *ret_name ? 0 : -ENOMEM;
}

/* The path of the partial file that belongs to `place`. NULL without memory. */
static char *partial_place(const char *place)
{
        _cleanup_free_ char *folder = NULL, *name = NULL, *partial = NULL;

        if (split(place, &folder, &name) < 0)
                return NULL;
        partial = transfer_partial_name(name);
        return partial ? text_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, partial)
                       : NULL;
}

/* The events of transfers here. */
static void on_failed(const char *path, int error, bool by_peer, const char *message,
                      void *userdata)
{
        cp_tell(userdata, path, message);
}

static void on_changed(const char *path, void *userdata)
{
        _cleanup_free_ char *shown = output_shown(path), *what = NULL;
        Copy *c = userdata;

        what = output_shown(c->from->word);
        progress_hide(&c->progress);
        output_error("%s%s%s: it changed while it was read: the copy is as it was read", what,
                     path[0] ? "/" : "", shown);
}

static void on_progress(const TransferStats *stats, const char *path, void *userdata)
{
        Copy *c = userdata;

        progress_update(&c->progress, stats->bytes + stats->resumed, stats->total_bytes);
}

static TransferEvents events_of(Copy *c)
{
        return (TransferEvents){
                .failed = on_failed, .changed = on_changed, .progress = on_progress, .userdata = c
        };
}

static bool add(json_object *params, const char *key, json_object *value)
{
        return value && json_object_object_add(params, key, value) == 0;
}

/* What get and put have in common. NULL without memory. */
static json_object *make_params(const Copy *c, const char *path, const Resume *resume)
{
        _cleanup_json_ json_object *params = json_object_new_object();
        const Settings *s = c->settings;

        if (!params || cp_add_path(params, path) < 0 ||
            !add(params, "raw", json_object_new_boolean(true)) ||
            !add(params, "recursive", json_object_new_boolean(s->recursive)) ||
            (s->user && !add(params, "user", json_object_new_string(s->user))))
                return NULL;
        if (resume->offset > 0 &&
            (!add(params, "offset", json_object_new_int64((int64_t)resume->offset)) ||
             (resume->hash[0] && !add(params, "hash", json_object_new_string(resume->hash)))))
                return NULL;
        return TAKE_PTR(params);
}

static json_object *get_params(const Copy *c, const CpEnd *from, const Resume *resume)
{
        _cleanup_json_ json_object *params = make_params(c, from->path, resume);

        /* As cp(1) has it: a link in a tree is a link, and one given alone is what it leads to. */
        if (!params || !add(params, "follow", json_object_new_boolean(!c->settings->recursive)) ||
            !add(params, "count", json_object_new_boolean(is_terminal())))
                return NULL;
        return TAKE_PTR(params);
}

static json_object *put_params(const Copy *c, const char *place, const Resume *resume)
{
        _cleanup_json_ json_object *params = make_params(c, place, resume);

        if (!params || !add(params, "preserve", json_object_new_boolean(c->settings->preserve)) ||
            !add(params, "keep_partial", json_object_new_boolean(c->settings->resume)))
                return NULL;
        return TAKE_PTR(params);
}

/* Whether the other side has, or wants, another beginning than ours: then it is all sent. */
static bool is_stale(json_object *error)
{
        json_object *data = json_object_object_get(error, "data");
        json_object *name = json_object_object_get(data, "errno");

        return json_object_is_type(name, json_type_string) &&
               strcmp(json_object_get_string(name), "ESTALE") == 0;
}

/* Makes the raw call. params: taken over; NULL: without memory. EXIT_OK or an ExitCode; stale:
 * EXIT_OK with *ret_stale instead of an error that says so, or NULL. */
static int begin(Copy *c, CpCall *k, const CpEnd *end, const char *method, json_object *params,
                 bool *ret_stale)
{
        _cleanup_json_ json_object *owned = params, *error = NULL;
        Client *client;
        int r;

        if (!owned)
                return out_of_memory();
        r = cp_guest(c, end, &client);
        if (r != EXIT_OK)
                return r;
        r = cp_call_begin(k, client, method, owned, c->interrupt_fd, &error);
        if (r == CLIENT_REFUSED && ret_stale && is_stale(error)) {
                *ret_stale = true;
                return EXIT_OK;
        }
        if (r == CLIENT_REFUSED)
                return target_refused(client, c->settings, method, error);
        if (r < 0) {
                r = target_failed(client, r);
                cp_guest_drop(c, client);
        }
        return r;
}

/* To the end of a call that is the last word. An ExitCode. */
static int finish(Copy *c, CpCall *k)
{
        int r;

        r = cp_call_finish(k);
        if (r == -EINTR)
                return EXIT_REFUSED;
        if (r < 0)
                return cp_broke(c, k, r);
        return k->reply.error ? cp_refused(c, k) : EXIT_OK;
}

/* A transfer that ended with an error: what there is to say. An ExitCode. */
static int tell_failed(Copy *c, CpCall *k, const Transfer *t, int error, const char *verb,
                       const char *hint)
{
        int code = EXIT_REFUSED;

        if (error == -EINTR)
                progress_hide(&c->progress);
        else if (transfer_wire_failed(t))
                code = cp_broke(c, k, error);
        else
                cp_tell(c, "", transfer_problem(t) ?: strerror(-error));
        cp_tell_arrived(c, transfer_stats(t), verb, hint);
        /* The other side is in the middle of something: it is told by the connection's end. */
        if (k->client)
                cp_guest_drop(c, k->client);
        k->client = NULL;
        return code;
}

/* Runs the transfer, which this side has opened, along with its call. An ExitCode. */
static int run(Copy *c, CpCall *k, Transfer *t, const char *verb, const char *hint)
{
        const TransferStats *stats = transfer_stats(t);
        int r, code;

        while ((r = transfer_run(t)) == TRANSFER_CONTROL && !k->replied) {
                r = cp_call_listen(k);
                if (r < 0)
                        return tell_failed(c, k, t, r, verb, hint);
                if (k->replied)
                        break;
        }
        /* Where the guest has given up, its channels may have ended in the middle: its own words
         * are better. */
        if (r < 0 && !(r == -EPROTO && !transfer_wire_failed(t)))
                return tell_failed(c, k, t, r, verb, hint);
        code = finish(c, k);
        if (code == EXIT_OK && r == -EPROTO)
                return tell_failed(c, k, t, r, verb, hint);
        if (code == EXIT_OK && r == TRANSFER_CONTROL) {
                cp_tell(c, "", "the guest says it is done before all has been sent");
                code = EXIT_REFUSED;
        }
        if (code != EXIT_OK) {
                cp_tell_arrived(c, stats, verb, hint);
                return code;
        }
        progress_end(&c->progress, stats->bytes + stats->resumed, stats->total_bytes);
        return EXIT_OK;
}

#define HINT_KEPT "; what arrived of a single file is kept, and the same command goes on with it"
#define HINT_REMOVED "; what arrived in part was removed"

/* Here: how much of it is there. */
static int find_local(Copy *c, const char *place, Resume *ret)
{
        _cleanup_free_ char *partial = partial_place(place);
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (!partial)
                return out_of_memory();
        fd = open(partial, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return EXIT_OK;
        if (transfer_hash_prefix(fd, (uint64_t)st.st_size, c->interrupt_fd, ret->hash) == 0)
                ret->offset = (uint64_t)st.st_size;
        return EXIT_OK;
}

/* What becomes of the frames here. 0 with *ret; -errno, told. */
static int open_receiver(Copy *c, CpCall *k, const char *place, const Resume *resume, int folder,
                         const char *name, Transfer **ret)
{
        ReceiveSettings settings = RECEIVE_SETTINGS_NULL;
        _cleanup_free_ char *problem = NULL;
        int r;

        settings.recursive = c->settings->recursive;
        settings.preserve = c->settings->preserve;
        /* The guest was asked for what a link leads to. */
        settings.no_link = !c->settings->recursive;
        settings.events = events_of(c);
        if (c->to.kind == CP_STREAM) {
                settings.stream_fd = STDOUT_FILENO;
        } else if (c->settings->resume) {
                settings.keep_partial = true;
                settings.offset = resume->offset;
                settings.offset_hash = resume->hash;
        }
        r = transfer_receive_new(&k->wire, folder, name, &settings, ret, &problem);
        if (r < 0) {
                _cleanup_free_ char *shown = output_shown(place);

                output_error("%s: %s", shown, problem ?: strerror(-r));
        }
        return r;
}

static int get_to(Copy *c, const CpEnd *from, const char *place, Resume *resume)
{
        const char *hint = c->to.kind == CP_STREAM ? ""
                           : c->settings->resume   ? HINT_KEPT
                                                   : HINT_REMOVED;
        _cleanup_free_ char *folder = NULL, *name = NULL;
        _cleanup_(cp_call_done) CpCall k = CP_CALL_NULL;
        _cleanup_(transfer_freep) Transfer *t = NULL;
        _cleanup_close_ int fd = -EBADF;
        bool stale = false;
        int r;

        if (c->to.kind == CP_LOCAL) {
                if (split(place, &folder, &name) < 0)
                        return out_of_memory();
                fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0) {
                        _cleanup_free_ char *shown = output_shown(folder);

                        output_error("%s: %s", shown, strerror(errno));
                        return EXIT_REFUSED;
                }
        }
        r = begin(c, &k, from, "file.get", get_params(c, from, resume), &stale);
        if (r == EXIT_OK && stale) {
                resume->offset = 0;
                r = begin(c, &k, from, "file.get", get_params(c, from, resume), NULL);
        }
        if (r != EXIT_OK)
                return r;
        progress_begin(&c->progress, name && strcmp(name, ".") != 0 ? name : from->word);
        if (open_receiver(c, &k, place ?: "", resume, fd, name ?: "", &t) < 0) {
                cp_guest_drop(c, k.client);
                return EXIT_REFUSED;
        }
        cp_catch_signals(c, true);
        r = run(c, &k, t, "arrived", hint);
        t = transfer_free(t);
        cp_catch_signals(c, false);
        return r;
}

static int copy_get(Copy *c, const CpEnd *from)
{
        _cleanup_free_ char *place = NULL;
        Resume resume = {};
        int r;

        if (c->to.kind == CP_STREAM)
                return get_to(c, from, NULL, &resume);
        place = copy_place(c, from);
        if (!place)
                return out_of_memory();
        if (c->settings->resume) {
                r = find_local(c, place, &resume);
                if (r != EXIT_OK)
                        return r;
        }
        return get_to(c, from, place, &resume);
}

/* In the guest: how much of it is there. */
static int find_partial(Copy *c, const char *place, uint64_t *ret_size)
{
        _cleanup_free_ char *partial = partial_place(place);
        _cleanup_json_ json_object *found = NULL;
        Client *client;
        int64_t size;
        int r;

        if (!partial)
                return out_of_memory();
        r = cp_guest(c, &c->to, &client);
        if (r == EXIT_OK)
                r = cp_stat(c, client, partial, &found);
        if (r != EXIT_OK)
                return r;
        size = json_object_get_int64(json_object_object_get(found, "size"));
        *ret_size = size > 0 ? (uint64_t)size : 0;
        return EXIT_OK;
}

/* And what ours begins with. */
static int find_remote(Copy *c, const CpEnd *from, const char *place, Resume *ret)
{
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        int r;

        r = find_partial(c, place, &size);
        if (r != EXIT_OK || size == 0)
                return r;
        fd = open(from->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0 && transfer_hash_prefix(fd, size, c->interrupt_fd, ret->hash) == 0)
                ret->offset = size;
        return EXIT_OK;
}

static int open_sender(Copy *c, CpCall *k, const CpEnd *from, int source, const Resume *resume,
                       Transfer **ret)
{
        SendSettings settings = {
                .recursive = c->settings->recursive,
                .stream = from->kind == CP_STREAM,
                .count_first = is_terminal(),
                .offset = resume->offset,
                .offset_hash = resume->hash,
                .events = events_of(c),
        };
        _cleanup_free_ char *problem = NULL;
        int r;

        r = transfer_send_new(&k->wire, source, &settings, ret, &problem);
        if (r < 0)
                cp_tell(c, "",
                        r == -EISDIR && !c->settings->recursive
                                ? "it is a directory: -r copies it with all that is in it"
                                : problem ?: strerror(-r));
        return r;
}

static int put_from(Copy *c, const CpEnd *from, int source, const char *place, Resume *resume)
{
        const char *hint = c->settings->resume ? HINT_KEPT : HINT_REMOVED;
        _cleanup_(cp_call_done) CpCall k = CP_CALL_NULL;
        _cleanup_(transfer_freep) Transfer *t = NULL;
        bool stale = false;
        int r;

        /* First of all what can be said without a guest. */
        if (open_sender(c, &k, from, source, resume, &t) < 0)
                return EXIT_REFUSED;
        r = begin(c, &k, &c->to, "file.put", put_params(c, place, resume), &stale);
        if (r == EXIT_OK && stale) {
                resume->offset = 0;
                t = transfer_free(t);
                if (open_sender(c, &k, from, source, resume, &t) < 0)
                        return EXIT_REFUSED;
                r = begin(c, &k, &c->to, "file.put", put_params(c, place, resume), NULL);
        }
        if (r != EXIT_OK)
                return r;
        progress_begin(&c->progress, from->word);
        cp_catch_signals(c, true);
        r = run(c, &k, t, "been sent", hint);
        cp_catch_signals(c, false);
        if (r == EXIT_OK)
                cp_tell_result(c, k.reply.result);
        return r;
}

static int copy_put(Copy *c, const CpEnd *from)
{
        bool follow = !c->settings->recursive;
        _cleanup_free_ char *place = copy_place(c, from);
        _cleanup_close_ int fd = -EBADF;
        Resume resume = {};
        struct stat st;
        int r;

        if (!place)
                return out_of_memory();
        if (from->kind == CP_STREAM)
                return put_from(c, from, STDIN_FILENO, place, &resume);
        fd = open(from->path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
        if (fd < 0 || fstat(fd, &st) < 0) {
                cp_tell(c, "", strerror(errno));
                return EXIT_REFUSED;
        }
        if (c->settings->resume && S_ISREG(st.st_mode)) {
                r = find_remote(c, from, place, &resume);
                if (r != EXIT_OK)
                        return r;
        }
        return put_from(c, from, fd, place, &resume);
}

static int run_relay(Copy *c, CpCall *get, CpCall *put)
{
        const char *hint = c->settings->resume ? HINT_KEPT : HINT_REMOVED;
        TransferStats stats = {};
        CpCall *which = NULL;
        int r, code;

        r = cp_relay(c, get, put, &stats, &which);
        if (r == TRANSFER_CONTROL) {
                /* One of them has given up: why is its reply's to say. */
                code = finish(c, which);
                cp_tell_arrived(c, &stats, "been sent", hint);
                if (get->client)
                        cp_guest_drop(c, get->client);
                if (put->client)
                        cp_guest_drop(c, put->client);
                return code == EXIT_OK ? EXIT_REFUSED : code;
        }
        if (r < 0) {
                code = r == -EINTR ? EXIT_REFUSED : cp_broke(c, which, r);
                cp_tell_arrived(c, &stats, "been sent", hint);
                return code;
        }
        code = finish(c, put);
        if (code == EXIT_OK) {
                progress_end(&c->progress, stats.bytes + stats.resumed, stats.total_bytes);
                cp_tell_result(c, put->reply.result);
        }
        r = finish(c, get);
        return code != EXIT_OK ? code : r;
}

/* Both calls, if both guests agree. *ret_stale: one has less than what would be left out. */
static int begin_relay(Copy *c, const CpEnd *from, const char *place, const Resume *resume,
                       CpCall *get, CpCall *put, bool *ret_stale)
{
        int r;

        r = begin(c, get, from, "file.get", get_params(c, from, resume), ret_stale);
        if (r != EXIT_OK || *ret_stale)
                return r;
        r = begin(c, put, &c->to, "file.put", put_params(c, place, resume), NULL);
        if (r != EXIT_OK)
                cp_guest_drop(c, get->client);
        return r;
}

static int copy_relay(Copy *c, const CpEnd *from)
{
        _cleanup_free_ char *place = copy_place(c, from);
        _cleanup_(cp_call_done) CpCall get = CP_CALL_NULL, put = CP_CALL_NULL;
        Resume resume = {};
        bool stale = false;
        int r = EXIT_OK;

        if (!place)
                return out_of_memory();
        /* Neither guest's beginning is known here: whether they are the same the hash of the whole
         * tells in the end. */
        if (c->settings->resume)
                r = find_partial(c, place, &resume.offset);
        if (r == EXIT_OK)
                r = begin_relay(c, from, place, &resume, &get, &put, &stale);
        if (r == EXIT_OK && stale) {
                resume.offset = 0;
                stale = false;
                r = begin_relay(c, from, place, &resume, &get, &put, &stale);
        }
        if (r != EXIT_OK)
                return r;
        progress_begin(&c->progress, from->word);
        cp_catch_signals(c, true);
        r = run_relay(c, &get, &put);
        cp_catch_signals(c, false);
        return r;
}

int cp_copy(Copy *c, const CpEnd *from)
{
        int r;

        c->from = from;
        r = from->kind != CP_GUEST   ? copy_put(c, from)
            : c->to.kind == CP_GUEST ? copy_relay(c, from)
                                     : copy_get(c, from);
        progress_done(&c->progress);
        text_list_free(c->told);
        c->told = NULL;
        return r;
}
