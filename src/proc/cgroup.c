/* SPDX-License-Identifier: MIT */
#include "proc/cgroup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/cgroup-own.h"

#define BASE_PREFIX "guestwire-"
/* Processes of ours that share one group: more are a mistake, or somebody's game. */
#define BASES_MAX 1000U
/* What a program may have made below its own group is removed to this depth. */
#define DEPTH_MAX 64U
#define IDENTITY_MAX 64

typedef enum Controllers {
        CONTROLLER_MEMORY = 1 << 0,
        CONTROLLER_PIDS = 1 << 1,
        CONTROLLER_CPU = 1 << 2,
        CONTROLLERS_ALL = CONTROLLER_MEMORY | CONTROLLER_PIDS | CONTROLLER_CPU,
} Controllers;

struct Cgroups {
        int own;  /* that which we were found in */
        int base; /* locked for as long as we live: whose lock is free has left it behind */
        char base_name[32];
        int free;    /* the parent of groups without controllers */
        int limited; /* of those with them; negative until asked for */
        bool moved;  /* we are in base/agent */
        bool tried;  /* to get controllers */
        unsigned controllers;
        uint64_t n_made;
        ListLink ending;
        size_t n_ending;
};

struct Cgroup {
        ListLink link; /* in ending */
        Cgroups *cgroups;
        int parent; /* borrowed */
        int fd;
        bool has_memory;
        uint64_t kill_at;
        char name[IDENTITY_MAX + 32];
};

static int write_file(int folder, const char *name, const char *text)
{
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int write_number(int folder, const char *name, uint64_t number)
{
        char text[32];

        (void)snprintf(text, sizeof(text), "%" PRIu64, number);
        return write_file(folder, name, text);
}

/* At most n - 1 bytes, which all of these files fit in but the lists of processes. */
static int read_file(int folder, const char *name, char *ret, size_t n)
{
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        ssize_t got;

        if (fd < 0)
                return -errno;
        got = read(fd, ret, n - 1);
        if (got < 0)
                return -errno;
        ret[got] = '\0';
        return 0;
}

/* 0, also where it is there already. */
static int make_folder(int parent, const char *name, int *ret)
{
        int fd;

        if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

static void closedirp(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}

static DIR *open_folder(int parent, const char *name)
{
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);

        if (!d)
                (void)fd_close(fd);
        return d;
}

/* The next folder in one; NULL at its end. Files are what the kernel has to say. */
static const char *next_folder(DIR *d)
{
        struct dirent *entry;

        while ((entry = readdir(d)))
                if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
                    strcmp(entry->d_name, "..") != 0)
                        return entry->d_name;
        return NULL;
}

/* A group, and those that its program may have made in it. 0; -EBUSY while processes are there. */
static int remove_group(int parent, const char *name, unsigned depth)
{
        _cleanup_(closedirp) DIR *d = NULL;
        const char *below;

        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if (errno != EBUSY || depth == 0)
                return -errno;
        d = open_folder(parent, name);
        while (d && (below = next_folder(d)))
                (void)remove_group(dirfd(d), below, depth - 1);
        return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static void kill_listed(int folder)
{
        char text[4096];
        long pid = 0;
        ssize_t n;
        _cleanup_close_ int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);

        while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (isdigit((unsigned char)text[i])) {
                                pid = pid * 10 + (text[i] - '0');
                                continue;
                        }
                        /* 0 is one that our namespace does not see. */
                        if (pid > 1)
                                (void)kill((pid_t)pid, SIGKILL);
                        pid = 0;
                }
}

/* Linux before 5.14: who is frozen cannot fork, and dies all the same. */
static void kill_one_by_one(int folder, unsigned depth)
{
        _cleanup_(closedirp) DIR *d = open_folder(folder, ".");
        const char *below;

        (void)write_file(folder, "cgroup.freeze", "1");
        kill_listed(folder);
        while (depth > 0 && d && (below = next_folder(d))) {
                _cleanup_close_ int fd = openat(dirfd(d), below, O_PATH | O_DIRECTORY | O_CLOEXEC);

                if (fd >= 0)
                        kill_one_by_one(fd, depth - 1);
        }
}

static void kill_group(int folder)
{
        if (write_file(folder, "cgroup.kill", "1") < 0)
                kill_one_by_one(folder, DEPTH_MAX);
}

static Cgroup *cgroup_free(Cgroup *g)
{
        if (!g)
                return NULL;
        list_remove(&g->link);
        (void)fd_close(g->fd);
        free(g);
        return NULL;
}
DEFINE_CLEANUP(Cgroup, cgroup_free)

static void cgroup_append(Cgroup *g, uint64_t kill_at)
{
        g->kill_at = MIN_OF(kill_at, UINT64_MAX - 1);
        list_append(&g->cgroups->ending, &g->link);
        g->cgroups->n_ending++;
}

/* One of OURS/guestwire-*, if nobody holds it any more. */
static int take_leftover(Cgroups *c, const char *name)
{
        _cleanup_close_ int fd = -EBADF;
        Cgroup *g;

        fd = openat(c->own, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return 0;
        if (remove_group(c->own, name, DEPTH_MAX) == 0)
                return 0;
        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        list_init(&g->link);
        g->cgroups = c;
        g->parent = c->own;
        g->fd = TAKE_FD(fd);
        (void)snprintf(g->name, sizeof(g->name), "%s", name);
        log_notice("programs that an earlier guestwired has left are ended (%s)", name);
        cgroup_append(g, 0);
        return 0;
}

static bool is_base_name(const char *name)
{
        uint32_t number;

        return strncmp(name, BASE_PREFIX, strlen(BASE_PREFIX)) == 0 &&
               text_to_u32(name + strlen(BASE_PREFIX), &number) >= 0;
}

static int take_leftovers(Cgroups *c)
{
        _cleanup_(closedirp) DIR *d = open_folder(c->own, ".");
        const char *name;
        int r;

        if (!d)
                return -errno;
        while ((name = next_folder(d))) {
                if (!is_base_name(name))
                        continue;
                r = take_leftover(c, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What shows that nobody has left it behind. 0 or -errno. */
static int lock_base(Cgroups *c)
{
        c->base = openat(c->own, c->base_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (c->base < 0 || flock(c->base, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        return make_folder(c->base, "free", &c->free);
}

/* The first number that is free. Whoever looks for leftovers between the making and the lock takes
 * it for one, and removes it: then it is the next one's turn. What is refused is refused to all. */
static int make_base(Cgroups *c)
{
        int r;

        for (unsigned i = 1; i <= BASES_MAX; i++) {
                (void)snprintf(c->base_name, sizeof(c->base_name), BASE_PREFIX "%u", i);
                if (mkdirat(c->own, c->base_name, 0755) < 0) {
                        if (errno == EEXIST)
                                continue;
                        return -errno;
                }
                r = lock_base(c);
                if (r >= 0)
                        return 0;
                c->base = fd_close(c->base);
                /* kernfs says ENODEV of a folder that is just being removed. */
                if (r != -EWOULDBLOCK && r != -ENOENT && r != -ENODEV) {
                        (void)unlinkat(c->own, c->base_name, AT_REMOVEDIR);
                        return r;
                }
        }
        return -EEXIST;
}

int cgroups_new(Cgroups **ret)
{
        _cleanup_(cgroups_freep) Cgroups *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        list_init(&c->ending);
        c->base = c->free = c->limited = -EBADF;
        c->own = cgroup_own_open();
        if (c->own < 0)
                return c->own;
        r = make_base(c);
        /* An ordinary user's, or mounted read-only. */
        if (r == -EACCES || r == -EPERM || r == -EROFS)
                return -EOPNOTSUPP;
        if (r >= 0)
                r = take_leftovers(c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static bool has_word(const char *text, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += n)
                if ((p == text || p[-1] == ' ') && (!p[n] || isspace((unsigned char)p[n])))
                        return true;
        return false;
}

static const char *const controller_names[] = { "memory", "pids", "cpu" };

/* For the groups in a folder; each by itself, since one may be refused: cpu is, while there are
 * realtime processes. */
static void switch_controllers(int folder, char sign)
{
        char text[16];

        for (size_t i = 0; i < ELEMENTSOF(controller_names); i++) {
                (void)snprintf(text, sizeof(text), "%c%s", sign, controller_names[i]);
                (void)write_file(folder, "cgroup.subtree_control", text);
        }
}

static unsigned read_controllers(int folder, const char *file)
{
        unsigned mask = 0;
        char text[512];

        if (read_file(folder, file, text, sizeof(text)) < 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(controller_names); i++)
                mask |= has_word(text, controller_names[i]) ? 1U << i : 0;
        return mask;
}

/* Controllers for others has only who has no processes himself, but for the root of all. */
static int move_away(Cgroups *c)
{
        _cleanup_close_ int agent = -EBADF;
        int r;

        if (faccessat(c->own, "cgroup.type", F_OK, 0) < 0)
                return 0;
        r = make_folder(c->base, "agent", &agent);
        if (r >= 0)
                r = write_file(agent, "cgroup.procs", "0");
        c->moved = r >= 0;
        return r;
}

static void move_back(Cgroups *c)
{
        if (c->limited >= 0)
                (void)unlinkat(c->base, "limited", AT_REMOVEDIR);
        c->limited = fd_close(c->limited);
        if (c->base >= 0 && c->controllers != 0)
                switch_controllers(c->base, '-');
        if (c->moved) {
                switch_controllers(c->own, '-');
                (void)write_file(c->own, "cgroup.procs", "0");
                (void)unlinkat(c->base, "agent", AT_REMOVEDIR);
                c->moved = false;
        }
        c->controllers = 0;
}

static void get_controllers(Cgroups *c)
{
        int r;

        c->tried = true;
        if (read_controllers(c->own, "cgroup.controllers") == 0)
                return;
        r = move_away(c);
        if (r >= 0) {
                switch_controllers(c->own, '+');
                switch_controllers(c->base, '+');
                r = make_folder(c->base, "limited", &c->limited);
        }
        if (r >= 0) {
                switch_controllers(c->limited, '+');
                c->controllers = read_controllers(c->limited, "cgroup.subtree_control");
        }
        if (c->controllers == CONTROLLERS_ALL)
                return;
        log_notice("programs cannot be given all limits: the control group has other processes "
                   "in it, or has not all controllers");
        if (c->controllers == 0)
                move_back(c);
}

static unsigned controllers_for(const ProgramLimits *limits)
{
        return (limits->memory_max > 0 ? CONTROLLER_MEMORY : 0U) |
               (limits->tasks_max > 0 ? CONTROLLER_PIDS : 0U) |
               (limits->cpu_weight > 0 ? CONTROLLER_CPU : 0U);
}

static int set_limits(int folder, const ProgramLimits *limits)
{
        int r = 0;

        if (limits->memory_max > 0) {
                r = write_number(folder, "memory.max", limits->memory_max);
                /* What went to the swap would not count; and who is over the limit goes as a
                 * whole. Not every kernel has the files. */
                (void)write_file(folder, "memory.swap.max", "0");
                (void)write_file(folder, "memory.oom.group", "1");
        }
        if (r >= 0 && limits->tasks_max > 0)
                r = write_number(folder, "pids.max", limits->tasks_max);
        if (r >= 0 && limits->cpu_weight > 0)
                r = write_number(folder, "cpu.weight", limits->cpu_weight);
        return r;
}

/* What is a name to a file system and to whoever looks. */
static void name_group(Cgroup *g, const char *identity)
{
        char text[IDENTITY_MAX + 1];

        (void)snprintf(text, sizeof(text), "%s", identity ? identity : "program");
        for (char *p = text; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                        *p = '_';
        (void)snprintf(g->name, sizeof(g->name), "run-%s-%" PRIu64, text, ++g->cgroups->n_made);
}

int cgroup_new(Cgroups *c, const char *identity, const ProgramLimits *limits, Cgroup **ret)
{
        _cleanup_(cgroup_freep) Cgroup *g = NULL;
        unsigned wanted = controllers_for(limits);
        int r;

        if (wanted != 0 && !c->tried)
                get_controllers(c);
        if ((wanted & ~c->controllers) != 0)
                return -EOPNOTSUPP;
        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        list_init(&g->link);
        g->fd = -EBADF;
        g->cgroups = c;
        g->parent = wanted != 0 ? c->limited : c->free;
        g->has_memory = wanted != 0 && (c->controllers & CONTROLLER_MEMORY) != 0;
        name_group(g, identity);
        r = make_folder(g->parent, g->name, &g->fd);
        if (r >= 0)
                r = set_limits(g->fd, limits);
        if (r < 0) {
                (void)unlinkat(g->parent, g->name, AT_REMOVEDIR);
                return r;
        }
        *ret = TAKE_PTR(g);
        return 0;
}

int cgroup_fd(const Cgroup *g)
{
        return g->fd;
}

void cgroup_read_usage(const Cgroup *g, uint64_t *ret_cpu, uint64_t *ret_memory_peak)
{
        static const char key[] = "usage_usec ";
        char text[1024];
        uint64_t value;
        char *p;

        if (read_file(g->fd, "cpu.stat", text, sizeof(text)) >= 0 && (p = strstr(text, key))) {
                p += strlen(key);
                p[strcspn(p, "\n")] = '\0';
                if (text_to_u64(p, &value) >= 0)
                        *ret_cpu = value;
        }
        /* Linux 5.19 and later. */
        if (g->has_memory && read_file(g->fd, "memory.peak", text, sizeof(text)) >= 0 &&
            text_to_u64(text_strip(text), &value) >= 0)
                *ret_memory_peak = value;
}

void cgroup_kill(const Cgroup *g)
{
        kill_group(g->fd);
}

bool cgroup_end(Cgroup *g, uint64_t kill_at)
{
        /* The common case: nothing is left. */
        if (unlinkat(g->parent, g->name, AT_REMOVEDIR) == 0) {
                (void)cgroup_free(g);
                return true;
        }
        cgroup_append(g, kill_at);
        return false;
}

size_t cgroups_count(const Cgroups *c)
{
        return c->n_ending;
}

uint64_t cgroups_sweep(Cgroups *c, uint64_t now)
{
        uint64_t earliest = UINT64_MAX;

        list_foreach_safe (i, &c->ending) {
                Cgroup *g = CONTAINER_OF(i, Cgroup, link);

                if (now >= g->kill_at)
                        kill_group(g->fd);
                if (remove_group(g->parent, g->name, DEPTH_MAX) < 0) {
                        earliest = MIN_OF(earliest, g->kill_at);
                        continue;
                }
                (void)cgroup_free(g);
                c->n_ending--;
        }
        return earliest;
}

Cgroups *cgroups_free(Cgroups *c)
{
        if (!c)
                return NULL;
        (void)cgroups_sweep(c, UINT64_MAX);
        list_foreach_safe (i, &c->ending)
                (void)cgroup_free(CONTAINER_OF(i, Cgroup, link));
        if (c->free >= 0)
                (void)unlinkat(c->base, "free", AT_REMOVEDIR);
        (void)fd_close(c->free);
        move_back(c);
        /* What cannot be removed is taken for a leftover by the next of us. */
        if (c->base >= 0)
                (void)unlinkat(c->own, c->base_name, AT_REMOVEDIR);
        (void)fd_close(c->base);
        (void)fd_close(c->own);
        free(c);
        return NULL;
}
