/* SPDX-License-Identifier: MIT */
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
        unsigned n_ended;
        SpawnEnd end; /* of the last one; its problem is in the next member */
        char problem[4200];
        char output[65536];
        size_t n_output;
        int out; /* the reading end of the programs' standard output */
        int out_writer;
};

static size_t count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void on_end(Spawn *p, const SpawnEnd *end, void *userdata)
{
        World *w = userdata;

        w->n_ended++;
        w->end = *end;
        w->end.problem = NULL;
        (void)snprintf(w->problem, sizeof(w->problem), "%s", end->problem ? end->problem : "");
        assert_true((end->outcome == SPAWN_FAILED) == (end->problem != NULL));
        spawn_free(p);
}

static void turn(World *w)
{
        /* 0 too: a signal that was of no concern. */
        assert_true(sd_event_run(w->event, LONG) >= 0);
}

static void run_until_ended(World *w, unsigned n)
{
        while (w->n_ended < n)
                turn(w);
        assert_int_equal(w->n_ended, n);
}

/* Until nothing of any tree is there any more. */
static void run_until_alone(World *w)
{
        siginfo_t info;

        while (spawner_count(w->spawner) > 0)
                turn(w);
        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
}

static Spawn *start(World *w, const SpawnSettings *settings, const char *const *argv)
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

static Spawn *start_shell(World *w, const SpawnSettings *settings, const char *script)
{
        const char *const argv[] = { "/bin/sh", "-c", script, NULL };

        return start(w, settings, argv);
}

static SpawnSettings to_output(const World *w)
{
        return (SpawnSettings){ .fds = { -EBADF, w->out_writer, -EBADF } };
}

/* What all programs have written, once all have ended. */
static const char *output(World *w)
{
        ssize_t n;

        w->out_writer = fd_close(w->out_writer);
        while ((n = read(w->out, w->output + w->n_output, sizeof(w->output) - 1 - w->n_output)) > 0)
                w->n_output += (size_t)n;
        w->output[w->n_output] = '\0';
        return w->output;
}

/* A line that a program has written, so that the test knows how far it is. */
static void read_line(World *w, char line[static 256])
{
        size_t n = 0;

        do {
                assert_true(n < 255);
                assert_int_equal(read(w->out, line + n, 1), 1);
        } while (line[n++] != '\n');
        line[n - 1] = '\0';
}

static pid_t read_pid(World *w)
{
        char line[256];

        read_line(w, line);
        return (pid_t)atoi(line);
}

static void assert_gone(pid_t pid)
{
        assert_true(pid > 1);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
}

static void test_exit_status(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);

        start_shell(w, &s, "echo hello; exit 7");
        assert_int_equal(spawner_count(w->spawner), 1);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 7);
        assert_true(w->end.duration > 0 && w->end.duration < LONG);
        run_until_alone(w);
        assert_string_equal(output(w), "hello\n");
}

static void test_signal(void **state)
{
        World *w = *state;
        SpawnSettings s = { .fds = { -1, -1, -1 } };

        start_shell(w, &s, "kill -USR1 $$");
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGUSR1);
}

static void expect_problem(World *w, const SpawnSettings *settings, const char *path, int error,
                           const char *problem)
{
        const char *const argv[] = { path, NULL };
        unsigned n = w->n_ended;

        start(w, settings, argv);
        assert_int_equal(w->n_ended, n); /* never from within */
        run_until_ended(w, n + 1);
        assert_int_equal(w->end.outcome, SPAWN_FAILED);
        assert_int_equal(w->end.error, error);
        assert_string_equal(w->problem, problem);
}

static void test_cannot_start(void **state)
{
        World *w = *state;
        SpawnSettings s = { .fds = { -1, -1, -1 } };
        _cleanup_free_ char *where =
                text_format("cannot change to directory /no/such: %s", strerror(ENOENT));
        _cleanup_free_ char *what = text_format("cannot execute /no/such: %s", strerror(ENOENT));
        _cleanup_free_ char *plain =
                text_format("cannot execute /etc/passwd: %s", strerror(EACCES));

        expect_problem(w, &s, "/no/such", ENOENT, what);
        expect_problem(w, &s, "/etc/passwd", EACCES, plain);
        s.directory = "/no/such";
        expect_problem(w, &s, "/bin/true", ENOENT, where);
}

/* In a child: what is not root's cannot become another. */
static int become_other(void *userdata)
{
        static const char *const argv[] = { "/bin/true", NULL };
        SpawnSettings s = { .fds = { -1, -1, -1 }, .change_user = true, .uid = 1, .gid = 1 };
        World w = { 0 };

        if (!child_become_nobody() || sd_event_new(&w.event) < 0 ||
            spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        start(&w, &s, argv);
        run_until_ended(&w, 1);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        return w.end.outcome == SPAWN_FAILED && w.end.error == EPERM &&
                               strncmp(w.problem, "cannot ", 7) == 0
                       ? 0
                       : 1;
}

static void test_cannot_become_user(void **state)
{
        int status;

        if (geteuid() != 0)
                cannot_run("root only");
        status = child_run(become_other, NULL);
        if (status == CHILD_CANNOT)
                cannot_run("cannot become another user");
        assert_int_equal(status, 0);
}

/* A user has his groups, and no capability whatever. */
static void test_user(void **state)
{
        World *w = *state;
        static const gid_t groups[] = { 65534, 7 };
        SpawnSettings s = to_output(w);

        if (geteuid() != 0)
                cannot_run("root only");
        s.change_user = true;
        s.uid = 65534;
        s.gid = 65534;
        s.groups = groups;
        s.n_groups = ELEMENTSOF(groups);
        start_shell(w, &s,
                    "id -u; id -g; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status");
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_string_equal(output(w), "65534\n65534\n65534 7\n"
                                       "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                                       "CapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

/* What the daemon has made of itself is not the program's. */
static void test_clean_state(void **state)
{
        World *w = *state;
        static char *environment[] = { (char *)"A=b", NULL };
        SpawnSettings s = to_output(w);
        struct rlimit before, high;
        mode_t mask = umask(0);
        sigset_t blocked, old;
        int leak;

        /* One that is inherited, such as whoever started the daemon may have left it. */
        leak = fcntl(w->out, F_DUPFD, 50);
        assert_true(leak >= 50);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        high = before;
        high.rlim_cur = high.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &high), 0);
        (void)sigemptyset(&blocked);
        (void)sigaddset(&blocked, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &blocked, &old);
        s.environment = environment;
        start_shell(w, &s,
                    "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; ulimit -Sn; pwd;"
                    "/usr/bin/env | grep -E '^(A|HOME|PATH|USER)='; echo /proc/self/fd/*;"
                    "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader");
        run_until_ended(w, 1);
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        (void)umask(mask);
        close(leak);
        assert_non_null(
                strstr(output(w), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n"));
        /* Under valgrind limits are valgrind's: it answers setrlimit() itself. */
        if (!getenv("LD_PRELOAD") || !strstr(getenv("LD_PRELOAD"), "vgpreload"))
                assert_non_null(strstr(w->output, "\n0022\n1024\n/\n"));
        /* dash opens no descriptor of its own to match a pattern but the folder, number 3. */
        assert_non_null(
                strstr(w->output, "\n/\nA=b\n/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"));
        assert_null(strstr(w->output, "/proc/self/fd/50"));
        assert_non_null(strstr(w->output, "leader\n"));
}

/* Standard output may be what is standard error here, and the other way round. */
static void test_fds_crossed(void **state)
{
        World *w = *state;
        int fds[2], saved[3];
        SpawnSettings s;
        char text[16];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (int i = 0; i < 3; i++)
                saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        assert_int_equal(dup2(fds[1], 0), 0);
        assert_int_equal(dup2(w->out_writer, 2), 2);
        s = (SpawnSettings){ .fds = { 1, 2, 0 } };
        start_shell(w, &s, "echo out; echo err >&2");
        for (int i = 0; i < 3; i++) {
                assert_int_equal(dup2(saved[i], i), i);
                close(saved[i]);
        }
        run_until_ended(w, 1);
        close(fds[1]);
        assert_int_equal(read(fds[0], text, sizeof(text)), 4);
        assert_memory_equal(text, "err\n", 4);
        close(fds[0]);
        assert_string_equal(output(w), "out\n");
}

/* What is left of a tree ends: who called setsid, who forked twice, who wiped his environment. */
static void test_left_behind(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        int fds[2];
        pid_t pids[3];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        s.fds[0] = fds[0];
        start_shell(w, &s,
                    "setsid sh -c 'echo $$; exec sleep 1000' &"
                    "(setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" &' &);"
                    "sh -c 'echo $$; exec sleep 1000' & read line");
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = read_pid(w);
        close(fds[0]);
        close(fds[1]);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        run_until_alone(w);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_gone(pids[i]);
}

/* A program that is stopped ends as a whole, and who does not listen to TERM is killed. */
static void test_stop(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pids[3];
        Spawn *p;

        s.kill_timeout = 100 * 1000;
        p = start_shell(w, &s,
                        "trap '' TERM; echo $$;"
                        "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &"
                        "setsid setsid sh -c 'echo $$; kill -STOP $$; sleep 1000' &"
                        "while :; do sleep 1; done");
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = read_pid(w);
        spawn_stop(p);
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGKILL);
        run_until_alone(w);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_gone(pids[i]);
}

/* TERM comes first, and there is time to heed it. */
static void test_stop_gently(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        char line[256];
        Spawn *p;

        p = start_shell(w, &s,
                        "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        read_line(w, line);
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 3);
        run_until_alone(w);
        assert_string_equal(output(w), "bye\n");
}

/* Who forks and ends, again and again, is caught too. */
static void test_fork_chain(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        char line[256];
        Spawn *p;

        s.kill_timeout = 50 * 1000;
        p = start_shell(w, &s,
                        "trap '' TERM; echo ready;"
                        "f() { trap '' TERM; (f) & exit 0; }; f");
        read_line(w, line);
        run_until_ended(w, 1);
        (void)p;
        run_until_alone(w);
}

/* Its owner has gone: it ends, and nobody is told. */
static void test_free_while_running(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pid;
        Spawn *p;

        p = start_shell(w, &s, "echo $$; exec sleep 1000");
        pid = read_pid(w);
        assert_int_equal(spawn_pid(p), pid);
        spawn_free(p);
        run_until_alone(w);
        assert_int_equal(w->n_ended, 0);
        assert_gone(pid);
}

/* Another program is not concerned, whatever it has started. */
static void test_others_go_on(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t other, orphan;
        Spawn *p, *q;

        q = start_shell(w, &s,
                        "echo $$; (setsid sh -c 'echo $$; exec sleep 1000' &); exec sleep 1000");
        other = read_pid(w);
        orphan = read_pid(w);
        p = start_shell(w, &s, "exec sleep 1000");
        spawn_stop(p);
        run_until_ended(w, 1);
        p = start_shell(w, &s, "setsid sleep 1000 & exit 0");
        run_until_ended(w, 2);
        while (spawner_count(w->spawner) > 1)
                turn(w);
        assert_int_equal(kill(other, 0), 0);
        assert_int_equal(kill(orphan, 0), 0);
        spawn_stop(q);
        run_until_ended(w, 3);
        run_until_alone(w);
        assert_gone(orphan);
}

/* A child that was there before the Spawner is none of its business. */
static int with_stranger(void *userdata)
{
        SpawnSettings s = { .fds = { -1, -1, -1 } };
        World w = { 0 };
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                (void)pause();
                _exit(0);
        }
        if (pid < 0 || sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        start_shell(&w, &s, "setsid sleep 1000 & exit 0");
        run_until_ended(&w, 1);
        while (spawner_count(w.spawner) > 0)
                turn(&w);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        if (waitpid(pid, &status, WNOHANG) != 0)
                return 1;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return 0;
}

static void test_stranger(void **state)
{
        assert_int_equal(child_run(with_stranger, NULL), 0);
}

/* The Spawner's own end takes everything with it, at once. */
static void test_spawner_free(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pids[2];
        Spawn *p;

        p = start_shell(w, &s,
                        "trap '' TERM; echo $$; setsid sh -c 'trap \"\" TERM; echo $$; exec sleep "
                        "1000' & exec sleep 1000");
        pids[0] = read_pid(w);
        pids[1] = read_pid(w);
        w->spawner = spawner_free(w->spawner);
        assert_int_equal(w->n_ended, 0);
        assert_gone(pids[0]);
        assert_gone(pids[1]);
        spawn_stop(p);
        spawn_free(p);
}

static void test_many(void **state)
{
        World *w = *state;
        SpawnSettings s = { .fds = { -1, -1, -1 } };

        for (unsigned i = 0; i < 200; i++)
                start_shell(w, &s, "exit 5");
        assert_int_equal(spawner_count(w->spawner), 200);
        run_until_ended(w, 200);
        assert_int_equal(w->end.status, 5);
        run_until_alone(w);
}

static void test_tree(void **state)
{
        _cleanup_pid_list_ PidList list = PID_LIST_NULL;
        _cleanup_tree_ Tree t = TREE_NULL;
        World *w = *state;
        SpawnSettings s = { .fds = { -1, -1, -1 } };
        TreeProcess process;
        Spawn *p;

        p = start_shell(w, &s, "exec sleep 1000");
        assert_int_equal(tree_children(&t, getpid(), SIZE_MAX, &list), 0);
        assert_int_equal(list.n, 1);
        assert_int_equal(list.list[0], spawn_pid(p));
        assert_int_equal(tree_read(spawn_pid(p), &process), 0);
        assert_int_equal(process.pid, spawn_pid(p));
        assert_int_equal(process.parent, getpid());
        assert_true(process.started > 0);
        assert_int_equal(tree_children(&t, getpid(), 1, &list), 0);
        assert_int_equal(list.n, 1); /* at most so many */
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(tree_read(process.pid, &process), -ESRCH);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_exit_status, setup, teardown),
                cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cannot_become_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clean_state, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fds_crossed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_left_behind, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop_gently, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fork_chain, setup, teardown),
                cmocka_unit_test_setup_teardown(test_free_while_running, setup, teardown),
                cmocka_unit_test_setup_teardown(test_others_go_on, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stranger, setup, teardown),
                cmocka_unit_test_setup_teardown(test_spawner_free, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
