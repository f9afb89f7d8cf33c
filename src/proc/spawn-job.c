/* SPDX-License-Identifier: MIT */

/*
 * The making of a child. fork() copies the tables of our memory, only for exec to throw the copy
 * away: a fifth of what the start of a small program takes. vfork() copies nothing, and
 * holds us up until an exec that may hang in a file system. So the child runs in our memory
 * without our waiting for it: on a stack of its own, on a copy of what it is to do, and with
 * nothing of the C library's, whose state (errno, to begin with) is ours meanwhile.
 *
 * It has a memory of its own where it would otherwise put ours at risk:
 *
 *   - A child that becomes another user shuts that one's other processes out of the memory that it
 *     runs in, for that is the mark of a setuid program; but the mark stays, and is ours then.
 *   - Whoever is killed for being over a limit of memory takes along all that share his memory.
 *   - The kernel has no clone3(), or we do not know the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "proc/bare.h"
#include "proc/spawn-internal.h"

static SpawnArea *spawn_area_new(Spawner *s)
{
        SpawnArea *a = TAKE_PTR(s->spare_area);

        if (a) {
                a->report = (SpawnReport){ 0 };
                return a;
        }
        a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return a == MAP_FAILED ? NULL : a;
}

SpawnArea *spawn_area_free(SpawnArea *a)
{
        if (a)
                (void)munmap(a, sizeof(*a));
        return NULL;
}

/* A vector's pointers and its strings, one after the other. */
static size_t vector_length(char *const *vector, size_t *size)
{
        size_t n = 0;

        while (vector[n])
                *size += strlen(vector[n++]) + 1;
        return n;
}

static char *copy_string(char **to, const char *text)
{
        char *copy = *to;

        *to = stpcpy(copy, text) + 1;
        return copy;
}

static char *const *copy_vector(char ***slots, char **to, char *const *vector, size_t n)
{
        char **copy = *slots;

        for (size_t i = 0; i < n; i++)
                copy[i] = copy_string(to, vector[i]);
        copy[n] = NULL;
        *slots += n + 1;
        return copy;
}

static bool is_same_user(const SpawnSettings *settings)
{
        return settings->uid == geteuid() && settings->uid == getuid() &&
               settings->gid == getegid() && settings->gid == getgid();
}

static const char *find_search_path(char *const *environment)
{
        for (; *environment; environment++)
                if (strncmp(*environment, "PATH=", 5) == 0)
                        return *environment + 5;
        /* What execvp(3) takes then. */
        return "/bin:/usr/bin";
}

void spawn_job_settle(SpawnJob *job, bool search_path)
{
        job->same_user = is_same_user(&job->settings);
        if (search_path && !strchr(job->settings.argv[0], '/'))
                job->search = find_search_path(job->settings.environment);
}

int spawn_job_new(Spawner *s, const SpawnSettings *settings, SpawnJob **ret)
{
        static char *const nothing[] = { NULL };
        char *const *environment = settings->environment ? settings->environment : nothing;
        const char *directory = settings->directory ? settings->directory : "/";
        size_t size = strlen(directory) + 1, n_argv, n_environment, n_slots;
        SpawnJob *job;
        char **slots, *text;
        gid_t *groups;

        n_argv = vector_length(settings->argv, &size);
        n_environment = vector_length(environment, &size);
        n_slots = n_argv + 1 + n_environment + 1;
        job = malloc(sizeof(*job) + n_slots * sizeof(char *) + settings->n_groups * sizeof(gid_t) +
                     size);
        if (!job)
                return -ENOMEM;
        slots = (char **)(job + 1);
        groups = (gid_t *)(slots + n_slots);
        text = (char *)(groups + settings->n_groups);
        *job = (SpawnJob){
                .settings = *settings,
                .spawner = s,
                .area = spawn_area_new(s),
                .cgroup = -EBADF,
                .sign = -EBADF,
        };
        if (!job->area) {
                free(job);
                return -ENOMEM;
        }
        job->settings.argv = copy_vector(&slots, &text, settings->argv, n_argv);
        job->settings.environment = copy_vector(&slots, &text, environment, n_environment);
        job->settings.directory = copy_string(&text, directory);
        if (settings->n_groups > 0)
                memcpy(groups, settings->groups, settings->n_groups * sizeof(gid_t));
        job->settings.groups = groups;
        spawn_job_settle(job, settings->search_path);
        *ret = job;
        return 0;
}

SpawnJob *spawn_job_free(SpawnJob *job, Spawner *s)
{
        if (!job)
                return NULL;
        /* One is kept for the next program: it is a file to the kernel, made and unmade. */
        if (s->spare_area)
                (void)spawn_area_free(job->area);
        else
                s->spare_area = job->area;
        free(job);
        return NULL;
}

static bool shares_memory(const SpawnJob *job)
{
        const SpawnSettings *s = &job->settings;

        return BARE_CLONE && (!s->change_user || job->same_user) && s->limits.memory_max == 0;
}

/* -ENOSYS, among others, where the kernel is too old or somebody's filter does not have it. */
static long clone_child(SpawnJob *job, int *ret_pidfd)
{
        struct clone_args args = {
                /* What we handle the child must not, who may have our memory. */
                .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
                .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
                .exit_signal = SIGCHLD,
        };
        long r;

        if (job->cgroup >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)job->cgroup;
        }
        if (shares_memory(job)) {
                args.flags |= CLONE_VM;
                args.stack = (uint64_t)(uintptr_t)job->area->stack;
                args.stack_size = sizeof(job->area->stack);
                return bare_clone(&args, spawn_child, job);
        }
        r = bare_call(SYS_clone3, &args, sizeof(args));
        if (r == 0)
                spawn_child(job);
        return r;
}

/* In a child that has a memory of its own; Linux before 5.7 cannot do it at once. */
static void join_cgroup(const SpawnJob *job)
{
        int fd;

        if (job->cgroup < 0)
                return;
        fd = openat(job->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) < 0) {
                job->area->report.step = SPAWN_STEP_CGROUP;
                job->area->report.error = errno;
                _exit(127);
        }
}

static long fork_child(SpawnJob *job)
{
        sigset_t all, before;
        pid_t pid;
        int error;

        /* None is handled there before its end. */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = fork();
        error = errno;
        if (pid == 0) {
                join_cgroup(job);
                spawn_child(job);
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return pid < 0 ? -error : pid;
}

int spawn_job_start(SpawnJob *job, Spawner *s, pid_t *ret, int *ret_pidfd)
{
        int pidfd = -EBADF;
        long r = -ENOSYS;

        if (s->has_clone) {
                r = clone_child(job, &pidfd);
                s->has_clone = r != -ENOSYS && r != -EINVAL && r != -E2BIG && r != -EPERM;
        }
        if (!s->has_clone)
                r = fork_child(job);
        if (r < 0)
                return (int)r;
        *ret = (pid_t)r;
        *ret_pidfd = pidfd;
        return 0;
}

char *spawn_job_problem(const SpawnJob *job)
{
        const SpawnReport *report = &job->area->report;
        const SpawnSettings *s = &job->settings;
        const char *why = strerror(report->error), *what_to_do = "";

        /* Root that may not is held by the service's sandbox: see the unit. */
        if (report->error == EPERM && geteuid() == 0)
                what_to_do = "; the agent's own unit keeps it from that: use scope = unit, or see "
                             "SANDBOX in guestwired(8)";

        switch (report->step) {
        case SPAWN_STEP_EXECUTE:
                return text_format("cannot execute %s: %s", s->argv[0], why);
        case SPAWN_STEP_DIRECTORY:
                return text_format("cannot change to directory %s: %s", s->directory, why);
        case SPAWN_STEP_USER:
                return text_format("cannot become user %u: %s%s", (unsigned)s->uid, why,
                                   what_to_do);
        case SPAWN_STEP_GROUP:
                return text_format("cannot become group %u: %s%s", (unsigned)s->gid, why,
                                   what_to_do);
        case SPAWN_STEP_GROUPS:
                return text_format("cannot take the supplementary groups: %s%s", why, what_to_do);
        case SPAWN_STEP_CGROUP:
                return text_format("cannot enter a control group: %s", why);
        case SPAWN_STEP_FDS:
                return text_format("cannot set up standard input, output and error: %s", why);
        case SPAWN_STEP_NONE:
                break;
        }
        return text_format("cannot start: %s", why);
}
