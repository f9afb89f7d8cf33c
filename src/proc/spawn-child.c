/* SPDX-License-Identifier: MIT */

/*
 * Between fork and exec. Another thread of the daemon may have held any lock at the fork, so that
 * nothing here allocates, logs or takes one; credentials are changed by the bare system calls,
 * since the C library's would look for the threads that stayed behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/spawn-internal.h"

/*
 * The soft limit of descriptors that programs are given, as systemd does: who still uses select()
 * must not get larger numbers, and who wants more can raise it up to the hard limit. The daemon has
 * raised its own.
 */
#define NOFILE_SOFT 1024U

static _Noreturn void fail(SpawnReport *report, SpawnStep step, uint32_t number, const char *what)
{
        int error = errno;

        if (what)
                (void)strncat(report->what, what, sizeof(report->what) - 1);
        report->step = step;
        report->number = number;
        report->error = error;
        _exit(127);
}

/* nptl(7): SIGCANCEL and SIGSETXID. */
#define SIGNAL_OF_GLIBC_FIRST 32
#define SIGNAL_OF_GLIBC_LAST 33

/* An exec resets what is handled, but not what is ignored. */
static void reset_signals(const Spawner *s)
{
        static const unsigned long zeros[16];
        const struct sigaction by_default = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (size_t i = 0; i < s->n_ignored; i++)
                (void)sigaction(s->ignored[i], &by_default, NULL);
        /* Those that glibc keeps to itself its sigaction() refuses to touch; whoever started the
         * daemon may have left them ignored. To the kernel all zeros are SIG_DFL. */
        for (int i = SIGNAL_OF_GLIBC_FIRST; i <= SIGNAL_OF_GLIBC_LAST; i++)
                (void)syscall(SYS_rt_sigaction, i, zeros, NULL, _NSIG / 8);
        /* What was sent since the fork is delivered here. */
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing but 0, 1 and 2 goes on. Closed here and not by the exec, which may hang in a file system:
 * meanwhile no connection of the daemon's is to seem open to its peer. */
static void close_others(void)
{
        struct rlimit limit;

        if (close_range(3, UINT_MAX, 0) == 0)
                return;
        /* Linux before 5.9. */
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        for (rlim_t fd = 3; fd < limit.rlim_cur && fd < 65536; fd++)
                (void)close((int)fd);
}

static int set_fds(const int fds[3])
{
        int from[3];

        /* Out of the way of 0, 1 and 2, whatever they are now. */
        for (int i = 0; i < 3; i++) {
                from[i] = fds[i] >= 0 ? fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
                if (from[i] >= 0 && from[i] < 3)
                        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
                if (from[i] < 0)
                        return -1;
        }
        for (int i = 0; i < 3; i++)
                if (dup2(from[i], i) < 0)
                        return -1;
        return 0;
}

/*
 * From root to another user the kernel takes the capabilities away by itself; from one user to
 * another, or with secure bits set, it does not. The inheritable ones are nobody's but root's.
 */
static int drop_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return (int)syscall(SYS_capset, &header, none);
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

static void change_user(const SpawnSettings *settings, SpawnReport *report)
{
        bool same = settings->uid == geteuid() && settings->uid == getuid() &&
                    settings->gid == getegid() && settings->gid == getgid();

        /* Who is not root already is who he is, with the groups that he has. */
        if (syscall(SETGROUPS, settings->n_groups, settings->groups) < 0 &&
            !(same && errno == EPERM))
                fail(report, SPAWN_STEP_GROUPS, 0, NULL);
        if (syscall(SETRESGID, settings->gid, settings->gid, settings->gid) < 0)
                fail(report, SPAWN_STEP_GROUP, settings->gid, NULL);
        if (syscall(SETRESUID, settings->uid, settings->uid, settings->uid) < 0)
                fail(report, SPAWN_STEP_USER, settings->uid, NULL);
        if (settings->uid != 0 && drop_capabilities() < 0)
                fail(report, SPAWN_STEP_USER, settings->uid, NULL);
}

static void lower_nofile(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= NOFILE_SOFT)
                return;
        limit.rlim_cur = NOFILE_SOFT;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

_Noreturn void spawn_child(const Spawner *s, const SpawnSettings *settings, SpawnReport *report)
{
        static char *const nothing[] = { NULL };
        const char *directory = settings->directory ? settings->directory : "/";

        reset_signals(s);
        (void)setsid();
        /* The setting outlives the exec; see spawner.c for what it is good for. */
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (set_fds(settings->fds) < 0)
                fail(report, SPAWN_STEP_FDS, 0, NULL);
        close_others();
        lower_nofile();
        (void)umask(S_IWGRP | S_IWOTH);
        if (settings->change_user)
                change_user(settings, report);
        /* As the user: what is closed to him stays closed. */
        if (chdir(directory) < 0)
                fail(report, SPAWN_STEP_DIRECTORY, 0, directory);
        (void)execve(settings->argv[0], settings->argv,
                     settings->environment ? settings->environment : nothing);
        fail(report, SPAWN_STEP_EXECUTE, 0, settings->argv[0]);
}
