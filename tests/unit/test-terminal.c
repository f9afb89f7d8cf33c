/* SPDX-License-Identifier: MIT */
#include "tests/unit/spawn-world.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "proc/terminal.h"

static void test_open(void **state)
{
        int master = -EBADF, slave = -EBADF;
        struct winsize size;
        struct termios modes;
        struct stat st;

        assert_int_equal(terminal_open(24, 80, geteuid(), getegid(), &master, &slave), 0);
        assert_true(isatty(slave));
        assert_int_equal(ioctl(slave, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, 24);
        assert_int_equal(size.ws_col, 80);
        assert_int_equal(tcgetattr(slave, &modes), 0);
        assert_true((modes.c_iflag & IUTF8) && (modes.c_lflag & ISIG) && (modes.c_lflag & ECHO));
        assert_true(fcntl(master, F_GETFL) & O_NONBLOCK);
        assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(master, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(slave, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fstat(slave, &st), 0);
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_mode & (S_IRWXO | S_IRGRP | S_IXGRP), 0);

        assert_int_equal(terminal_resize(master, 50, 132), 0);
        assert_int_equal(ioctl(slave, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, 50);
        assert_int_equal(size.ws_col, 132);
        assert_int_equal(terminal_resize(master, 65536, 80), -ERANGE);
        assert_int_equal(terminal_resize(slave, 1, 65536), -ERANGE);
        assert_int_equal(terminal_resize(-EBADF, 24, 80), -EBADF);
        fd_close(master);
        fd_close(slave);
}

static void test_out_of_range(void **state)
{
        size_t n = count_fds();
        int master = 5, slave = 6;

        assert_int_equal(terminal_open(70000, 80, geteuid(), getegid(), &master, &slave), -ERANGE);
        assert_int_equal(master, 5);
        assert_int_equal(slave, 6);
        assert_int_equal(count_fds(), n);
}

static void test_belongs_to_the_user(void **state)
{
        int master, slave;
        struct stat st;

        if (geteuid() != 0)
                cannot_run("only root can give a terminal away");
        assert_int_equal(terminal_open(0, 0, CHILD_NOBODY, CHILD_NOBODY, &master, &slave), 0);
        assert_int_equal(fstat(slave, &st), 0);
        assert_int_equal(st.st_uid, CHILD_NOBODY);
        /* Of the group that the mount says, or the user's own. */
        assert_true(st.st_gid != getegid());
        assert_int_equal(st.st_mode & 0757, 0600);
        fd_close(master);
        fd_close(slave);
}

/* Reads until the output has the text in it; nothing else wakes it but the terminal's end. */
static void read_until(int master, const char *text, char *got, size_t n)
{
        size_t length = strlen(got);

        while (!strstr(got, text)) {
                struct pollfd p = { .fd = master, .events = POLLIN };
                ssize_t r;

                assert_int_equal(poll(&p, 1, 60000), 1);
                r = read(master, got + length, n - 1 - length);
                assert_true(r > 0);
                length += (size_t)r;
                got[length] = '\0';
        }
}

/* It controls its program: signals by keys, sizes, and a shell with jobs. */
static void test_controls_a_program(void **state)
{
        World *w = *state;
        SpawnSettings settings = { .terminal = true };
        int master, slave;
        char got[8192] = "";
        ssize_t n;

        assert_int_equal(terminal_open(24, 80, geteuid(), getegid(), &master, &slave), 0);
        settings.fds[0] = settings.fds[1] = settings.fds[2] = slave;
        start_shell(w, &settings,
                    "trap 'echo size $(stty size)' WINCH; trap 'echo interrupted; exit 3' INT\n"
                    "test -r /dev/tty && tty; set -m; true & wait $!; echo ready\n"
                    "while :; do sleep 1000 & wait $!; done");
        fd_close(slave);
        read_until(master, "ready", got, sizeof(got));
        assert_non_null(strstr(got, "/dev/pts/"));
        assert_null(strstr(got, "can't access tty"));
        assert_int_equal(terminal_resize(master, 11, 22), 0);
        read_until(master, "size 11 22", got, sizeof(got));
        assert_int_equal(write(master, "\x03", 1), 1);
        read_until(master, "interrupted", got, sizeof(got));
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 3);
        run_until_alone(w);
        /* Nobody has the other end. */
        do
                n = read(master, got, sizeof(got));
        while (n > 0);
        assert_int_equal(n, -1);
        assert_int_equal(errno, EIO);
        fd_close(master);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_open),
                cmocka_unit_test(test_out_of_range),
                cmocka_unit_test(test_belongs_to_the_user),
                cmocka_unit_test_setup_teardown(test_controls_a_program, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
