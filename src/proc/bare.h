/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * For a child that runs in our memory and beside us, until its exec: the way into it, which the C
 * library does not offer, and system calls that do not write `errno`, since that is ours. Both know
 * the machine. Elsewhere bare_clone() says -ENOSYS, and the calls are the C library's, for a child
 * that has a memory of its own.
 */
#if defined(__x86_64__) && defined(__LP64__)
#define BARE_X86_64 1
#elif defined(__aarch64__) && defined(__LP64__)
#define BARE_AARCH64 1
#endif

/* AddressSanitizer marks each frame of a stack in memory that such a child would share. */
#if defined(__SANITIZE_ADDRESS__)
#define BARE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BARE_SANITIZED 1
#endif
#endif

#if (defined(BARE_X86_64) || defined(BARE_AARCH64)) && !defined(BARE_SANITIZED)
#define BARE_CLONE 1
#else
#define BARE_CLONE 0
#endif

/* The result, or -errno. */
static inline long bare_syscall(long number, long a, long b, long c, long d, long e)
{
#if defined(BARE_X86_64)
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        long r;

        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                         : "rcx", "r11", "memory");
        return r;
#elif defined(BARE_AARCH64)
        register long x8 __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;
        register long x3 __asm__("x3") = d;
        register long x4 __asm__("x4") = e;

        __asm__ volatile("svc #0"
                         : "+r"(x0)
                         : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                         : "memory");
        return x0;
#else
        long r = syscall(number, a, b, c, d, e);

        return r < 0 ? -errno : r;
#endif
}

/*
 * A child that runs function(data), which must not return, on the stack named in args: clone3(2),
 * whose child would otherwise return here on a stack that has no frame to return from. The child's
 * pid, or -errno.
 */
static inline long bare_clone(struct clone_args *args, void (*function)(void *), void *data)
{
#if BARE_CLONE && defined(BARE_X86_64)
        register void (*f)(void *) __asm__("r12") = function;
        register void *p __asm__("r13") = data;
        long r;

        /* No frame pointer and no stack of ours: the child's frames end with this one. */
        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "xor %%ebp, %%ebp\n\t"
                         "mov %[data], %%rdi\n\t"
                         "call *%[function]\n\t"
                         "ud2\n"
                         "1:"
                         : "=a"(r)
                         : "a"((long)SYS_clone3), "D"(args),
                           "S"(sizeof(*args)), [function] "r"(f), [data] "r"(p)
                         : "rcx", "r11", "memory");
        return r;
#elif BARE_CLONE && defined(BARE_AARCH64)
        register long x8 __asm__("x8") = SYS_clone3;
        register long x0 __asm__("x0") = (long)args;
        register long x1 __asm__("x1") = sizeof(*args);
        register void (*f)(void *) __asm__("x2") = function;
        register void *p __asm__("x3") = data;

        __asm__ volatile("svc #0\n\t"
                         "cbnz x0, 1f\n\t"
                         "mov x29, #0\n\t"
                         "mov x0, %[data]\n\t"
                         "blr %[function]\n\t"
                         "brk #1\n"
                         "1:"
                         : "+r"(x0)
                         : "r"(x8), "r"(x1), [function] "r"(f), [data] "r"(p)
                         : "memory");
        return x0;
#else
        return -ENOSYS;
#endif
}

/* bare_call(NUMBER, ARGUMENTS…): of any number and type, as syscall(2) takes them. */
#define BARE_CALL_(number, a, b, c, d, e, ...) \
        bare_syscall((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define bare_call(...) BARE_CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
