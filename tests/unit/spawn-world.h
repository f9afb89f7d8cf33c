/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of programs have around them: a loop, a Spawner, and a pipe to which the
 * programs write. Each test ends with no process and no descriptor left. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "proc/spawn.h"
#include "proc/tree.h"
#include "tests/unit/child.h"

/* Far beyond what any of these take: a test that hangs ends, and fails. */
#define LONG UINT64_C(60000000)

typedef struct World World;

struct World {
        sd_event *event;
        Spawner *spawner;
        size_t n_fds;
        unsigned n_started; /* of those that were asked to tell: on_start */
        unsigned n_ended;
        SpawnEnd end; /* of the last one; its problem is in the next member */
        char problem[4200];
        char output[65536];
        size_t n_output;
        int out; /* the reading end of the programs' standard output */
        int out_writer;
};

static inline _unused_ size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline _unused_ int setup(void **state)
{
        World *w = calloc(1, sizeof(*w));
        int fds[2];

        assert_non_null(w);
        w->n_fds = count_fds();
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        w->out = fds[0];
        w->out_writer = fds[1];
        assert_true(sd_event_new(&w->event) >= 0);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
        (void)signal(SIGRTMIN, SIG_IGN);
        assert_int_equal(spawner_new(w->event, &w->spawner), 0);
        *state = w;
        return 0;
}

static inline _unused_ int teardown(void **state)
{
        World *w = *state;
        siginfo_t info;

        spawner_free(w->spawner);
        sd_event_unref(w->event);
        fd_close(w->out);
        fd_close(w->out_writer);
        /* Nothing is left, not even to be reaped. */
        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        assert_int_equal(count_fds(), w->n_fds);
        free(w);
        return 0;
}

static inline _unused_ void on_end(Spawn *p, const SpawnEnd *end, void *userdata)
{
        World *w = userdata;

        w->n_ended++;
        w->end = *end;
        w->end.problem = NULL;
        (void)snprintf(w->problem, sizeof(w->problem), "%s", end->problem ? end->problem : "");
        assert_true((end->outcome == SPAWN_FAILED) == (end->problem != NULL));
        spawn_free(p);
}

static inline _unused_ void on_start(Spawn *p, void *userdata)
{
        World *w = userdata;

        w->n_started++;
}

static inline _unused_ void turn(World *w)
{
        /* 0 too: a signal that was of no concern. */
        assert_true(sd_event_run(w->event, LONG) >= 0);
}

static inline _unused_ void run_until_ended(World *w, unsigned n)
{
        while (w->n_ended < n)
                turn(w);
        assert_int_equal(w->n_ended, n);
}

static inline _unused_ void run_until_started(World *w, unsigned n)
{
        while (w->n_started < n)
                turn(w);
        assert_int_equal(w->n_started, n);
}

/* Until nothing of any tree is there any more. */
static inline _unused_ void run_until_alone(World *w)
{
        siginfo_t info;

        while (spawner_count(w->spawner) > 0)
                turn(w);
        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
}

static inline _unused_ Spawn *start(World *w, const SpawnSettings *settings,
                                    const char *const *argv)
{
        static char *environment[] = { (char *)"PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL };
        SpawnSettings s = *settings;
        Spawn *p;

        s.argv = (char *const *)argv;
        if (!s.environment)
                s.environment = environment;
        if (s.kill_timeout == 0)
                s.kill_timeout = LONG;
        assert_int_equal(spawn_start(w->spawner, &s, on_end, w, &p), 0);
        return p;
}

static inline _unused_ Spawn *start_shell(World *w, const SpawnSettings *settings,
                                          const char *script)
{
        const char *const argv[] = { "/bin/sh", "-c", script, NULL };

        return start(w, settings, argv);
}

static inline _unused_ SpawnSettings to_output(const World *w)
{
        return (SpawnSettings){ .fds = { -EBADF, w->out_writer, -EBADF } };
}

/* What all programs have written, once all have ended. */
static inline _unused_ const char *output(World *w)
{
        ssize_t n;

        w->out_writer = fd_close(w->out_writer);
        while ((n = read(w->out, w->output + w->n_output, sizeof(w->output) - 1 - w->n_output)) > 0)
                w->n_output += (size_t)n;
        w->output[w->n_output] = '\0';
        return w->output;
}

/* A line that a program has written, so that the test knows how far it is. */
static inline _unused_ void read_line(World *w, char line[static 256])
{
        size_t n = 0;

        do {
                assert_true(n < 255);
                assert_int_equal(read(w->out, line + n, 1), 1);
        } while (line[n++] != '\n');
        line[n - 1] = '\0';
}

static inline _unused_ pid_t read_pid(World *w)
{
        char line[256];

        read_line(w, line);
        return (pid_t)atoi(line);
}

static inline _unused_ void assert_gone(pid_t pid)
{
        assert_true(pid > 1);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
}

/* It is told of who has been executed, and of nobody else; and 3, which tells it, is gone then. */
static inline _unused_ void check_starts(World *w, SpawnSettings *s)
{
        static const char *const nothing[] = { "/no/such", NULL };
        char line[256];
        Spawn *p;

        s->started = on_start;
        start(w, s, nothing);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_FAILED);
        assert_int_equal(w->n_started, 0);
        p = start_shell(w, s, "[ -e /proc/self/fd/3 ] || echo none; exec sleep 1000");
        run_until_started(w, 1);
        assert_int_equal(w->n_ended, 1);
        read_line(w, line);
        assert_string_equal(line, "none");
        /* It is not told to whoever has let go. */
        (void)spawn_free(start_shell(w, s, "exit 0"));
        while (spawner_count(w->spawner) > 1)
                turn(w);
        assert_int_equal(w->n_started, 1);
        spawn_stop(p);
        run_until_ended(w, 2);
        run_until_alone(w);
        assert_int_equal(w->n_started, 1);
}
