/* SPDX-License-Identifier: MIT */

/*
 * Control groups. What /proc says of them is read anywhere; with GUESTWIRE_TEST_CGROUP set, as
 * tests/integration/test_cgroup.py has it in user-mode Linux, they are made: there this process is
 * root, in the root of a hierarchy of version 2 that has nobody else in it.
 */
#include "tests/unit/spawn-world.h"

#include <ftw.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc/cgroup-own.h"

#define ROOT "/sys/fs/cgroup"

static char *own_path(const char *cgroup, const char *mountinfo, int expected)
{
        FILE *a = fmemopen((void *)cgroup, strlen(cgroup), "r");
        FILE *b = fmemopen((void *)mountinfo, strlen(mountinfo), "r");
        char *path = NULL;

        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal(cgroup_own_path(a, b, &path), expected);
        assert_true((path != NULL) == (expected == 0));
        (void)fclose(a);
        (void)fclose(b);
        return path;
}

static void assert_own(const char *cgroup, const char *mountinfo, const char *expected)
{
        _cleanup_free_ char *path = own_path(cgroup, mountinfo, 0);

        assert_string_equal(path, expected);
}

#define UNIFIED                                 \
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" \
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void test_own_group(void **state)
{
        assert_own("0::/system.slice/guestwired.service\n", UNIFIED,
                   "/sys/fs/cgroup/system.slice/guestwired.service");
        assert_own("0::/\n", UNIFIED, "/sys/fs/cgroup/");
        /* Version 1 beside it. */
        assert_own("4:memory:/a\n1:name=systemd:/b\n0::/c\n",
                   "30 29 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                   "31 29 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n",
                   "/sys/fs/cgroup/unified/c");
        /* A part of the tree is mounted, at a place with a space in its name. */
        assert_own("0::/part/one\n", "29 23 0:26 /part /a\\040b\\134c rw - cgroup2 none rw\n",
                   "/a b\\c/one");
        assert_own("0::/part\n", "29 23 0:26 /part /here rw - cgroup2 none rw\n", "/here");
        /* The first mount that shows it. */
        assert_own("0::/part/one\n",
                   "29 23 0:26 /other /x rw - cgroup2 none rw\n"
                   "30 23 0:26 /par /y rw - cgroup2 none rw\n"
                   "31 23 0:26 / /z rw - cgroup2 none rw\n",
                   "/z/part/one");
}

static void test_no_own_group(void **state)
{
        (void)own_path("1:name=systemd:/\n", UNIFIED, -EOPNOTSUPP);
        (void)own_path("0::/\n", "30 29 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw\n",
                       -EOPNOTSUPP);
        (void)own_path("0::/../outside\n", UNIFIED, -EOPNOTSUPP);
        (void)own_path("0::/..\n", UNIFIED, -EOPNOTSUPP);
        (void)own_path("0::/a\n", "29 23 0:26 /b /x rw - cgroup2 none rw\n", -EOPNOTSUPP);
        (void)own_path("0::/a\n", "29 23 cgroup2\n\n29 23 0:26 /a\n", -EOPNOTSUPP);
        (void)own_path("\n", "\n", -EOPNOTSUPP);
}

/* How many folders there are whose names contain `name`. */
static const char *wanted;
static size_t n_wanted;

static int count_folder(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        n_wanted += type == FTW_D && strstr(path + ftw->base, wanted) != NULL;
        return 0;
}

static size_t count_groups(const char *name)
{
        wanted = name;
        n_wanted = 0;
        assert_int_equal(nftw(ROOT, count_folder, 16, FTW_PHYS), 0);
        return n_wanted;
}

static int setup_groups(void **state)
{
        int r = setup(state);

        assert_int_equal(count_groups("guestwire-"), 1);
        return r;
}

static int teardown_groups(void **state)
{
        int r = teardown(state);

        assert_int_equal(count_groups("guestwire-"), 0);
        return r;
}

static void read_text(const char *path, char *ret, size_t n)
{
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        n = fread(ret, 1, n - 1, f);
        ret[n] = '\0';
        (void)fclose(f);
}

static void write_text(const char *path, const char *text)
{
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void test_each_has_its_own(void **state)
{
        World *w = *state;
        SpawnSettings settings = to_output(w);
        char line[256];

        settings.identity = "backup.start/../x y";
        start_shell(w, &settings, "cat /proc/self/cgroup");
        run_until_ended(w, 1);
        read_line(w, line);
        assert_string_equal(line, "0::/guestwire-1/free/run-backup.start_.._x_y-1");
        settings.identity = NULL;
        start_shell(w, &settings, "cat /proc/self/cgroup");
        run_until_ended(w, 2);
        read_line(w, line);
        assert_string_equal(line, "0::/guestwire-1/free/run-program-2");
        assert_int_equal(count_groups("run-"), 0);
}

/* Of a grandchild that nobody waits for the process's own usage tells nothing. */
static void test_usage_is_of_all(void **state)
{
        World *w = *state;
        SpawnSettings settings = { .fds = { -EBADF, -EBADF, -EBADF } };
        siginfo_t info;

        start_shell(w, &settings,
                    "setsid sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; kill -9 $PPID'"
                    " & read nothing < /dev/null; sleep 1000 & wait $!");
        run_until_ended(w, 1);
        run_until_alone(w);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_true(w->end.cpu != UINT64_MAX && w->end.cpu > 1000);
        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
}

static void test_memory_limit(void **state)
{
        World *w = *state;
        const char *const argv[] = { "/usr/bin/python3", "-c",
                                     "import os, signal; os.fork() or signal.pause(); a = [b'x' * "
                                     "(i + (1 << 20)) for i in range(256)]",
                                     NULL };
        SpawnSettings settings = {
                .fds = { -EBADF, -EBADF, -EBADF },
                .limits.memory_max = 32 << 20,
        };

        start(w, &settings, argv);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGKILL);
        assert_true(w->end.memory_peak > 16 << 20);
        assert_true(w->end.memory_peak <= 32 << 20);
        run_until_alone(w);
}

/* It can neither get beyond its bound nor outrun its end. */
static void test_fork_bomb(void **state)
{
        World *w = *state;
        const char *const argv[] = { "/usr/bin/python3", "-c",
                                     "import os, signal\n"
                                     "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                     "told = False\n"
                                     "while True:\n"
                                     "    try:\n"
                                     "        os.fork()\n"
                                     "    except OSError:\n"
                                     "        told or os.write(1, b'full\\n')\n"
                                     "        told = True\n",
                                     NULL };
        SpawnSettings settings = to_output(w);
        char line[256];
        Spawn *p;

        settings.limits.tasks_max = 20;
        settings.kill_timeout = 100000;
        p = start(w, &settings, argv);
        read_line(w, line);
        assert_string_equal(line, "full");
        spawn_stop(p);
        run_until_ended(w, 1);
        run_until_alone(w);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGKILL);
        assert_int_equal(count_groups("run-"), 0);
}

static void test_cpu_weight(void **state)
{
        World *w = *state;
        SpawnSettings settings = to_output(w);
        char line[256];

        settings.limits =
                (ProgramLimits){ .memory_max = 64 << 20, .tasks_max = 7, .cpu_weight = 3 };
        start_shell(w, &settings,
                    "cd " ROOT "$(cut -d: -f3 /proc/self/cgroup);"
                    "echo $(cat memory.max pids.max cpu.weight memory.oom.group)");
        run_until_ended(w, 1);
        read_line(w, line);
        assert_string_equal(line, "67108864 7 3 1");
}

static void test_weight_out_of_range(void **state)
{
        World *w = *state;
        static const char *const argv[] = { "/bin/true", NULL };
        SpawnSettings settings = {
                .argv = (char *const *)argv,
                .fds = { -EBADF, -EBADF, -EBADF },
                .limits.cpu_weight = 10001,
        };
        Spawn *p = NULL;

        assert_int_equal(spawn_start(w->spawner, &settings, on_end, w, &p), -ERANGE);
        assert_null(p);
        assert_int_equal(count_groups("run-"), 0);
}

/* Groups that a program has made, and processes that it has frozen in them, go with it. */
static void test_groups_below(void **state)
{
        World *w = *state;
        SpawnSettings settings = to_output(w);

        settings.kill_timeout = 100000;
        start_shell(w, &settings,
                    "cd " ROOT "$(cut -d: -f3 /proc/self/cgroup);"
                    "mkdir -p a/b/c; sleep 1000 & echo $! > a/b/c/cgroup.procs;"
                    "echo 1 > a/cgroup.freeze; echo done; exit 3");
        run_until_ended(w, 1);
        assert_int_equal(w->end.status, 3);
        run_until_alone(w);
        assert_int_equal(count_groups("run-"), 0);
}

static void test_could_not_be_executed(void **state)
{
        World *w = *state;
        const char *const argv[] = { "/no/such", NULL };
        SpawnSettings settings = {
                .fds = { -EBADF, -EBADF, -EBADF },
                .limits.tasks_max = 5,
        };

        start(w, &settings, argv);
        run_until_ended(w, 1);
        assert_string_equal(w->problem, "cannot execute /no/such: No such file or directory");
        assert_int_equal(count_groups("run-"), 0);
}

/* clone3(2) is not there: into the group by its file. */
static int run_without_clone(void *userdata)
{
        World w = { .out = -EBADF, .out_writer = -EBADF };
        SpawnSettings settings = { .fds = { -EBADF, -EBADF, -EBADF }, .limits.tasks_max = 5 };
        char groups[256];
        int fds[2];

        if (!child_deny(SYS_clone3, -1, ENOSYS) || pipe2(fds, O_CLOEXEC) < 0 ||
            sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        w.out = fds[0];
        settings.fds[1] = fds[1];
        start_shell(&w, &settings, "cat /proc/self/cgroup");
        run_until_ended(&w, 1);
        read_line(&w, groups);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        return strcmp(groups, "0::/guestwire-1/limited/run-program-1") == 0 ? 0 : 1;
}

static void test_without_clone(void **state)
{
        assert_int_equal(child_run(run_without_clone, NULL), 0);
        assert_int_equal(count_groups("guestwire-"), 0);
}

/* In a group that is not the root of all, which must be left before limits can be given. */
static int run_in_group(void *userdata)
{
        World w = { 0 };
        SpawnSettings settings = { .fds = { -EBADF, -EBADF, -EBADF }, .limits.tasks_max = 5 };
        char text[256];

        write_text(ROOT "/service/cgroup.procs", "0");
        if (sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        /* Not before it is asked for. */
        read_text("/proc/self/cgroup", text, sizeof(text));
        assert_string_equal(text, "0::/service\n");
        start_shell(&w, &settings, "exit 4");
        run_until_ended(&w, 1);
        assert_int_equal(w.end.status, 4);
        read_text("/proc/self/cgroup", text, sizeof(text));
        assert_string_equal(text, "0::/service/guestwire-1/agent\n");
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        read_text("/proc/self/cgroup", text, sizeof(text));
        assert_string_equal(text, "0::/service\n");
        return 0;
}

static void test_leaves_its_group(void **state)
{
        write_text(ROOT "/cgroup.subtree_control", "+memory +pids +cpu");
        assert_int_equal(mkdir(ROOT "/service", 0755), 0);
        assert_int_equal(child_run(run_in_group, NULL), 0);
        assert_int_equal(count_groups("guestwire-"), 0);
        assert_int_equal(rmdir(ROOT "/service"), 0);
}

/* Somebody else is in our group: he is left alone, and limits cannot be had. */
static int run_in_shared_group(void *userdata)
{
        World w = { 0 };
        SpawnSettings settings = { .fds = { -EBADF, -EBADF, -EBADF }, .limits.tasks_max = 5 };
        static const char *const argv[] = { "/bin/true", NULL };
        Spawn *p;

        write_text(ROOT "/service/cgroup.procs", "0");
        if (sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        settings.argv = (char *const *)argv;
        assert_int_equal(spawn_start(w.spawner, &settings, on_end, &w, &p), -EOPNOTSUPP);
        settings.limits.tasks_max = 0;
        settings.kill_timeout = LONG;
        assert_int_equal(spawn_start(w.spawner, &settings, on_end, &w, &p), 0);
        run_until_ended(&w, 1);
        assert_int_equal(w.end.status, 0);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        return 0;
}

static void test_shared_group(void **state)
{
        char text[32];
        pid_t pid;

        assert_int_equal(mkdir(ROOT "/service", 0755), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        (void)pause();
        (void)snprintf(text, sizeof(text), "%d", (int)pid);
        write_text(ROOT "/service/cgroup.procs", text);
        assert_int_equal(child_run(run_in_shared_group, NULL), 0);
        assert_int_equal(count_groups("guestwire-"), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(rmdir(ROOT "/service"), 0);
}

/* A daemon that was killed has left a program. */
static int run_and_die(void *userdata)
{
        World w = { 0 };
        SpawnSettings settings = { .fds = { -EBADF, *(int *)userdata, -EBADF } };

        if (sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        start_shell(&w, &settings, "trap '' TERM; echo $$; while :; do sleep 1000; done");
        (void)kill(getpid(), SIGKILL);
        return 1;
}

/* What flock() fails with, and how often it was asked; 0: it does what it does. */
static int flock_error;
static unsigned n_flocks;

int flock(int fd, int operation)
{
        n_flocks++;
        if (flock_error == 0)
                return (int)syscall(SYS_flock, fd, operation);
        errno = flock_error;
        return -1;
}

/* As a policy of the system's may have it: one attempt, of which nothing is left. */
static void test_a_lock_that_is_refused(void **state)
{
        World w = { 0 };

        n_flocks = 0;
        flock_error = EACCES;
        assert_true(sd_event_new(&w.event) >= 0);
        assert_int_equal(spawner_new(w.event, &w.spawner), 0);
        assert_int_equal(n_flocks, 1);
        flock_error = 0;
        assert_int_equal(count_groups("guestwire-"), 0);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
}

static void test_leftovers(void **state)
{
        World w = { 0 };
        int fds[2];
        pid_t pid;

        /* What it leaves is reaped here, as by the PID 1 of a system. */
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(child_run(run_and_die, &fds[1]), 128);
        w.out = fds[0];
        pid = read_pid(&w);
        assert_int_equal(kill(pid, 0), 0);
        assert_int_equal(count_groups("guestwire-1"), 1);

        assert_true(sd_event_new(&w.event) >= 0);
        assert_int_equal(spawner_new(w.event, &w.spawner), 0);
        assert_int_equal(count_groups("guestwire-2"), 1);
        while (spawner_count(w.spawner) > 0)
                turn(&w);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        assert_gone(pid);
        assert_int_equal(count_groups("guestwire-1"), 0);
        /* Another, which lives, is not one. */
        assert_int_equal(count_groups("guestwire-2"), 1);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        assert_int_equal(count_groups("guestwire-"), 0);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

#define GROUPS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_groups, teardown_groups)

int main(void)
{
        const struct CMUnitTest reading[] = {
                cmocka_unit_test(test_own_group),
                cmocka_unit_test(test_no_own_group),
        };
        const struct CMUnitTest making[] = {
                GROUPS_TEST(test_each_has_its_own),
                GROUPS_TEST(test_usage_is_of_all),
                GROUPS_TEST(test_memory_limit),
                GROUPS_TEST(test_fork_bomb),
                GROUPS_TEST(test_cpu_weight),
                GROUPS_TEST(test_weight_out_of_range),
                GROUPS_TEST(test_groups_below),
                GROUPS_TEST(test_could_not_be_executed),
                cmocka_unit_test(test_without_clone),
                cmocka_unit_test(test_leaves_its_group),
                cmocka_unit_test(test_shared_group),
                cmocka_unit_test(test_leftovers),
                cmocka_unit_test(test_a_lock_that_is_refused),
        };

        if (getenv("GUESTWIRE_TEST_CGROUP"))
                return cmocka_run_group_tests(making, NULL, NULL);
        return cmocka_run_group_tests(reading, NULL, NULL);
}
