/* SPDX-License-Identifier: MIT */
#include "proc/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

static void closedirp(DIR **d)
{
        if (*d)
                closedir(*d);
}

static int pid_list_add(PidList *l, pid_t pid)
{
        if (l->n == l->n_allocated) {
                size_t n = MAX_OF(l->n_allocated * 2, (size_t)64);
                pid_t *p = reallocarray(l->list, n, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                l->list = p;
                l->n_allocated = n;
        }
        l->list[l->n++] = pid;
        return 0;
}

void pid_list_done(PidList *l)
{
        free(l->list);
        *l = PID_LIST_NULL;
}

/* The name of a folder of /proc or of /proc/PID/task as a number; 0 where it is none. */
static pid_t number_of(const struct dirent *entry)
{
        char *end;
        long n;

        if (!isdigit((unsigned char)entry->d_name[0]))
                return 0;
        n = strtol(entry->d_name, &end, 10);
        return *end || n > INT32_MAX ? 0 : (pid_t)n;
}

int tree_read(pid_t pid, TreeProcess *ret)
{
        _cleanup_close_ int fd = -EBADF;
        unsigned long long started;
        char path[64], text[1024];
        int parent, group, session;
        const char *p;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';

        /* The name may hold anything, a parenthesis too; what follows the last one is numbers. */
        p = strrchr(text, ')');
        if (!p || sscanf(p + 1,
                         " %*c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                         "%*d %llu",
                         &parent, &group, &session, &started) != 4)
                return -EPROTO;
        *ret = (TreeProcess){
                .pid = pid,
                .parent = parent,
                .group = group,
                .session = session,
                .started = started,
        };
        return 0;
}

/* A thread's children. -ENOENT where the thread is gone, or where the kernel has no such file. */
static int add_thread(pid_t pid, pid_t thread, size_t max, PidList *to)
{
        _cleanup_close_ int fd = -EBADF;
        char path[64], text[4096];
        pid_t child = 0;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        while ((n = read(fd, text, sizeof(text))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        int r;

                        if (isdigit((unsigned char)text[i])) {
                                child = child * 10 + (text[i] - '0');
                                continue;
                        }
                        if (child > 0 && to->n < max) {
                                r = pid_list_add(to, child);
                                if (r < 0)
                                        return r;
                        }
                        child = 0;
                }
        /* -ESRCH: it ended meanwhile. */
        return n < 0 && errno != ESRCH ? -errno : 0;
}

/* -1: not known yet. */
static int lists_children = -1;

static bool kernel_lists_children(void)
{
        if (lists_children < 0)
                lists_children = access("/proc/thread-self/children", R_OK) == 0;
        return lists_children > 0;
}

void tree_set_lists_children(bool lists)
{
        lists_children = lists;
}

static int add_threads(pid_t pid, size_t max, PidList *to)
{
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *entry;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        d = opendir(path);
        if (!d)
                return errno == ENOENT || errno == ESRCH ? 0 : -errno;
        while ((entry = readdir(d))) {
                pid_t thread = number_of(entry);
                int r;

                if (thread == 0)
                        continue;
                r = add_thread(pid, thread, max, to);
                if (r < 0 && r != -ENOENT && r != -ESRCH)
                        return r;
        }
        return 0;
}

static int read_all(Tree *t)
{
        _cleanup_(closedirp) DIR *d = NULL;
        size_t n_allocated = 0;
        struct dirent *entry;

        d = opendir("/proc");
        if (!d)
                return -errno;
        while ((entry = readdir(d))) {
                pid_t pid = number_of(entry);

                if (t->n_all == n_allocated) {
                        size_t n = MAX_OF(n_allocated * 2, (size_t)256);
                        TreeProcess *p = reallocarray(t->all, n, sizeof(*p));

                        if (!p)
                                return -ENOMEM;
                        t->all = p;
                        n_allocated = n;
                }
                if (pid > 0 && tree_read(pid, &t->all[t->n_all]) >= 0)
                        t->n_all++;
        }
        return 0;
}

int tree_children(Tree *t, pid_t pid, size_t max, PidList *to)
{
        int r;

        if (kernel_lists_children())
                return add_threads(pid, max, to);
        if (!t->all) {
                r = read_all(t);
                if (r < 0) {
                        /* Half of them would be taken for all. */
                        tree_done(t);
                        return r;
                }
        }
        for (size_t i = 0; i < t->n_all && to->n < max; i++)
                if (t->all[i].parent == pid) {
                        r = pid_list_add(to, t->all[i].pid);
                        if (r < 0)
                                return r;
                }
        return 0;
}

void tree_done(Tree *t)
{
        free(t->all);
        *t = TREE_NULL;
}
