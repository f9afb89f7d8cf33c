/* SPDX-License-Identifier: MIT */
#include "proc/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"

int terminal_resize(int master, unsigned rows, unsigned columns)
{
        struct winsize size = {
                .ws_row = (unsigned short)rows,
                .ws_col = (unsigned short)columns,
        };

        if (rows > USHRT_MAX || columns > USHRT_MAX)
                return -ERANGE;
        return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/*
 * The other end. By the ioctl it is the master's own, whatever is mounted at /dev/pts here; Linux
 * before 4.13 has only the path.
 */
static int open_slave(int master)
{
        char path[64];
        int fd, r;

        fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && (errno == EINVAL || errno == ENOTTY)) {
                r = ptsname_r(master, path, sizeof(path));
                if (r != 0)
                        return -r;
                fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        }
        return fd < 0 ? -errno : fd;
}

/*
 * A mount of devpts that is told to (gid=5) makes terminals of the group `tty`, which they keep,
 * so that wall(1) and write(1) work, which are of that group. Elsewhere nobody else gets at it.
 */
static int give_to(int slave, uid_t uid, gid_t gid)
{
        struct stat st;

        if (fstat(slave, &st) < 0)
                return -errno;
        if (st.st_gid != getegid())
                return st.st_uid != uid && fchown(slave, uid, (gid_t)-1) < 0 ? -errno : 0;
        if ((st.st_uid != uid || st.st_gid != gid) && fchown(slave, uid, gid) < 0)
                return -errno;
        return fchmod(slave, S_IRUSR | S_IWUSR) < 0 ? -errno : 0;
}

/* As the kernel makes it, but for the characters, of which it is to know how long they are: a
 * backspace takes away a whole one. */
static int set_modes(int slave)
{
        struct termios modes;

        if (tcgetattr(slave, &modes) < 0)
                return -errno;
        modes.c_iflag |= IUTF8;
        return tcsetattr(slave, TCSANOW, &modes) < 0 ? -errno : 0;
}

int terminal_open(unsigned rows, unsigned columns, uid_t uid, gid_t gid, int *ret_master,
                  int *ret_slave)
{
        _cleanup_close_ int master = -EBADF, slave = -EBADF;
        int r;

        master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (master < 0)
                return -errno;
        if (unlockpt(master) < 0)
                return -errno;
        slave = open_slave(master);
        if (slave < 0)
                return slave;
        r = give_to(slave, uid, gid);
        if (r >= 0)
                r = set_modes(slave);
        if (r >= 0)
                r = terminal_resize(master, rows, columns);
        if (r < 0)
                return r;
        *ret_master = TAKE_FD(master);
        *ret_slave = TAKE_FD(slave);
        return 0;
}
