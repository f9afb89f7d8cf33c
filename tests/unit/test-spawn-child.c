/* SPDX-License-Identifier: MIT */

/* Between the making of a child and its exec, where it may run in our memory. */
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "proc/bare.h"
#include "tests/unit/spawn-world.h"

#define LEASE_BROKEN (SIGRTMIN + 1)

/* A script whose exec hangs, as one from a dead network file system does: in an open() that waits
 * for the lease that we have on it. */
typedef struct Hanging Hanging;

struct Hanging {
        char path[64];
        int lease;
};

static bool hanging_new(Hanging *h, const char *script)
{
        const struct timespec none = { 0 };
        sigset_t set;
        int fd;

        (void)snprintf(h->path, sizeof(h->path), "/tmp/guestwire-spawn-XXXXXX");
        fd = mkostemp(h->path, O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, script, strlen(script)), strlen(script));
        assert_int_equal(fchmod(fd, 0755), 0);
        close(fd);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, LEASE_BROKEN);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        while (sigtimedwait(&set, NULL, &none) > 0)
                ;
        h->lease = open(h->path, O_RDONLY | O_CLOEXEC);
        assert_true(h->lease >= 0);
        return fcntl(h->lease, F_SETSIG, LEASE_BROKEN) == 0 &&
               fcntl(h->lease, F_SETLEASE, F_WRLCK) == 0;
}

/* Until a child is in its exec. */
static void hanging_await(void)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, LEASE_BROKEN);
        assert_int_equal(sigwaitinfo(&set, NULL), LEASE_BROKEN);
}

/* It goes on. */
static void hanging_release(Hanging *h)
{
        h->lease = fd_close(h->lease);
}

static void hanging_done(Hanging *h)
{
        hanging_release(h);
        assert_int_equal(unlink(h->path), 0);
}

static Spawn *start_hanging(World *w, const SpawnSettings *settings, const Hanging *h)
{
        const char *const argv[] = { h->path, NULL };
        Spawn *p = start(w, settings, argv);

        hanging_await();
        return p;
}

/* 1, 0, or -1 where we cannot tell. */
static int shares_our_memory(const Spawn *p)
{
        long r = syscall(SYS_kcmp, getpid(), spawn_pid(p), KCMP_VM, 0, 0);

        return r < 0 ? -1 : r == 0;
}

static bool has_clone3(void)
{
        return BARE_CLONE && (syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS);
}

/* It holds up neither us nor other programs; and what it was given may be gone by then. */
static void test_exec_that_hangs(void **state)
{
        char word[] = "one", variable[] = "WORD=two", path[64], directory[] = "/tmp";
        char *argv[] = { path, word, NULL }, *environment[] = { variable, NULL };
        World *w = *state;
        SpawnSettings s = to_output(w);
        Hanging h;
        Spawn *p;

        if (!hanging_new(&h, "#!/bin/sh\necho $1 $WORD $PWD\n")) {
                hanging_done(&h);
                cannot_run("no leases on files here");
        }
        (void)strcpy(path, h.path);
        s.argv = argv;
        s.environment = environment;
        s.directory = directory;
        s.kill_timeout = LONG;
        assert_int_equal(spawn_start(w->spawner, &s, on_end, w, &p), 0);
        memset(path, 'x', sizeof(path));
        memset(word, 'x', sizeof(word));
        memset(variable, 'x', sizeof(variable));
        memset(directory, 'x', sizeof(directory));
        argv[0] = environment[0] = NULL;
        hanging_await();
        if (shares_our_memory(p) >= 0)
                assert_int_equal(shares_our_memory(p), has_clone3());

        s = (SpawnSettings){ .fds = { -EBADF, -EBADF, -EBADF } };
        for (unsigned i = 1; i <= 3; i++) {
                start_shell(w, &s, "exit 3");
                run_until_ended(w, i);
                assert_int_equal(w->end.status, 3);
        }
        hanging_release(&h);
        run_until_ended(w, 4);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 0);
        assert_string_equal(output(w), "one two /tmp\n");
        hanging_done(&h);
}

/* Not when the child is there, but when it has become its program: in our memory, and in its own.
 */
static void test_start_is_told_at_the_exec(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w), other = { .fds = { -EBADF, -EBADF, -EBADF } };
        unsigned n = geteuid() == 0 ? 2 : 1;
        char line[256];
        Hanging h;
        Spawn *p;

        s.started = on_start;
        for (unsigned i = 0; i < n; i++) {
                const char *const argv[] = { h.path, NULL };

                if (!hanging_new(&h, "#!/bin/sh\necho here; exec sleep 1000\n")) {
                        hanging_done(&h);
                        cannot_run("no leases on files here");
                }
                s.change_user = i > 0;
                s.uid = s.gid = CHILD_NOBODY;
                p = start(w, &s, argv);
                hanging_await();
                /* Others start and end meanwhile. */
                start_shell(w, &other, "exit 3");
                run_until_ended(w, 2 * i + 1);
                assert_int_equal(w->n_started, i);
                hanging_release(&h);
                run_until_started(w, i + 1);
                read_line(w, line);
                assert_string_equal(line, "here");
                spawn_stop(p);
                run_until_ended(w, 2 * i + 2);
                hanging_done(&h);
        }
        assert_int_equal(w->n_started, n);
}

static void test_stopped_in_its_exec(void **state)
{
        /* Of TERM alone valgrind, which opens the file before the exec does, thinks nothing. */
        SpawnSettings s = { .fds = { -EBADF, -EBADF, -EBADF }, .kill_timeout = 1 };
        World *w = *state;
        Hanging h;

        if (!hanging_new(&h, "#!/bin/sh\n")) {
                hanging_done(&h);
                cannot_run("no leases on files here");
        }
        spawn_stop(start_hanging(w, &s, &h));
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        run_until_alone(w);
        hanging_done(&h);

        /* And at the end of all. */
        assert_true(hanging_new(&h, "#!/bin/sh\n"));
        (void)spawn_free(start_hanging(w, &s, &h));
        w->spawner = spawner_free(w->spawner);
        hanging_done(&h);
}

/* A user's own processes are kept out of a child that is to be his program: of one that can be
 * neither traced nor dumped /proc has root as the owner. The kernel makes it so when credentials
 * change. */
static void assert_hidden(const Spawn *p)
{
        char path[64];
        struct stat st;

        (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)spawn_pid(p));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, 0);
}

/* Who becomes another user does not so in our memory: what keeps him out of it would stay. */
static void test_other_user(void **state)
{
        World *w = *state;
        SpawnSettings s = {
                .fds = { -EBADF, -EBADF, -EBADF },
                .change_user = true,
                .uid = geteuid(),
                .gid = getegid(),
        };
        Hanging h;
        Spawn *p;

        if (geteuid() != 0)
                cannot_run("only root can become somebody else");
        for (unsigned i = 0; i < 2; i++) {
                if (!hanging_new(&h, "#!/bin/sh\n")) {
                        hanging_done(&h);
                        cannot_run("no leases on files here");
                }
                p = start_hanging(w, &s, &h);
                if (shares_our_memory(p) >= 0)
                        assert_int_equal(shares_our_memory(p), i == 0 && has_clone3());
                if (i == 1)
                        assert_hidden(p);
                hanging_release(&h);
                run_until_ended(w, i + 1);
                hanging_done(&h);
                assert_int_equal(w->end.outcome, SPAWN_EXITED);
                assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
                s.uid = s.gid = CHILD_NOBODY;
        }
}

/* A child whose calls fail while we are at ours. */
static void test_errno_is_ours(void **state)
{
        const SpawnSettings s = { .fds = { -EBADF, -EBADF, -EBADF } };
        const char *const argv[] = { "/no/such", NULL };
        World *w = *state;
        siginfo_t info;

        for (unsigned i = 1; i <= 50; i++) {
                Spawn *p = start(w, &s, argv);

                errno = EDOM;
                do {
                        info.si_pid = 0;
                        assert_int_equal(waitid(P_PID, (id_t)spawn_pid(p), &info,
                                                WEXITED | WNOHANG | WNOWAIT),
                                         0);
                        assert_int_equal(errno, EDOM);
                } while (info.si_pid == 0);
                run_until_ended(w, i);
                assert_int_equal(w->end.error, ENOENT);
        }
}

static void count_end(Spawn *p, const SpawnEnd *end, void *userdata)
{
        int *sum = userdata;

        *sum += end->outcome == SPAWN_EXITED                           ? 100 + end->status
                : end->outcome == SPAWN_FAILED && end->error == ENOENT ? 1000
                                                                       : 0;
        (void)spawn_free(p);
}

/* A kernel, or somebody's filter, that has no clone3(). */
static int run_without_clone3(void *userdata)
{
        char *const good[] = { (char *)"/bin/sh", (char *)"-c", (char *)"exit 7", NULL };
        char *const bad[] = { (char *)"/no/such", NULL };
        SpawnSettings s = { .fds = { -EBADF, -EBADF, -EBADF }, .kill_timeout = LONG };
        _cleanup_(spawner_freep) Spawner *spawner = NULL;
        sd_event *event = NULL;
        int sum = 0;
        Spawn *p;

        if (!child_deny(SYS_clone3, -1, *(int *)userdata))
                return CHILD_CANNOT;
        if (sd_event_new(&event) < 0 || spawner_new(event, &spawner) < 0)
                return 1;
        for (unsigned i = 0; i < 2; i++) {
                s.argv = good;
                if (spawn_start(spawner, &s, count_end, &sum, &p) < 0)
                        return 2;
                s.argv = bad;
                if (spawn_start(spawner, &s, count_end, &sum, &p) < 0)
                        return 3;
                while (spawner_count(spawner) > 0)
                        if (sd_event_run(event, LONG) < 0)
                                return 4;
        }
        spawner = spawner_free(spawner);
        sd_event_unref(event);
        return sum == 2 * 107 + 2 * 1000 ? 0 : 5;
}

static void test_without_clone3(void **state)
{
        static const int errors[] = { ENOSYS, EPERM };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                int error = errors[i], status = child_run(run_without_clone3, &error);

                if (status == CHILD_CANNOT)
                        cannot_run("no seccomp here");
                assert_int_equal(status, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_exec_that_hangs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_start_is_told_at_the_exec, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stopped_in_its_exec, setup, teardown),
                cmocka_unit_test_setup_teardown(test_other_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errno_is_ours, setup, teardown),
                cmocka_unit_test(test_without_clone3),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
