/* SPDX-License-Identifier: MIT */

/* What systemd is told of a unit, and what it tells. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "proc/unit-internal.h"

/* Who keeps it stands at the end: "guestwire exec [1234]". */
static int append_description(const Unit *u, sd_bus_message *m)
{
        _cleanup_free_ char *text = text_format("guestwire %s [%d]", u->identity, (int)getpid());

        return text ? sd_bus_message_append(m, "(sv)", "Description", "s", text) : -ENOMEM;
}

static bool process_is_keeper(const Units *s, pid_t pid)
{
        _cleanup_close_ int fd = -EBADF;
        char path[64], comm[32];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        /* /proc does not show processes of more privileges to a sandbox (ProtectProc=). */
        if (fd < 0)
                return errno != ENOENT || kill(pid, 0) == 0 || errno == EPERM;
        n = read(fd, comm, sizeof(comm) - 1);
        if (n <= 0)
                return n < 0 && errno != ESRCH;
        comm[n - 1] = '\0';
        return strcmp(comm, s->keeper) == 0;
}

bool unit_is_orphan(const Units *s, const char *description)
{
        const char *p = strrchr(description, '[');
        _cleanup_free_ char *digits = NULL;
        uint32_t pid;

        if (strncmp(description, "guestwire ", 10) != 0 || !p)
                return false;
        digits = strndup(p + 1, strcspn(p + 1, "]"));
        if (!digits || text_to_u32(digits, &pid) < 0 || pid == 0 || pid > INT32_MAX)
                return false;
        /* Our own number is that of one before us: this is asked before there are any of ours. */
        return (pid_t)pid == getpid() || !process_is_keeper(s, (pid_t)pid);
}

static int append_exec(const Unit *u, sd_bus_message *m)
{
        return sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, u->units->launcher, 2,
                                     "guestwired", LAUNCH_OPTION, 0);
}

/* 0 is to systemd what infinity is elsewhere. */
static uint64_t kill_timeout(const SpawnSettings *s)
{
        return MAX_OF(s->kill_timeout, UINT64_C(1));
}

static int append_limits(const ProgramLimits *l, sd_bus_message *m)
{
        int r = 0;

        /* As for a control group of our own; see cgroup.c. */
        if (l->memory_max > 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)", "MemoryMax", "t", l->memory_max,
                                          "MemorySwapMax", "t", UINT64_C(0), "OOMPolicy", "s",
                                          "kill");
        if (r >= 0 && l->tasks_max > 0)
                r = sd_bus_message_append(m, "(sv)", "TasksMax", "t", l->tasks_max);
        if (r >= 0 && l->cpu_weight > 0)
                r = sd_bus_message_append(m, "(sv)", "CPUWeight", "t", l->cpu_weight);
        return r;
}

static int append_own(const Unit *u, sd_bus_message *m)
{
        const SpawnSettings *s = &u->job->settings;
        int r;

        r = append_description(u, m);
        if (r >= 0)
                r = append_exec(u, m);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "Type", "s", "simple",
                                          "AddRef", "b", 1, "CollectMode", "s",
                                          "inactive-or-failed", "Slice", "s", UNIT_SLICE,
                                          "StandardInputFileDescriptor", "h", u->socket,
                                          "SyslogIdentifier", "s", u->identity);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "KillMode", "s", "control-group",
                                          "TimeoutStopUSec", "t", kill_timeout(s), "CPUAccounting",
                                          "b", 1, "MemoryAccounting", "b", 1);
        return r < 0 ? r : append_limits(&s->limits, m);
}

static int append_properties(const Unit *u, sd_bus_message *m, char **ret_problem)
{
        for (char **p = u->properties; p && *p; p++) {
                int r = unit_property_append(m, u->units->types, *p, ret_problem);

                if (r < 0)
                        return r;
        }
        return 0;
}

int unit_describe(const Unit *u, sd_bus_message *m, char **ret_problem)
{
        int r;

        /* "fail": what would have to end for it is not ended. */
        r = sd_bus_message_append(m, "ss", u->name, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_own(u, m);
        if (r >= 0)
                r = append_properties(u, m, ret_problem);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

static int read_state(UnitFacts *f, sd_bus_message *m)
{
        const char *state;
        int r;

        r = sd_bus_message_read(m, "v", "s", &state);
        if (r >= 0)
                f->inactive = strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0;
        return r;
}

static int read_job(UnitFacts *f, sd_bus_message *m)
{
        const char *path;

        return sd_bus_message_read(m, "v", "(uo)", &f->job, &path);
}

static int read_result(UnitFacts *f, sd_bus_message *m)
{
        const char *result;
        int r;

        r = sd_bus_message_read(m, "v", "s", &result);
        if (r >= 0)
                (void)snprintf(f->result, sizeof(f->result), "%s", result);
        return r;
}

static int read_fact(UnitFacts *f, const char *name, sd_bus_message *m)
{
        if (strcmp(name, "MainPID") == 0)
                return sd_bus_message_read(m, "v", "u", &f->pid);
        if (strcmp(name, "ExecMainCode") == 0)
                return sd_bus_message_read(m, "v", "i", &f->code);
        if (strcmp(name, "ExecMainStatus") == 0)
                return sd_bus_message_read(m, "v", "i", &f->status);
        if (strcmp(name, "CPUUsageNSec") == 0) {
                uint64_t nsec;
                int r = sd_bus_message_read(m, "v", "t", &nsec);

                if (r >= 0 && nsec != UINT64_MAX)
                        f->cpu = nsec / 1000U;
                return r;
        }
        /* systemd 255 and later. */
        if (strcmp(name, "MemoryPeak") == 0)
                return sd_bus_message_read(m, "v", "t", &f->memory_peak);
        if (strcmp(name, "ActiveState") == 0)
                return read_state(f, m);
        if (strcmp(name, "Job") == 0)
                return read_job(f, m);
        if (strcmp(name, "Result") == 0)
                return read_result(f, m);
        return sd_bus_message_skip(m, "v");
}

int unit_facts_read(UnitFacts *f, sd_bus_message *m)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_fact(f, name, m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
