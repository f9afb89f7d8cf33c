/* SPDX-License-Identifier: MIT */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/macros.h"

/* What ends us without asking. The rest is an event of the loop's, which ends as usual. */
static const int fatal_signals[] = {
        SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,  SIGSEGV,
        SIGALRM, SIGSYS, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ,
};

/* There is one terminal, and a signal handler has no other way to know of it. */
static struct {
        volatile sig_atomic_t active;
        int fd;
        struct termios before;
        struct termios raw;
} terminal;

/* A process in the background is stopped when it changes the terminal (tcsetattr(3)), unless it
 * blocks this signal. */
static void set_attributes(const struct termios *t)
{
        sigset_t set, old;

        sigemptyset(&set);
        sigaddset(&set, SIGTTOU);
        (void)sigprocmask(SIG_BLOCK, &set, &old);
        /* What has been written is shown first. */
        (void)tcsetattr(terminal.fd, TCSADRAIN, t);
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
}

void terminal_raw_end(void)
{
        if (!terminal.active)
                return;
        terminal.active = 0;
        set_attributes(&terminal.before);
}

void terminal_raw_again(void)
{
        if (terminal.active)
                set_attributes(&terminal.raw);
}

/* sigprocmask(2), tcsetattr(3) and raise(3) are fit for handlers (signal-safety(7)). */
static void on_fatal_signal(int signo)
{
        terminal_raw_end();
        /* SA_RESETHAND: this time it is fatal, once the handler returns. */
        (void)raise(signo);
}

static void guard(void)
{
        const struct sigaction act = { .sa_handler = on_fatal_signal,
                                       .sa_flags = (int)SA_RESETHAND };
        struct sigaction old;
        static bool done;

        if (done)
                return;
        done = true;
        (void)atexit(terminal_raw_end);
        for (size_t i = 0; i < ELEMENTSOF(fatal_signals); i++)
                /* A sanitizer's, or a wish of whoever started us. */
                if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
                        (void)sigaction(fatal_signals[i], &act, NULL);
}

int terminal_raw_begin(int fd)
{
        if (tcgetattr(fd, &terminal.before) < 0)
                return -errno;
        terminal.fd = fd;
        terminal.raw = terminal.before;
        cfmakeraw(&terminal.raw);
        guard();
        /* Not set_attributes(): in the background we wait until we are let to the front. */
        if (tcsetattr(fd, TCSADRAIN, &terminal.raw) < 0)
                return -errno;
        terminal.active = 1;
        return 0;
}

int terminal_get_size(const int *fds, unsigned n, unsigned *ret_rows, unsigned *ret_columns)
{
        struct winsize size;

        for (unsigned i = 0; i < n; i++) {
                if (fds[i] < 0 || ioctl(fds[i], TIOCGWINSZ, &size) < 0)
                        continue;
                *ret_rows = size.ws_row;
                *ret_columns = size.ws_col;
                return 0;
        }
        return -ENOTTY;
}
