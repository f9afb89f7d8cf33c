/* SPDX-License-Identifier: MIT */
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "proc/spawn-internal.h"
#include "proc/unit.h"

uint64_t spawn_now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
        return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static void spawn_close_sign(Spawn *p)
{
        p->sign_source = sd_event_source_disable_unref(p->sign_source);
        p->sign = fd_close(p->sign);
}

/* Also a child's end closes it. One that failed has said so before; one that is to end may have
 * been ended in its exec. Their end tells. */
static int spawn_on_sign(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Spawn *p = userdata;
        bool executed;

        spawn_close_sign(p);
        if (!p->spawner)
                return 0;
        executed = p->unit ? unit_is_executed(p->unit)
                           : p->job->area->report.error == 0 && p->kill_at == 0;
        if (executed)
                p->started(p, p->userdata);
        return 0;
}

int spawn_open_sign(Spawn *p, sd_event *event, SpawnStarted started, int *ret)
{
        int fds[2], r;

        if (!started)
                return 0;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        p->started = started;
        p->sign = fds[0];
        r = sd_event_add_io(event, &p->sign_source, p->sign, EPOLLIN, spawn_on_sign, p);
        if (r < 0) {
                fd_close(fds[1]);
                return r;
        }
        *ret = fds[1];
        return 0;
}

/* What its memory holds; the process, if there still is one, is left as it is, and with it the job
 * that it may still be at. */
Spawn *spawn_destroy(Spawn *p)
{
        if (!p)
                return NULL;
        spawn_close_sign(p);
        sd_event_source_disable_unref(p->source);
        fd_close(p->pidfd);
        list_remove(&p->link);
        free(p->unit_name);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Spawn, spawn_destroy)

/* The kernel counts for a process what its children have used once they are waited for; a control
 * group knows of all. The peak is without one that of the largest, and not below ours. */
static void read_usage(const Spawn *p, const struct rusage *usage, SpawnEnd *end)
{
        end->cpu = (uint64_t)usage->ru_utime.tv_sec * 1000000U + (uint64_t)usage->ru_utime.tv_usec +
                   (uint64_t)usage->ru_stime.tv_sec * 1000000U + (uint64_t)usage->ru_stime.tv_usec;
        end->memory_peak = (uint64_t)usage->ru_maxrss * 1024U;
        if (p->cgroup)
                cgroup_read_usage(p->cgroup, &end->cpu, &end->memory_peak);
}

/* The program's own process has ended and is reaped: its slot in the list is given up, the rest
 * of its tree is looked for, and its owner hears of it. May free p. */
static void spawn_ended(Spawn *p, const siginfo_t *info, const struct rusage *usage)
{
        _cleanup_free_ char *problem = NULL;
        Spawner *s = p->spawner;
        SpawnEnd end = { 0 };
        uint64_t now = spawn_now(), kill_at;

        spawn_close_sign(p);
        p->source = sd_event_source_disable_unref(p->source);
        p->pidfd = fd_close(p->pidfd);
        list_remove(&p->link);
        s->n_running--;
        p->spawner = NULL;
        kill_at = p->kill_at > 0 ? p->kill_at : add_saturated(now, p->kill_timeout);
        read_usage(p, usage, &end);
        if (p->cgroup)
                (void)cgroup_end(TAKE_PTR(p->cgroup), kill_at);
        spawner_look_for_rest(s, kill_at);

        end.duration = now - p->begun;
        if (p->job->area->report.error != 0) {
                end.outcome = SPAWN_FAILED;
                end.error = p->job->area->report.error;
                end.problem = problem = spawn_job_problem(p->job);
        } else {
                end.outcome = info->si_code == CLD_EXITED ? SPAWN_EXITED : SPAWN_SIGNALED;
                end.status = info->si_status;
        }
        p->job = spawn_job_free(p->job, s);
        if (p->ended)
                p->ended(p, &end, p->userdata);
        else
                (void)spawn_destroy(p);
}

static void spawn_reap(Spawn *p)
{
        struct rusage usage = { 0 };
        siginfo_t info = { 0 };

        /* The C library's has not the kernel's last argument. */
        if (syscall(SYS_waitid, P_PID, p->pid, &info, WEXITED | WNOHANG, &usage) < 0) {
                /* Reaped by somebody else: that cannot be, and must not become a busy loop. */
                if (errno == EINTR)
                        return;
                info.si_code = CLD_KILLED;
                info.si_status = SIGKILL;
        } else if (info.si_pid == 0) {
                return;
        }
        spawn_ended(p, &info, &usage);
}

static int spawn_on_pidfd(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        spawn_reap(userdata);
        return 0;
}

static int spawn_on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        spawn_reap(userdata);
        return 0;
}

static int spawn_watch(Spawn *p, const Spawner *s)
{
        /* Linux before 5.3, or under a tool that does not know of them: by SIGCHLD. */
        if (!s->has_pidfds)
                return sd_event_add_child(s->event, &p->source, p->pid, WEXITED, spawn_on_child, p);
        if (p->pidfd < 0) {
                p->pidfd = pidfd_open(p->pid, 0);
                if (p->pidfd < 0)
                        return -errno;
        }
        return sd_event_add_io(s->event, &p->source, p->pidfd, EPOLLIN, spawn_on_pidfd, p);
}

/* Only what is to be limited has to have one. */
static int spawn_make_cgroup(Spawn *p, const Spawner *s, const SpawnSettings *settings)
{
        const ProgramLimits *l = &settings->limits;
        bool limited = l->memory_max > 0 || l->tasks_max > 0 || l->cpu_weight > 0;
        int r = -EOPNOTSUPP;

        if (s->cgroups)
                r = cgroup_new(s->cgroups, settings->identity, l, &p->cgroup);
        if (r >= 0) {
                p->job->cgroup = cgroup_fd(p->cgroup);
                return 0;
        }
        if (limited)
                return r;
        if (s->cgroups)
                log_debug("a program goes without a control group: %s", strerror(-r));
        return 0;
}

int spawn_start(Spawner *s, const SpawnSettings *settings, SpawnFunction ended, void *userdata,
                Spawn **ret)
{
        _cleanup_(spawn_destroyp) Spawn *p = NULL;
        _cleanup_close_ int sign = -EBADF;
        int r;

        if (spawner_scope(s, settings->scope) == SCOPE_UNIT)
                return spawn_start_unit(s, settings, ended, userdata, ret);
        if (settings->properties && *settings->properties)
                return -EOPNOTSUPP;
        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        list_init(&p->link);
        p->pidfd = p->sign = -EBADF;
        p->ended = ended;
        p->userdata = userdata;
        p->kill_timeout = settings->kill_timeout;
        r = spawn_job_new(s, settings, &p->job);
        if (r < 0)
                return r;
        p->begun = spawn_now();
        r = spawn_make_cgroup(p, s, settings);
        if (r >= 0)
                r = spawn_open_sign(p, s->event, settings->started, &sign);
        p->job->sign = sign;
        if (r >= 0)
                r = spawn_job_start(p->job, s, &p->pid, &p->pidfd);
        if (r < 0) {
                p->job = spawn_job_free(p->job, s);
                if (p->cgroup)
                        (void)cgroup_end(TAKE_PTR(p->cgroup), p->begun);
                return r;
        }

        r = spawn_watch(p, s);
        if (r < 0) {
                /* It is ours and not reaped, so that the number is still its. It cannot have
                 * children yet, but for those of a program that was faster than we. */
                (void)kill(p->pid, SIGKILL);
                if (p->cgroup)
                        (void)cgroup_end(TAKE_PTR(p->cgroup), p->begun);
                spawner_look_for_rest(s, p->begun);
                return r;
        }
        p->spawner = s;
        list_append(&s->running, &p->link);
        s->n_running++;
        *ret = TAKE_PTR(p);
        return 0;
}

pid_t spawn_pid(const Spawn *p)
{
        return p->unit ? unit_pid(p->unit) : p->pid;
}

const char *spawn_unit(const Spawn *p)
{
        return p->unit ? unit_name(p->unit) : p->unit_name;
}

int spawn_signal(Spawn *p, int number)
{
        if (p->unit)
                return unit_signal(p->unit, number);
        if (!p->spawner)
                return -ESRCH;
        /* It is not reaped yet, so that the number is still its. */
        return kill(p->pid, number) < 0 ? -errno : 0;
}

void spawn_stop(Spawn *p)
{
        if (p->unit) {
                unit_stop(p->unit);
                return;
        }
        if (!p->spawner || p->kill_at > 0)
                return;
        p->kill_at = MAX_OF(add_saturated(spawn_now(), p->kill_timeout), UINT64_C(1));
        spawner_sweep_soon(p->spawner);
}

Spawn *spawn_free(Spawn *p)
{
        if (!p)
                return NULL;
        if (p->unit)
                spawn_forget_unit(p);
        if (!p->spawner)
                return spawn_destroy(p);
        p->ended = NULL;
        spawn_close_sign(p);
        spawn_stop(p);
        return NULL;
}

int spawn_own_path(char *ret, size_t size)
{
        static const char deleted[] = " (deleted)";
        ssize_t n = readlink("/proc/self/exe", ret, size - 1);

        if (n < 0)
                return -errno;
        ret[n] = '\0';
        if ((size_t)n > strlen(deleted) && strcmp(ret + n - strlen(deleted), deleted) == 0)
                ret[(size_t)n - strlen(deleted)] = '\0';
        return 0;
}
