/* SPDX-License-Identifier: MIT */

/* Programs as units of systemd's: what every program is promised, wherever it runs. */
#include "tests/unit/unit-world.h"

static void test_ends(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        assert_int_equal(spawner_scope(w->spawner, SCOPE_AUTO), SCOPE_UNIT);
        start_shell(w, &settings, "echo hello; exit 3");
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 3);
        assert_true(w->end.cpu > 0 && w->end.cpu != UINT64_MAX);
        start_shell(w, &settings, "kill -USR2 $$");
        run_until_ended(w, 2);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGUSR2);
        run_until_alone(w);
        assert_string_equal(output(w), "hello\n");
}

/* Not a byte passes the rules by which systemd reads command lines. */
static void test_arguments_are_exact(void **state)
{
        static const char *const arguments[] = {
                "/usr/bin/printf", "%s|", "",          " ",     "a b",  "\n",  "$HOME", "${HOME}",
                "%n%i%%",          ";",   "\"quoted'", "\\x41", "\xff", "-@+", "@",     NULL,
        };
        static char *environment[] = { (char *)"A=1\n2", (char *)"B=%n $A \"", NULL };
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        const char *const env[] = { "/usr/bin/env", "-0", NULL };

        needs_units();
        start(w, &settings, arguments);
        run_until_ended(w, 1);
        settings.environment = environment;
        start(w, &settings, env);
        run_until_ended(w, 2);
        (void)output(w);
        assert_int_equal(w->n_output, strlen(w->output) + 1 + strlen("B=%n $A \"") + 1);
        assert_string_equal(w->output,
                            "| |a b|\n|$HOME|${HOME}|%n%i%%|;|\"quoted'|\\x41|\xff|-@+|@|"
                            "A=1\n2");
        assert_string_equal(w->output + strlen(w->output) + 1, "B=%n $A \"");
        run_until_alone(w);
}

/* More than a message or a socket's buffer takes. */
static void test_large_arguments(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        const char *argv[20] = { "/bin/sh", "-c", "echo ${#1} ${#16}", "sh" };
        char line[256];
        char *large = malloc(100001);

        needs_units();
        assert_non_null(large);
        memset(large, 'x', 100000);
        large[100000] = '\0';
        for (size_t i = 4; i < 19; i++)
                argv[i] = large;
        argv[19] = NULL;
        start(w, &settings, argv);
        run_until_ended(w, 1);
        read_line(w, line);
        assert_string_equal(line, "100000 0");
        run_until_alone(w);
        free(large);
}

static void assert_fails(World *w, const SpawnSettings *settings, const char *program, int error,
                         const char *problem)
{
        const char *const argv[] = { program, NULL };
        unsigned n = w->n_ended;

        start(w, settings, argv);
        run_until_ended(w, n + 1);
        assert_int_equal(w->end.outcome, SPAWN_FAILED);
        assert_int_equal(w->end.error, error);
        assert_string_equal(w->problem, problem);
}

/* In the same words as for a child of our own. */
static void test_failures_name_what(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        assert_fails(w, &settings, "/no/such", ENOENT,
                     "cannot execute /no/such: No such file or directory");
        assert_fails(w, &settings, "/etc/passwd", EACCES,
                     "cannot execute /etc/passwd: Permission denied");
        settings.search_path = true;
        assert_fails(w, &settings, "no-such-program", ENOENT,
                     "cannot execute no-such-program: No such file or directory");
        settings.directory = "/no/folder";
        assert_fails(w, &settings, "/bin/true", ENOENT,
                     "cannot change to directory /no/folder: No such file or directory");
        run_until_alone(w);
}

/* By the launcher, whose own exec is not what is meant. */
static void test_start_is_told(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        check_starts(w, &settings);
}

static void test_as_a_user(void **state)
{
        static const gid_t groups[] = { 1234, 4321 };
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        settings.change_user = true;
        settings.uid = settings.gid = CHILD_NOBODY;
        settings.groups = groups;
        settings.n_groups = ELEMENTSOF(groups);
        settings.directory = "/root/nowhere";
        settings.directory_optional = true;
        start_shell(
                w, &settings,
                "echo $(id -u; id -g; id -G; pwd; umask; ulimit -Sn; grep CapEff /proc/$$/status)");
        run_until_ended(w, 1);
        run_until_alone(w);
        assert_string_equal(output(w), "65534 65534 65534 1234 4321 / 0022 1024 "
                                       "CapEff: 0000000000000000\n");
}

/* Nothing of systemd's or ours goes on: descriptors, ignored signals, variables. */
static void test_is_clean(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        start_shell(w, &settings,
                    "cd /proc/self/fd; echo $(ls | wc -w);"
                    "env | grep -vE '^(PATH|PWD|OLDPWD|_|SHLVL)=';"
                    "exec grep -E 'Sig(Ign|Blk)' /proc/self/status");
        run_until_ended(w, 1);
        run_until_alone(w);
        /* The three, and that of ls for the folder. */
        assert_string_equal(output(w), "4\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_names(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        Spawn *p;

        needs_units();
        settings.identity = "backup.start/x y";
        p = start_shell(w, &settings, "echo $$; read x");
        assert_non_null(strstr(spawn_unit(p), "guestwire-backup.start_x_y-"));
        assert_non_null(strstr(spawn_unit(p), ".service"));
        spawn_stop(p);
        run_until_ended(w, 1);
        run_until_alone(w);
}

static void test_stop(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];
        Spawn *p;

        needs_units();
        p = start_shell(w, &settings, "echo ready; sleep 1000 & wait");
        read_line(w, line);
        spawn_stop(p);
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGTERM);
        settings.kill_timeout = 50000;
        p = start_shell(w, &settings, "trap '' TERM; echo ready; while :; do sleep 1000; done");
        read_line(w, line);
        spawn_stop(p);
        run_until_ended(w, 2);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGKILL);
        run_until_alone(w);
}

/* Before systemd has said a word. */
static void test_stop_at_once(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        spawn_stop(start_shell(w, &settings, "sleep 1000"));
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGTERM);
        (void)spawn_free(start_shell(w, &settings, "sleep 1000"));
        run_until_alone(w);
        assert_int_equal(w->n_ended, 1);
}

static void test_signal(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];
        Spawn *p;
        int r;

        needs_units();
        p = start_shell(w, &settings,
                        "trap 'echo usr1; exit 7' USR1; echo $$; while :; do sleep 0.01; done");
        assert_int_equal(spawn_signal(p, SIGUSR1), -ESRCH);
        assert_int_equal(spawn_pid(p), 0);
        read_line(w, line);
        while (spawn_pid(p) == 0)
                turn(w);
        assert_int_equal(spawn_pid(p), atoi(line));
        while ((r = spawn_signal(p, SIGUSR1)) == -ESRCH)
                turn(w);
        assert_int_equal(r, 0);
        run_until_ended(w, 1);
        assert_int_equal(w->end.status, 7);
        run_until_alone(w);
        assert_string_equal(output(w), "usr1\n");
}

/* Its end is told though a child holds its output, and that child ends too. */
static void test_rest_is_ended(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];
        pid_t pid;

        needs_units();
        settings.kill_timeout = 50000;
        start_shell(w, &settings,
                    "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &"
                    "trap 'exit 4' USR1; while :; do sleep 0.01; done");
        read_line(w, line);
        pid = atoi(line);
        assert_int_equal(kill(getpgid(pid), SIGUSR1), 0);
        run_until_ended(w, 1);
        assert_int_equal(w->end.status, 4);
        run_until_alone(w);
        assert_gone(pid);
}

static void test_many(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        for (unsigned i = 0; i < 30; i++)
                start_shell(w, &settings, "echo x");
        run_until_ended(w, 30);
        assert_int_equal(w->end.status, 0);
        run_until_alone(w);
        assert_int_equal(strlen(output(w)), 60);
}

/* The Spawner's end is that of all units; who holds one may let it go later. */
static void test_end_of_all(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];
        pid_t pid;
        Spawn *p;

        needs_units();
        p = start_shell(w, &settings, "trap '' TERM; echo $$; while :; do sleep 1000; done");
        read_line(w, line);
        pid = atoi(line);
        w->spawner = spawner_free(w->spawner);
        assert_gone(pid);
        (void)spawn_free(p);
        assert_int_equal(w->n_ended, 0);
}

static void test_no_limits_or_properties_in_agent(void **state)
{
        static const char *const argv[] = { "/bin/true", NULL };
        static char *properties[] = { (char *)"PrivateTmp=yes", NULL };
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        Spawn *p = NULL;

        settings.argv = (char *const *)argv;
        settings.scope = SCOPE_AGENT;
        settings.properties = properties;
        assert_int_equal(spawn_start(w->spawner, &settings, on_end, w, &p), -EOPNOTSUPP);
        assert_null(p);
}

static const struct CMUnitTest tests[] = {
        UNIT_TEST(test_ends),
        UNIT_TEST(test_arguments_are_exact),
        UNIT_TEST(test_large_arguments),
        UNIT_TEST(test_failures_name_what),
        UNIT_TEST(test_start_is_told),
        UNIT_TEST(test_as_a_user),
        UNIT_TEST(test_is_clean),
        UNIT_TEST(test_names),
        UNIT_TEST(test_stop),
        UNIT_TEST(test_stop_at_once),
        UNIT_TEST(test_signal),
        UNIT_TEST(test_rest_is_ended),
        UNIT_TEST(test_many),
        UNIT_TEST(test_end_of_all),
        UNIT_TEST(test_no_limits_or_properties_in_agent),
};

UNIT_MAIN(tests)
