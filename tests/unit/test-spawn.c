/* SPDX-License-Identifier: MIT */

/* How one program starts, what it finds, and how it ends. */
#include "tests/unit/spawn-world.h"

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

/* Of what cannot be executed the end alone is told; and the program knows nothing of all that. */
static void test_start_is_told(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);

        check_starts(w, &s);
}

/* In a child: what tells of the start is itself 0, 1 and 2. */
static int start_without_standard_fds(void *userdata)
{
        static const char *const nothing[] = { "/no/such", NULL };
        SpawnSettings s = { .fds = { -1, -1, -1 }, .started = on_start };
        World w = { 0 };
        Spawn *p;
        int r = 0;

        if (sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        for (int i = 0; i < 3; i++)
                close(i);
        for (unsigned i = 1; i <= 20 && r == 0; i++) {
                start(&w, &s, nothing);
                run_until_ended(&w, i);
                r = w.end.outcome == SPAWN_FAILED && w.n_started == 0 ? 0 : 1;
        }
        p = start_shell(&w, &s, "exec sleep 1000");
        run_until_started(&w, 1);
        spawner_free(w.spawner);
        (void)spawn_free(p);
        sd_event_unref(w.event);
        return r;
}

static void test_start_is_told_without_standard_fds(void **state)
{
        int status = child_run(start_without_standard_fds, NULL);

        if (status == CHILD_CANNOT)
                cannot_run("no loop in a child");
        assert_int_equal(status, 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_exit_status),   TEST(test_signal),
                TEST(test_cannot_start),  TEST(test_cannot_become_user),
                TEST(test_user),          TEST(test_clean_state),
                TEST(test_fds_crossed),   TEST(test_many),
                TEST(test_start_is_told), cmocka_unit_test(test_start_is_told_without_standard_fds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
