/* SPDX-License-Identifier: MIT */
#include "proc/cgroup-own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/text.h"

static void fclosep(FILE **f)
{
        if (*f)
                (void)fclose(*f);
}

/* A line without its end: 1; 0 at the end of the file; -errno. */
static int read_line(FILE *f, char **line, size_t *n_allocated)
{
        ssize_t n;

        errno = 0;
        n = getline(line, n_allocated, f);
        if (n < 0)
                return errno == ENOMEM ? -ENOMEM : ferror(f) ? -EIO : 0;
        if (n > 0 && (*line)[n - 1] == '\n')
                (*line)[n - 1] = '\0';
        return 1;
}

/* cgroups(7): the line of version 2 is "0::PATH". */
static int read_group(FILE *f, char **ret)
{
        _cleanup_free_ char *line = NULL;
        size_t n_allocated = 0;
        int r;

        while ((r = read_line(f, &line, &n_allocated)) > 0)
                if (strncmp(line, "0::/", 4) == 0) {
                        *ret = strdup(line + 3);
                        return *ret ? 0 : -ENOMEM;
                }
        return r < 0 ? r : -EOPNOTSUPP;
}

/* In place. proc(5): space, tab, newline and backslash are "\" and three octal digits. */
static void unescape(char *text)
{
        char *to = text;

        for (; *text; text++)
                if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
                    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
                        *to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
                        text += 3;
                } else
                        *to++ = *text;
        *to = '\0';
}

/* What of a path lies below a root: "/b" for "/a/b" and "/a"; NULL where it is not below. */
static const char *below(const char *path, const char *root)
{
        size_t n = strlen(root);

        if (strcmp(root, "/") == 0)
                return path;
        return strncmp(path, root, n) == 0 && (path[n] == '/' || !path[n]) ? path + n : NULL;
}

/* Whether a line of mountinfo is a mount in which the group can be seen; then the folder. */
static int match_mount(char *line, const char *group, char **ret)
{
        char *fields[5], *rest = line, *type;
        const char *tail;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                fields[i] = strsep(&rest, " ");
                if (!rest)
                        return 0;
        }
        type = strstr(rest, " - ");
        if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
                return 0;
        unescape(fields[3]);
        unescape(fields[4]);
        tail = below(group, fields[3]);
        if (!tail)
                return 0;
        *ret = text_format("%s%s", fields[4], tail);
        return *ret ? 1 : -ENOMEM;
}

int cgroup_own_path(FILE *cgroup, FILE *mountinfo, char **ret)
{
        _cleanup_free_ char *group = NULL, *line = NULL;
        size_t n_allocated = 0;
        int r;

        r = read_group(cgroup, &group);
        if (r < 0)
                return r;
        /* It is outside of what our namespace shows of the tree. */
        if (strncmp(group, "/..", 3) == 0 && (group[3] == '/' || !group[3]))
                return -EOPNOTSUPP;
        while ((r = read_line(mountinfo, &line, &n_allocated)) > 0) {
                r = match_mount(line, group, ret);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r < 0 ? r : -EOPNOTSUPP;
}

static bool is_delegated(int fd)
{
        /* systemd.resource-control(5), Delegate=; the second name is that of systemd before 251. */
        static const char *const names[] = { "user.delegate", "trusted.delegate" };
        char value[4];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (fgetxattr(fd, names[i], value, sizeof(value)) == 1 && value[0] == '1')
                        return true;
        return false;
}

int cgroup_own_open(void)
{
        _cleanup_(fclosep) FILE *cgroup = NULL, *mountinfo = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        cgroup = fopen("/proc/self/cgroup", "re");
        mountinfo = cgroup ? fopen("/proc/self/mountinfo", "re") : NULL;
        if (!mountinfo)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;
        r = cgroup_own_path(cgroup, mountinfo, &path);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;
        if (sd_booted() > 0 && !is_delegated(fd))
                return -EOPNOTSUPP;
        return TAKE_FD(fd);
}
