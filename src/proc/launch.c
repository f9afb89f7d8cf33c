/* SPDX-License-Identifier: MIT */
#include "proc/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* Of a launcher that could not do its work; as a shell's for what it cannot execute. */
#define EXIT_LAUNCH 127
/* The message is this byte, to be changed whenever LaunchMemory, or what it has of SpawnArea, is:
 * where a package has been upgraded, and its daemon not yet started anew, the launcher is of
 * another version than who talks to it. */
#define LAUNCH_LAYOUT 2
/* The memory, what become 0, 1 and 2, and the job's sign. */
#define LAUNCH_FDS_MAX 5

typedef struct LaunchMemory LaunchMemory;

/* In a memfd: what is shared, then groups, then texts, each with its NUL. */
struct LaunchMemory {
        SpawnArea area; /* of which the launcher uses the report alone */
        uint32_t has_begun;
        uint32_t has_fd[4]; /* the message's descriptors are these, in this order; the sign last */
        uint32_t terminal;
        uint32_t search_path;
        uint32_t directory_optional;
        uint32_t change_user;
        uint32_t uid;
        uint32_t gid;
        uint64_t n_groups;
        uint64_t n_argv;
        uint64_t n_environment;
        uint64_t n_text; /* bytes: argv, environment, directory */
        gid_t groups[];
};

struct Launch {
        LaunchMemory *memory;
        size_t size;
};

static size_t count_texts(char *const *list, uint64_t *ret_n)
{
        size_t size = 0, n = 0;

        while (list[n])
                size += strlen(list[n++]) + 1;
        *ret_n = n;
        return size;
}

static char *copy_texts(char *to, char *const *list)
{
        for (; *list; list++)
                to = stpcpy(to, *list) + 1;
        return to;
}

static void launch_fill(LaunchMemory *m, const SpawnSettings *s, const LaunchMemory *head)
{
        char *text;

        memcpy((char *)m + sizeof(m->area), (const char *)head + sizeof(head->area),
               sizeof(*head) - sizeof(head->area));
        if (s->n_groups > 0)
                memcpy(m->groups, s->groups, s->n_groups * sizeof(gid_t));
        text = (char *)(m->groups + s->n_groups);
        text = copy_texts(text, s->argv);
        text = copy_texts(text, s->environment);
        (void)strcpy(text, s->directory);
}

static int launch_allocate(size_t size, LaunchMemory **ret, int *ret_fd)
{
        _cleanup_close_ int fd = memfd_create("guestwire-launch", MFD_CLOEXEC);
        void *p;

        if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
                return -errno;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        *ret = p;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* One message, which a socket that is new has room for. */
static int launch_send(int fd, int memory, const SpawnJob *job)
{
        union {
                char space[CMSG_SPACE(LAUNCH_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { .iov_base = (char[1]){ LAUNCH_LAYOUT }, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
        };
        struct cmsghdr *c = &control.align;
        int list[LAUNCH_FDS_MAX] = { memory };
        size_t n = 1;

        for (size_t i = 0; i < 3; i++)
                if (job->settings.fds[i] >= 0)
                        list[n++] = job->settings.fds[i];
        if (job->sign >= 0)
                list[n++] = job->sign;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), list, n * sizeof(int));
        return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int launch_new(const SpawnJob *job, Launch **ret, int *ret_socket)
{
        const SpawnSettings *s = &job->settings;
        _cleanup_close_ int memory = -EBADF, ours = -EBADF, theirs = -EBADF;
        _cleanup_(launch_freep) Launch *l = NULL;
        LaunchMemory head = {
                .has_fd = { s->fds[0] >= 0, s->fds[1] >= 0, s->fds[2] >= 0, job->sign >= 0 },
                .terminal = s->terminal,
                .search_path = s->search_path,
                .directory_optional = s->directory_optional,
                .change_user = s->change_user,
                .uid = s->uid,
                .gid = s->gid,
                .n_groups = s->n_groups,
        };
        int pair[2], r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        head.n_text = count_texts(s->argv, &head.n_argv);
        head.n_text += count_texts(s->environment, &head.n_environment);
        head.n_text += strlen(s->directory) + 1;
        l->size = sizeof(head) + s->n_groups * sizeof(gid_t) + head.n_text;
        r = launch_allocate(l->size, &l->memory, &memory);
        if (r < 0)
                return r;
        launch_fill(l->memory, s, &head);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        /* Ours is not needed any more: what was sent stays to be read. */
        ours = pair[0];
        theirs = pair[1];
        r = launch_send(ours, memory, job);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        *ret_socket = TAKE_FD(theirs);
        return 0;
}

Launch *launch_free(Launch *l)
{
        if (!l)
                return NULL;
        if (l->memory)
                (void)munmap(l->memory, l->size);
        free(l);
        return NULL;
}

bool launch_has_begun(const Launch *l)
{
        return __atomic_load_n(&l->memory->has_begun, __ATOMIC_ACQUIRE) != 0;
}

SpawnReport launch_report(const Launch *l)
{
        return l->memory->area.report;
}

/* The launcher's side */

/* What came; *ret_fds are those of the message, in its order. The count of them; -ESTALE where
 * another version has sent it; -errno. */
static int launch_receive(int fd, int ret_fds[static LAUNCH_FDS_MAX])
{
        union {
                char space[CMSG_SPACE(LAUNCH_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        char byte = 0;
        struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        const struct cmsghdr *c;
        size_t n;

        if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
                return -errno;
        c = CMSG_FIRSTHDR(&message);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            (message.msg_flags & MSG_CTRUNC))
                return -EPROTO;
        if (byte != LAUNCH_LAYOUT)
                return -ESTALE;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_fds, CMSG_DATA(c), n * sizeof(int));
        return (int)n;
}

/* The texts of a vector; where the next ones begin in *text. NULL without memory. */
static char **read_vector(uint64_t n, char **text, const char *end)
{
        char **list = calloc(n + 1, sizeof(*list));

        for (uint64_t i = 0; list && i < n && *text < end; i++) {
                list[i] = *text;
                *text += strlen(*text) + 1;
        }
        return list;
}

static void find_ignored(Spawner *s)
{
        struct sigaction now;

        for (int i = 1; i < _NSIG; i++)
                if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
                        s->ignored[s->n_ignored++] = i;
}

static int launch_become(LaunchMemory *m, size_t size, const int *fds, int n_fds)
{
        static Spawner nobody;
        char *text = (char *)(m->groups + m->n_groups), *end = (char *)m + size;
        SpawnJob job = {
                .spawner = &nobody,
                .area = &m->area,
                .cgroup = -EBADF,
                .sign = -EBADF,
                .of_unit = true,
                .settings = {
                        .terminal = m->terminal,
                        .directory_optional = m->directory_optional,
                        .change_user = m->change_user,
                        .uid = m->uid,
                        .gid = m->gid,
                        .groups = m->groups,
                        .n_groups = m->n_groups,
                        .fds = { -EBADF, -EBADF, -EBADF },
                },
        };
        int next = 1;

        for (int i = 0; i < 3; i++)
                if (m->has_fd[i] && next < n_fds)
                        job.settings.fds[i] = fds[next++];
        if (m->has_fd[3] && next < n_fds)
                job.sign = fds[next];
        job.settings.argv = read_vector(m->n_argv, &text, end);
        job.settings.environment = read_vector(m->n_environment, &text, end);
        job.settings.directory = text;
        if (!job.settings.argv || !job.settings.environment) {
                m->area.report = (SpawnReport){ .error = ENOMEM };
                return EXIT_LAUNCH;
        }
        spawn_job_settle(&job, m->search_path);
        find_ignored(&nobody);
        __atomic_store_n(&m->has_begun, 1, __ATOMIC_RELEASE);
        spawn_child(&job);
}

int launch_main(void)
{
        int fds[LAUNCH_FDS_MAX], n;
        struct stat st;
        void *p;

        n = launch_receive(STDIN_FILENO, fds);
        if (n == -ESTALE) {
                fputs("guestwired: this is not the version that runs as the daemon: restart it\n",
                      stderr);
                return EXIT_LAUNCH;
        }
        if (n < 1 || fstat(fds[0], &st) < 0 || st.st_size < (off_t)sizeof(LaunchMemory)) {
                fputs("guestwired: " LAUNCH_OPTION " is for units that guestwired starts\n",
                      stderr);
                return EXIT_LAUNCH;
        }
        p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
        if (p == MAP_FAILED) {
                fprintf(stderr, "guestwired: cannot read what to start: %s\n", strerror(errno));
                return EXIT_LAUNCH;
        }
        return launch_become(p, (size_t)st.st_size, fds, n);
}
