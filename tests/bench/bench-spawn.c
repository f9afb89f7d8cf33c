/* SPDX-License-Identifier: MIT */

/*
 * What a program costs that is started and waited for and nothing else: posix_spawn(3) and
 * waitpid(2), so many times.
 *
 *     bench-spawn COUNT PROGRAM     prints {"p50_ns": N}
 */

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define COUNT_MAX 100000

static uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static int run(char *program)
{
        char *const arguments[] = { program, NULL };
        int error, status;
        pid_t pid;

        error = posix_spawn(&pid, program, NULL, NULL, arguments, environ);
        if (error != 0)
                return -error;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

int main(int argc, char **argv)
{
        static uint64_t times[COUNT_MAX];
        long count = argc == 3 ? strtol(argv[1], NULL, 10) : 0;

        if (count < 1 || count > COUNT_MAX) {
                (void)fprintf(stderr, "usage: bench-spawn COUNT PROGRAM\n");
                return 2;
        }
        for (long i = 0; i < count; i++) {
                uint64_t begin = now_ns();
                int r = run(argv[2]);

                if (r < 0) {
                        (void)fprintf(stderr, "bench-spawn: %s: %s\n", argv[2], strerror(-r));
                        return 1;
                }
                times[i] = now_ns() - begin;
        }
        qsort(times, (size_t)count, sizeof(times[0]), compare);
        (void)printf("{\"p50_ns\": %" PRIu64 "}\n", times[count / 2]);
        return 0;
}
