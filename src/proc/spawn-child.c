/* SPDX-License-Identifier: MIT */

/*
 * Between the making of a child and its exec. It may run in our memory, beside us: nothing here
 * allocates, logs, takes a lock, writes what is not its own or calls what might; see bare.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proc/bare.h"
#include "proc/spawn-internal.h"

/*
 * The soft limit of descriptors that programs are given, as systemd does: who still uses select()
 * must not get larger numbers, and who wants more can raise it up to the hard limit. The daemon has
 * raised its own.
 */
#define NOFILE_SOFT 1024U

static _Noreturn void fail(const SpawnJob *job, SpawnStep step, long error)
{
        job->area->report.step = step;
        job->area->report.error = (int)-error;
        for (;;)
                (void)bare_call(SYS_exit_group, 127);
}

/* nptl(7): SIGCANCEL and SIGSETXID. */
#define SIGNAL_OF_GLIBC_FIRST 32
#define SIGNAL_OF_GLIBC_LAST 33

/* To the kernel all zeros are SIG_DFL, with no flags and nothing masked. */
static void reset_signal(int number)
{
        static const unsigned long zeros[16];

        (void)bare_call(SYS_rt_sigaction, number, zeros, NULL, _NSIG / 8);
}

/* An exec resets what is handled, but not what is ignored. */
static void reset_signals(const SpawnJob *job)
{
        for (size_t i = 0; i < job->spawner->n_ignored; i++)
                reset_signal(job->spawner->ignored[i]);
        /* Those that glibc keeps to itself and does not tell of; whoever started the daemon may
         * have left them ignored. */
        for (int i = SIGNAL_OF_GLIBC_FIRST; i <= SIGNAL_OF_GLIBC_LAST; i++)
                reset_signal(i);
}

/* What was sent since the child was made is delivered here. */
static void unblock_signals(void)
{
        static const unsigned long none[16];

        (void)bare_call(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, _NSIG / 8);
}

/* Nothing but 0, 1 and 2 goes on. Closed here and not by the exec, which may hang in a file system:
 * meanwhile no connection of the daemon's is to seem open to its peer. */
static void close_from(unsigned first)
{
        struct rlimit64 limit;

        if (bare_call(SYS_close_range, first, UINT_MAX, 0) == 0)
                return;
        /* Linux before 5.9. */
        if (bare_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
                return;
        for (rlim64_t fd = first; fd < limit.rlim_cur && fd < 65536; fd++)
                (void)bare_call(SYS_close, fd);
}

/* Out of the way of 0, 1 and 2, whatever they are now. */
static long move_up(long fd)
{
        return fd >= 0 && fd < 3 ? bare_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3) : fd;
}

/* The sign becomes 3, which is the one that stays until the exec. */
static long set_fds(const SpawnJob *job)
{
        const int *fds = job->settings.fds;
        long from[3], sign = move_up(job->sign), r;

        if (job->sign >= 0 && sign < 0)
                return sign;
        for (int i = 0; i < 3; i++) {
                from[i] = move_up(fds[i] >= 0 ? fds[i]
                                              : bare_call(SYS_openat, AT_FDCWD, "/dev/null",
                                                          O_RDWR | O_CLOEXEC));
                if (from[i] < 0)
                        return from[i];
        }
        for (int i = 0; i < 3; i++) {
                r = bare_call(SYS_dup3, from[i], i, 0);
                if (r < 0)
                        return r;
        }
        r = sign > 3 ? bare_call(SYS_dup3, sign, 3, O_CLOEXEC) : 0;
        return r < 0 ? r : 0;
}

/*
 * From root to another user the kernel takes the capabilities away by itself; from one user to
 * another, or with secure bits set, it does not. The inheritable ones are nobody's but root's.
 */
static long drop_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return bare_call(SYS_capset, &header, none);
}

/* On 32 bits the calls without a number are those of 16-bit ids. */
#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#define SETRESGID SYS_setresgid32
#define SETRESUID SYS_setresuid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESGID SYS_setresgid
#define SETRESUID SYS_setresuid
#endif

static void change_user(const SpawnJob *job)
{
        const SpawnSettings *s = &job->settings;
        long r;

        /* Who is not root already is who he is, with the groups that he has. */
        r = bare_call(SETGROUPS, s->n_groups, s->groups);
        if (r < 0 && !(job->same_user && r == -EPERM))
                fail(job, SPAWN_STEP_GROUPS, r);
        r = bare_call(SETRESGID, s->gid, s->gid, s->gid);
        if (r < 0)
                fail(job, SPAWN_STEP_GROUP, r);
        r = bare_call(SETRESUID, s->uid, s->uid, s->uid);
        if (r >= 0 && s->uid != 0)
                r = drop_capabilities();
        if (r < 0)
                fail(job, SPAWN_STEP_USER, r);
}

static void lower_nofile(void)
{
        struct rlimit64 limit;

        if (bare_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0 ||
            limit.rlim_cur <= NOFILE_SOFT)
                return;
        limit.rlim_cur = NOFILE_SOFT;
        (void)bare_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static long execute(const SpawnJob *job, const char *path)
{
        static char *const nothing[] = { NULL };
        const SpawnSettings *s = &job->settings;

        return bare_call(SYS_execve, path, s->argv, s->environment ? s->environment : nothing);
}

/* The first part of a search path and, after a slash, a name; what is left of the path, or NULL.
 * An empty part is the current directory. Too long a whole is an empty one, which is not there. */
static const char *join_next(char ret[static PATH_MAX], const char *search, const char *name)
{
        size_t n = 0;

        for (; *search && *search != ':'; search++)
                if (n < PATH_MAX)
                        ret[n++] = *search;
        if (n > 0 && n < PATH_MAX)
                ret[n++] = '/';
        for (; *name && n < PATH_MAX; name++)
                ret[n++] = *name;
        ret[n < PATH_MAX ? n : 0] = '\0';
        return *search ? search + 1 : NULL;
}

/* As execvp(3) does, but for a script that does not say whose it is. */
static long search_and_execute(const SpawnJob *job)
{
        const char *search = job->search;
        char path[PATH_MAX];
        long r, found = -ENOENT;

        while (search) {
                search = join_next(path, search, job->settings.argv[0]);
                r = execute(job, path);
                if (r == -EACCES)
                        found = r;
                else if (r != -ENOENT && r != -ENOTDIR && r != -ESTALE && r != -ENODEV &&
                         r != -ETIMEDOUT)
                        return r;
        }
        return found;
}

void spawn_child(void *data)
{
        const SpawnJob *job = data;
        const SpawnSettings *s = &job->settings;
        long r;

        reset_signals(job);
        (void)bare_call(SYS_setsid);
        /* The setting outlives the exec; see spawner.c for what it is good for. */
        if (!job->of_unit)
                (void)bare_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        r = set_fds(job);
        if (r >= 0 && s->terminal)
                r = bare_call(SYS_ioctl, 0, TIOCSCTTY, 0);
        if (r < 0)
                fail(job, SPAWN_STEP_FDS, r);
        close_from(job->sign >= 0 ? 4 : 3);
        lower_nofile();
        (void)bare_call(SYS_umask, S_IWGRP | S_IWOTH);
        if (s->change_user)
                change_user(job);
        /* As the user: what is closed to him stays closed. */
        r = bare_call(SYS_chdir, s->directory ? s->directory : "/");
        if (r < 0 && s->directory_optional)
                r = bare_call(SYS_chdir, "/");
        if (r < 0)
                fail(job, SPAWN_STEP_DIRECTORY, r);
        unblock_signals();
        r = job->search ? search_and_execute(job) : execute(job, s->argv[0]);
        fail(job, SPAWN_STEP_EXECUTE, r);
}
