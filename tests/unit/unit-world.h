/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the tests of units have around them, besides what all tests of programs have: a bus of
 * their own with a systemd of their own (tests/lib/fake-systemd.c). With GUESTWIRE_TEST_SYSTEMD
 * set it is the real one, which must be PID 1.
 */
#include "tests/unit/spawn-world.h"

#include <limits.h>
#include <poll.h>
#include <sys/pidfd.h>

#include "proc/launch.h"

static char bus_folder[64];
static pid_t bus_pid, systemd_pid;

static inline _unused_ bool with_real_systemd(void)
{
        return getenv("GUESTWIRE_TEST_SYSTEMD") != NULL;
}

/* Daemons are not to be children of ours, who reap all that we have. */
static inline _unused_ pid_t run_daemon(const char *command)
{
        int pid = 0;
        FILE *f;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
        f = popen(command, "re");
        assert_non_null(f);
        if (fscanf(f, "%d", &pid) != 1)
                pid = 0;
        (void)pclose(f);
        return pid;
}

static inline _unused_ void start_bus(void)
{
        char command[512];
        FILE *f;

        (void)snprintf(command, sizeof(command), "%s/conf", bus_folder);
        f = fopen(command, "we");
        assert_non_null(f);
        fprintf(f,
                "<busconfig><type>system</type><listen>unix:path=%s/bus</listen>"
                "<auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>"
                "<allow own=\"*\"/><allow send_destination=\"*\"/><allow "
                "receive_sender=\"*\"/></policy></busconfig>\n",
                bus_folder);
        assert_int_equal(fclose(f), 0);
        (void)snprintf(command, sizeof(command),
                       "dbus-daemon --config-file=%s/conf --fork --print-pid --nopidfile "
                       "2>/dev/null",
                       bus_folder);
        bus_pid = run_daemon(command);
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

/* Until nothing is left of it: it is nobody's child to be waited for. */
static inline _unused_ void end_daemon(pid_t *pid)
{
        struct pollfd p = { .events = POLLIN };

        if (*pid <= 0)
                return;
        p.fd = pidfd_open(*pid, 0);
        (void)kill(*pid, SIGTERM);
        if (p.fd >= 0)
                (void)poll(&p, 1, 10000);
        (void)kill(*pid, SIGKILL);
        (void)fd_close(p.fd);
        *pid = 0;
}

static inline _unused_ int setup_units_with(void **state, const char *fault)
{
        char address[128];

        (void)snprintf(bus_folder, sizeof(bus_folder), "/tmp/guestwire-bus-XXXXXX");
        assert_non_null(mkdtemp(bus_folder));
        if (!with_real_systemd()) {
                start_bus();
                (void)snprintf(address, sizeof(address), "unix:path=%s/bus", bus_folder);
                (void)setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
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
