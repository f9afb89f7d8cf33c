/* SPDX-License-Identifier: MIT */
#pragma once

/* A system bus of the test's own, and daemons on it; cmocka.h has been included. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/types.h>

#include "base/fd.h"
#include "base/macros.h"

static char bus_folder[64];
static pid_t bus_pid;

/* Daemons are not to be children of ours, who may reap all that we have. Each prints its pid first.
 */
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

/* In bus_folder, which is there. */
static inline _unused_ void start_bus_with(const char *limits)
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
                "receive_sender=\"*\"/></policy>%s</busconfig>\n",
                bus_folder, limits);
        assert_int_equal(fclose(f), 0);
        (void)snprintf(command, sizeof(command),
                       "dbus-daemon --config-file=%s/conf --fork --print-pid --nopidfile "
                       "2>/dev/null",
                       bus_folder);
        bus_pid = run_daemon(command);
        (void)snprintf(command, sizeof(command), "unix:path=%s/bus", bus_folder);
        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", command, 1), 0);
}

static inline _unused_ void start_bus(void)
{
        start_bus_with("");
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
