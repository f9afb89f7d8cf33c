/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/cp.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/standard.h"

static volatile sig_atomic_t signalled; /* 0, or by which it ends */
static int signal_fd = -EBADF;

/* What waits is woken; what was written in part is then removed in peace. */
static void on_signal(int signo)
{
        const uint64_t one = 1;
        int saved = errno;

        signalled = signo;
        if (write(signal_fd, &one, sizeof(one)) < 0) {
                /* Its counter is full: it is readable as it is. */
        }
        errno = saved;
}

void cp_catch_signals(Copy *c, bool catch)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction old, action = { .sa_handler = catch ? on_signal : SIG_DFL };

        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                /* nohup's wish is respected. */
                if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
                        (void)sigaction(signals[i], &action, NULL);
}

static int prepare_signals(Copy *c)
{
        signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (signal_fd < 0)
                return -errno;
        c->interrupt_fd = signal_fd;
        /* A reader that is gone is to be an error of write(2). */
        (void)signal(SIGPIPE, SIG_IGN);
        return 0;
}

static void copy_done(Copy *c)
{
        for (size_t i = 0; i < c->n_guests; i++) {
                client_free(c->guests[i].client);
                free(c->guests[i].target);
        }
        free(c->guests);
        cp_end_done(&c->to);
        text_list_free(c->told);
        signal_fd = fd_close(signal_fd);
}

static void ends_free(CpEnd *ends)
{
        for (CpEnd *e = ends; e && e->word; e++)
                cp_end_done(e);
        free(ends);
}

static void ends_freep(CpEnd **ends)
{
        ends_free(*ends);
}

/* The sources, behind which stands one without a word. */
static int parse_ends(char **args, size_t n, Copy *c, CpEnd **ret)
{
        _cleanup_(ends_freep) CpEnd *from = calloc(n, sizeof(*from));
        bool any_guest;
        int r;

        if (!from) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = cp_end_parse(args[n - 1], &c->to);
        for (size_t i = 0; r == EXIT_OK && i + 1 < n; i++)
                r = cp_end_parse(args[i], &from[i]);
        if (r != EXIT_OK)
                return r;
        for (size_t i = 0; i + 1 < n; i++) {
                any_guest = c->to.kind == CP_GUEST || from[i].kind == CP_GUEST;
                if (!any_guest) {
                        _cleanup_free_ char *a = output_shown(from[i].word),
                                            *b = output_shown(c->to.word);

                        output_error("neither '%s' nor '%s' is in a guest: TARGET:/PATH is; cp(1) "
                                     "copies files here",
                                     a, b);
                        return EXIT_USAGE;
                }
        }
        *ret = TAKE_PTR(from);
        return EXIT_OK;
}

/* Whether DST is a directory. *ret_exists: whether anything is. */
static int look_here(const Copy *c, bool *ret_is_folder, bool *ret_exists)
{
        struct stat st;

        *ret_exists = stat(c->to.path, &st) == 0;
        *ret_is_folder = *ret_exists && S_ISDIR(st.st_mode);
        if (*ret_exists || errno == ENOENT)
                return EXIT_OK;
        _cleanup_free_ char *shown = output_shown(c->to.word);
        output_error("%s: %s", shown, strerror(errno));
        return EXIT_REFUSED;
}

static int look_there(Copy *c, bool *ret_is_folder, bool *ret_exists)
{
        _cleanup_json_ json_object *found = NULL;
        json_object *type;
        Client *client;
        int r;

        r = cp_guest(c, &c->to, &client);
        if (r == EXIT_OK)
                r = cp_stat(c, client, c->to.path, &found);
        if (r != EXIT_OK)
                return r;
        type = json_object_object_get(found, "type");
        *ret_exists = found != NULL;
        *ret_is_folder = json_object_is_type(type, json_type_string) &&
                         strcmp(json_object_get_string(type), "directory") == 0;
        return EXIT_OK;
}

/* What DST is decides where things go. */
static int look_at_target(Copy *c, const CpEnd *from, size_t n)
{
        _cleanup_free_ char *shown = output_shown(c->to.word);
        size_t length = strlen(c->to.path);
        bool exists = false;
        int r;

        if (c->to.kind == CP_STREAM)
                return EXIT_OK;
        r = c->to.kind == CP_GUEST ? look_there(c, &c->into, &exists)
                                   : look_here(c, &c->into, &exists);
        if (r != EXIT_OK)
                return r;
        if (!c->into && (n > 1 || (exists && c->to.path[length - 1] == '/'))) {
                output_error("%s: it is no directory, which %s", shown,
                             n > 1 ? "several sources need" : "its last slash says");
                return EXIT_REFUSED;
        }
        /* cp -r makes the directory that it copies; a file needs one to go into. */
        if (!exists && c->to.path[length - 1] == '/' && !c->settings->recursive) {
                output_error("%s: there is no such directory", shown);
                return EXIT_REFUSED;
        }
        for (size_t i = 0; i < n; i++)
                if (from[i].kind == CP_STREAM && c->into) {
                        output_error("%s: it is a directory, and what is read from standard input "
                                     "has no name to go into it by",
                                     shown);
                        return EXIT_REFUSED;
                }
        return EXIT_OK;
}

static int copy_all(Copy *c, const CpEnd *from, size_t n)
{
        int r, code = EXIT_OK;

        r = prepare_signals(c);
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        r = look_at_target(c, from, n);
        if (r != EXIT_OK)
                return r;
        for (size_t i = 0; i < n && !signalled; i++) {
                r = cp_copy(c, &from[i]);
                if (code == EXIT_OK)
                        code = r;
        }
        return code == EXIT_OK && c->failed ? EXIT_REFUSED : code;
}

int verb_cp(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(copy_done) Copy c = { .settings = s, .interrupt_fd = -EBADF };
        _cleanup_(ends_freep) CpEnd *from = NULL;
        int r;

        r = standard_guard();
        if (r < 0) {
                output_error("/dev/null: %s", strerror(-r));
                return EXIT_REFUSED;
        }
        r = parse_ends(args, n, &c, &from);
        if (r == EXIT_OK)
                r = copy_all(&c, from, n - 1);
        if (signalled) {
                copy_done(&c);
                c = (Copy){ .interrupt_fd = -EBADF };
                (void)raise(signalled);
        }
        return r;
}
