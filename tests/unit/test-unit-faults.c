/* SPDX-License-Identifier: MIT */

/* Units where systemd does not want to, does not answer, or goes away. */
#include "tests/unit/unit-world.h"

#include <sys/epoll.h>
#include <sys/wait.h>

static int setup_refuse(void **state)
{
        return setup_units_with(state, "refuse");
}

static int setup_silent(void **state)
{
        return setup_units_with(state, "silent");
}

static int setup_broken(void **state)
{
        return setup_units_with(state, "setup");
}

static int setup_taken(void **state)
{
        return setup_units_with(state, "taken");
}

static int setup_vague(void **state)
{
        return setup_units_with(state, "vague");
}

static void start_true(World *w, char *const *properties)
{
        const char *const argv[] = { "/bin/true", NULL };
        SpawnSettings settings = in_unit(w);

        settings.properties = properties;
        start(w, &settings, argv);
}

static void assert_problem(World *w, int error, const char *part)
{
        run_until_ended(w, w->n_ended + 1);
        assert_int_equal(w->end.outcome, SPAWN_FAILED);
        assert_int_equal(w->end.error, error);
        if (!strstr(w->problem, part))
                fail_msg("\"%s\" is not in \"%s\"", part, w->problem);
}

static void test_refused(void **state)
{
        World *w = *state;

        needs_units();
        start_true(w, NULL);
        assert_problem(w, EACCES, "systemd does not start guestwire-test-1.service: Not today.");
        run_until_alone(w);
}

static void test_silent(void **state)
{
        World *w = *state;

        needs_units();
        start_true(w, NULL);
        assert_problem(w, ETIMEDOUT, "systemd does not answer");
        run_until_alone(w);
}

/* The unit is made, and fails on the way to the launcher. */
static void test_cannot_be_set_up(void **state)
{
        World *w = *state;

        needs_units();
        start_true(w, NULL);
        assert_problem(w, EIO, "systemd cannot set up guestwire-test-1.service: exit status 226");
        run_until_alone(w);
}

static void test_names_are_taken(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);

        needs_units();
        start_shell(w, &settings, "exit 5");
        run_until_ended(w, 1);
        assert_int_equal(w->end.status, 5);
        run_until_alone(w);
}

static void test_no_types(void **state)
{
        static char *properties[] = { (char *)"PrivateTmp=yes", NULL };
        World *w = *state;

        needs_units();
        start_true(w, properties);
        assert_problem(w, EIO, "systemd does not tell which properties it has");
        run_until_alone(w);
}

static void test_properties(void **state)
{
        static char *good[] = { (char *)"PrivateTmp=yes", (char *)"RuntimeMaxSec=1min",
                                (char *)"MemoryMax=50%", NULL };
        static char *unknown[] = { (char *)"PrivateTmp=yes", (char *)"PrivateTnp=yes", NULL };
        static char *wrong[] = { (char *)"PrivateTmp=maybe", NULL };
        static char *reserved[] = { (char *)"ExecStart=/bin/sh", NULL };
        World *w = *state;

        needs_units();
        start_true(w, unknown);
        assert_problem(w, EINVAL, "PrivateTnp=yes: systemd here does not know it");
        start_true(w, wrong);
        assert_problem(w, EINVAL, "PrivateTmp=maybe: is not a value of its type");
        start_true(w, reserved);
        assert_problem(w, EINVAL, "ExecStart=/bin/sh: is not for others to set");
        start_true(w, good);
        run_until_ended(w, 4);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 0);
        run_until_alone(w);
}

/* The bus goes while a program runs, and comes back: its end is known all the same. */
static void test_bus_is_lost(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];
        int fds[2];

        needs_units();
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        settings.fds[0] = fds[0];
        start_shell(w, &settings, "echo ready; read x; exit 6");
        read_line(w, line);
        end_daemon(&bus_pid);
        start_bus();
        /* Not before it is watched again, as it is when others can be started. */
        do {
                start_true(w, NULL);
                run_until_ended(w, w->n_ended + 1);
        } while (w->end.outcome == SPAWN_FAILED);
        assert_int_equal(w->end.status, 0);
        assert_int_equal(write(fds[1], "x\n", 2), 2);
        run_until_ended(w, w->n_ended + 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 6);
        run_until_alone(w);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

/* As SELinux makes it: each time that a unit is asked for, the connection is closed. */
static void test_bus_carries_no_descriptors(void **state)
{
        World *w = *state;

        needs_units();
        end_daemon(&bus_pid);
        start_bus_with("<limit name=\"max_message_unix_fds\">0</limit>");
        for (int i = 0; i < 100 && w->end.error != ECONNRESET; i++) {
                start_true(w, NULL);
                run_until_ended(w, w->n_ended + 1);
                assert_int_equal(w->end.outcome, SPAWN_FAILED);
        }
        assert_int_equal(w->end.error, ECONNRESET);
        assert_non_null(strstr(w->problem, "closes the connection when it is asked for"));
        run_until_alone(w);
}

/* Its unit is forgotten meanwhile: that is told, and not waited for. */
static void test_unit_is_lost(void **state)
{
        World *w = *state;
        SpawnSettings settings = in_unit(w);
        char line[256];

        needs_units();
        start_shell(w, &settings, "echo ready; sleep 1000");
        read_line(w, line);
        end_daemon(&systemd_pid);
        end_daemon(&bus_pid);
        start_bus();
        start_systemd("");
        assert_problem(w, EIO, "what became of guestwire-test-1.service is not known");
        run_until_alone(w);
}

static void test_no_bus(void **state)
{
        World *w = *state;

        needs_units();
        end_daemon(&bus_pid);
        start_true(w, NULL);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_FAILED);
        assert_non_null(strstr(w->problem, "cannot reach systemd over the system bus"));
        run_until_alone(w);
}

/* A daemon that was killed has left a unit: the next one stops it, and none of another's. */
static int run_and_die(void *userdata)
{
        World w = { .out = -EBADF };
        SpawnSettings settings = { .fds = { -EBADF, *(int *)userdata, -EBADF } };
        char line[256];
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0 || sd_event_new(&w.event) < 0 ||
            spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        settings.scope = SCOPE_UNIT;
        settings.identity = "left";
        start_shell(&w, &settings, "echo $$; sleep 1000 & wait");
        settings.fds[1] = fds[1];
        w.out = fds[0];
        start_shell(&w, &settings, "echo x");
        run_until_ended(&w, 1);
        read_line(&w, line);
        (void)kill(getpid(), SIGKILL);
        return 1;
}

/* One beside us, whose units are his. */
static int run_and_stay(void *userdata)
{
        World w = { .out = -EBADF };
        SpawnSettings settings = { .fds = { -EBADF, *(int *)userdata, -EBADF } };

        if (sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        settings.scope = SCOPE_UNIT;
        settings.identity = "stays";
        start_shell(&w, &settings, "echo $$; sleep 1000 & wait");
        for (;;)
                turn(&w);
}

static int on_left(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        *(bool *)userdata = true;
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void test_leftovers(void **state)
{
        World *w = *state;
        sd_event_source *source = NULL;
        bool gone = false;
        int pidfd;
        pid_t beside, stays, left;

        needs_units();
        pidfd = pidfd_open(getpid(), 0);
        if (pidfd < 0 && under_valgrind()) {
                print_message("# SKIP %s: this valgrind does not know pidfd_open\n", __func__);
                return;
        }
        assert_true(pidfd >= 0);
        fd_close(pidfd);
        /* It takes all children of ours for its own. */
        spawner_free(w->spawner);
        w->spawner = NULL;
        beside = fork();
        assert_true(beside >= 0);
        if (beside == 0)
                _exit(run_and_stay(&w->out_writer));
        stays = read_pid(w);
        assert_int_equal(child_run(run_and_die, &w->out_writer), 128);
        left = read_pid(w);
        assert_int_equal(kill(left, 0), 0);
        pidfd = pidfd_open(left, 0);
        assert_true(pidfd >= 0);
        assert_true(sd_event_add_io(w->event, &source, pidfd, EPOLLIN, on_left, &gone) >= 0);

        assert_int_equal(spawner_new(w->event, &w->spawner), 0);
        while (!gone)
                turn(w);
        sd_event_source_disable_unref(source);
        fd_close(pidfd);
        assert_int_equal(kill(stays, 0), 0);
        assert_int_equal(kill(beside, SIGKILL), 0);
        assert_int_equal(waitpid(beside, NULL, 0), beside);
}

#define FAULT_TEST(f, s) cmocka_unit_test_setup_teardown(f, s, teardown_units)

static const struct CMUnitTest tests[] = {
        FAULT_TEST(test_refused, setup_refuse),
        FAULT_TEST(test_silent, setup_silent),
        FAULT_TEST(test_cannot_be_set_up, setup_broken),
        FAULT_TEST(test_names_are_taken, setup_taken),
        FAULT_TEST(test_no_types, setup_vague),
        UNIT_TEST(test_properties),
        UNIT_TEST(test_bus_is_lost),
        UNIT_TEST(test_bus_carries_no_descriptors),
        UNIT_TEST(test_unit_is_lost),
        UNIT_TEST(test_no_bus),
        UNIT_TEST(test_leftovers),
};

UNIT_MAIN(tests)
