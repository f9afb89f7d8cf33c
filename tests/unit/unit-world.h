/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the tests of units have around them, besides what all tests of programs have: a bus of
 * their own with a systemd of their own (tests/lib/fake-systemd.c). With GUESTWIRE_TEST_SYSTEMD
 * set it is the real one, which must be PID 1.
 */
#include "tests/unit/spawn-world.h"

#include <limits.h>

#include "proc/launch.h"
#include "tests/unit/bus-world.h"

static pid_t systemd_pid;

static inline _unused_ bool with_real_systemd(void)
{
        return getenv("GUESTWIRE_TEST_SYSTEMD") != NULL;
}

static inline _unused_ void start_systemd(const char *fault)
{
        char own[PATH_MAX], command[PATH_MAX + 128];
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

        assert_true(n > 0);
        own[n] = '\0';
        *strrchr(own, '/') = '\0';
        (void)snprintf(command, sizeof(command),
                       "setsid %s/../lib/fake-systemd %s </dev/null 2>&1 & exit 0", own, fault);
        systemd_pid = run_daemon(command);
        assert_true(systemd_pid > 1);
}

static inline _unused_ int setup_units_with(void **state, const char *fault)
{
        (void)snprintf(bus_folder, sizeof(bus_folder), "/tmp/guestwire-bus-XXXXXX");
        assert_non_null(mkdtemp(bus_folder));
        if (!with_real_systemd()) {
                start_bus();
                if (bus_pid > 0)
                        start_systemd(fault);
        }
        return setup(state);
}

static inline _unused_ int setup_units(void **state)
{
        return setup_units_with(state, "");
}

static inline _unused_ int teardown_units(void **state)
{
        char command[128];
        int r = teardown(state);

        end_daemon(&systemd_pid);
        end_daemon(&bus_pid);
        (void)snprintf(command, sizeof(command), "rm -rf %s", bus_folder);
        assert_int_equal(system(command), 0);
        return r;
}

#define needs_units()                                            \
        do {                                                     \
                if (geteuid() != 0)                              \
                        cannot_run("units are root's to start"); \
                if (!with_real_systemd() && bus_pid <= 0)        \
                        cannot_run("dbus-daemon is missing");    \
        } while (0)

static inline _unused_ SpawnSettings in_unit(const World *w)
{
        SpawnSettings s = to_output(w);

        s.scope = SCOPE_UNIT;
        s.identity = "test";
        return s;
}

#define UNIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup_units, teardown_units)

/* The test is the launcher, too. */
#define UNIT_MAIN(tests)                                              \
        int main(int argc, char **argv)                               \
        {                                                             \
                if (argc == 2 && strcmp(argv[1], LAUNCH_OPTION) == 0) \
                        return launch_main();                         \
                return cmocka_run_group_tests((tests), NULL, NULL);   \
        }
