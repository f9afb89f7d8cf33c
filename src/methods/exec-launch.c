/* SPDX-License-Identifier: MIT */

/* The start of a program of exec.*: its streams, its environment, and whom it runs as. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/exec-internal.h"
#include "methods/exec-program-internal.h"
#include "proc/environment.h"
#include "proc/terminal.h"

/* What raw streams get, so that the program and we take fewer turns. */
#define LARGE_PIPE_SIZE (1024 * 1024)

/* A pipe of which our end (0 or 1) does not block. */
static int pipe_new(unsigned our_end, bool large, int *ret_ours, int *ret_theirs)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        /* The other end is another open file description: the program's does block. */
        if (fcntl(fds[our_end], F_SETFL, O_NONBLOCK) < 0) {
                int r = -errno;

                fd_close(fds[0]);
                fd_close(fds[1]);
                return r;
        }
        /* Users other than root may have no more of such. */
        if (large)
                (void)fcntl(fds[0], F_SETPIPE_SZ, LARGE_PIPE_SIZE);
        *ret_ours = fds[our_end];
        *ret_theirs = fds[1 - our_end];
        return 0;
}

static int program_watch(Program *p, ProgramStream stream, int fd)
{
        Output *o = &p->outputs[stream];
        int r;

        r = sd_event_add_io(p->event, &o->source, fd, EPOLLIN, program_on_output, o);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        o->fd = fd;
        return 0;
}

static int program_open_terminal(Program *p, const Account *account, int fds[static 3])
{
        const ExecSettings *s = &p->settings;
        int master, copy, r;

        r = terminal_open(s->rows, s->columns, account ? account->uid : geteuid(),
                          account ? account->gid : getegid(), &master, &fds[0]);
        if (r < 0)
                return r;
        fds[1] = fds[2] = fds[0];
        r = program_watch(p, PROGRAM_STDOUT, master);
        if (r < 0)
                return r;
        if (!p->input)
                return 0;
        /* epoll knows a descriptor but once. */
        copy = fcntl(master, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        return exec_input_open(p->input, copy, true);
}

/* Only what is asked for: each pipe costs the start of a small program some of its time. */
static int program_open_pipes(Program *p, int fds[static 3])
{
        const ExecSettings *s = &p->settings;
        bool raw = s->output == EXEC_OUTPUT_RAW;
        int ours, r = 0;

        if (p->input) {
                r = pipe_new(1, raw, &ours, &fds[0]);
                if (r >= 0)
                        r = exec_input_open(p->input, ours, false);
        }
        for (unsigned i = 0; i < PROGRAM_STREAM_MAX && r >= 0; i++) {
                if (s->output == EXEC_OUTPUT_DISCARD)
                        continue;
                r = pipe_new(0, raw, &ours, &fds[1 + i]);
                if (r >= 0)
                        r = program_watch(p, (ProgramStream)i, ours);
        }
        return r;
}

/* Like a login's, but for what the caller says. */
static char **program_environment(const Program *p, const char *name, const char *home,
                                  const char *shell)
{
        const ExecSettings *s = &p->settings;
        const ProgramSettings whose = { .user = (char *)name, .home = (char *)home };
        _cleanup_text_list_ char **extra = NULL;
        int r = 0;

        if (!s->clear_environment && shell)
                r = text_list_take(&extra, text_format("SHELL=%s", shell));
        if (r >= 0 && s->terminal && (s->term || !s->clear_environment))
                r = text_list_take(&extra, text_format("TERM=%s", s->term ?: "linux"));
        for (char **v = s->variables; v && *v && r >= 0; v++)
                r = text_list_take(&extra, strdup(*v));
        if (r < 0)
                return NULL;
        if (s->clear_environment)
                return extra ? TAKE_PTR(extra) : calloc(1, sizeof(char *));
        return environment_new(&whose, (const char *const *)extra);
}

static int program_spawn(Program *p, const Account *account, const int fds[static 3])
{
        const ExecSettings *s = &p->settings;
        const User *own = &p->exec->own;
        const char *home = account ? account->home : own->home;
        const char *shell = account ? account->shell : own->shell;
        const char *const login[] = { shell ?: "/bin/sh", "-l", NULL };
        _cleanup_text_list_ char **environment = NULL;

        environment = program_environment(p, account ? account->name : own->name, home, shell);
        if (!environment)
                return -ENOMEM;
        return spawn_start(p->exec->context->spawner,
                           &(SpawnSettings){
                                   .argv = (char *const *)(s->argv ?: login),
                                   .environment = environment,
                                   .search_path = true,
                                   .directory = s->directory ?: home ?: "/",
                                   .directory_optional = !s->directory,
                                   .change_user = account != NULL,
                                   .uid = account ? account->uid : 0,
                                   .gid = account ? account->gid : 0,
                                   .groups = account ? account->groups : NULL,
                                   .n_groups = account ? account->n_groups : 0,
                                   .fds = { fds[0], fds[1], fds[2] },
                                   .terminal = s->terminal,
                                   .kill_timeout = s->kill_timeout,
                                   .scope = s->scope,
                                   .limits = s->limits,
                                   .started = p->owner->started ? program_on_start : NULL,
                                   .identity = p->identity,
                                   .properties = s->properties,
                           },
                           program_on_end, p, &p->spawn);
}

int program_launch(Program *p, const Account *account)
{
        int fds[3] = { -EBADF, -EBADF, -EBADF }, r;

        r = p->terminal ? program_open_terminal(p, account, fds) : program_open_pipes(p, fds);
        if (r >= 0)
                r = program_spawn(p, account, fds);
        /* A terminal's three are one. */
        for (size_t i = 0; i < (p->terminal ? 1 : ELEMENTSOF(fds)); i++)
                fd_close(fds[i]);
        exec_settings_done(&p->settings);
        return r;
}
