/* SPDX-License-Identifier: MIT */
#pragma once

/* For tests that want another user, or another kernel, than the one they run with. */

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/macros.h"

#define CHILD_NOBODY 65534U
/* What a child ends with where it could not be made what it should be. */
#define CHILD_CANNOT 77

/*
 * Ends a test that cannot run here: a failure where MUST_RUN says that everything must. Not
 * cmocka's skipping, which up to 1.1.5 is "not ok # SKIP" in TAP and so a failure everywhere.
 */
#define cannot_run(why)                                            \
        do {                                                       \
                const char *_must = getenv("MUST_RUN");            \
                if (_must && *_must && *_must != '0')              \
                        fail_msg("cannot run: %s", (why));         \
                print_message("# SKIP %s: %s\n", __func__, (why)); \
                return;                                            \
        } while (0)

/* Whether valgrind runs us, which knows only the system calls of its time. */
static inline _unused_ bool under_valgrind(void)
{
        const char *preload = getenv("LD_PRELOAD");

        return preload && strstr(preload, "vgpreload");
}

/* Runs f in a child and returns its exit status; 128 for one that was killed. */
static inline _unused_ int child_run(int (*f)(void *userdata), void *userdata)
{
        int status = 0;
        pid_t pid = fork();

        if (pid < 0)
                return CHILD_CANNOT;
        if (pid == 0)
                _exit(f(userdata));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return CHILD_CANNOT;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* In a child of root's: becomes an ordinary user for good. */
static inline _unused_ bool child_become_nobody(void)
{
        return setgroups(0, NULL) == 0 &&
               setresgid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY) == 0 &&
               setresuid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY) == 0;
}

/*
 * In a child: from here on system call `number` fails with `error` where the low half of its
 * first argument is `first`, or always where first is negative.
 */
static inline _unused_ bool child_deny(unsigned number, int64_t first, int error)
{
        const size_t argument = offsetof(struct seccomp_data, args[0]) +
                                (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0);
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)argument),
                BPF_JUMP(BPF_JMP | (first < 0 ? BPF_JGE : BPF_JEQ) | BPF_K,
                         first < 0 ? 0 : (uint32_t)first, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { .len = ELEMENTSOF(code), .filter = code };

        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
