/* SPDX-License-Identifier: MIT */

/* The process behind a file helper: its start, its end, and the socket to it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"
#include "methods/file-internal.h"
#include "proc/lines.h"

#define READ_SIZE ((size_t)64 * 1024)
#define TIMER_ACCURACY UINT64_C(1000000)
/* To remove what it has begun, before it is killed. */
#define KILL_TIMEOUT UINT64_C(5000000)
/* JSON makes six bytes of some, and there is more than content; what is given back with a
 * connection is a few frames. */
#define MESSAGE_FACTOR 8U
#define MAX_MESSAGE_MAX ((size_t)UINT32_MAX / MESSAGE_FACTOR)
#define MESSAGE_MIN ((size_t)4 * 1024 * 1024)

/* All of an agent's. It lives as long as one of them does. */
struct FilePool {
        ListLink idle; /* the longest first */
        size_t n;
};

struct FileProcess {
        unsigned n_ref;
        AgentContext *context;
        const FileProcessOwner *owner; /* NULL: it was freed */
        void *userdata;
        size_t max;
        uint64_t idle_usec;
        Spawn *spawn; /* NULL: it has ended */
        Lines *lines;
        int fd;
        sd_event_source *io;
        sd_event_source *timer;
        bool writing;
        Buffer in;
        Buffer out;
        int out_fd;    /* goes with the first byte of `out`; or negative */
        ListLink link; /* in the pool's, while it is idle */
};

static void pool_leave(FileProcess *p)
{
        FilePool *pool = p->context->file_pool;

        list_remove(&p->link);
        if (--pool->n > 0)
                return;
        free(pool);
        p->context->file_pool = NULL;
}

/* 0, -EBUSY or -ENOMEM. */
static int pool_enter(FileProcess *p)
{
        FilePool *pool = p->context->file_pool;

        if (!pool) {
                pool = malloc(sizeof(*pool));
                if (!pool)
                        return -ENOMEM;
                pool->n = 0;
                list_init(&pool->idle);
                p->context->file_pool = pool;
        }
        if (pool->n >= FILE_HELPERS_MAX) {
                FileProcess *idle;

                if (list_is_empty(&pool->idle))
                        return -EBUSY;
                idle = CONTAINER_OF(pool->idle.next, FileProcess, link);
                /* The pool itself stays: there are others. */
                idle->owner->idle(idle->userdata);
        }
        pool->n++;
        return 0;
}

static void process_unref(FileProcess *p)
{
        if (--p->n_ref == 0)
                free(p);
}

static void process_disconnect(FileProcess *p)
{
        p->io = sd_event_source_disable_unref(p->io);
        p->fd = fd_close(p->fd);
        p->out_fd = fd_close(p->out_fd);
        buffer_done(&p->out);
}

FileProcess *file_process_free(FileProcess *p)
{
        if (!p)
                return NULL;
        p->owner = NULL;
        pool_leave(p);
        process_disconnect(p);
        p->timer = sd_event_source_disable_unref(p->timer);
        p->spawn = spawn_free(p->spawn);
        p->lines = lines_release(p->lines);
        buffer_done(&p->in);
        process_unref(p);
        return NULL;
}

static int process_on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
        FileProcess *p = userdata;

        p->owner->idle(p->userdata);
        return 0;
}

/* Output */

/* Bytes, and the descriptor that goes with the first of them. */
static ssize_t process_send_once(FileProcess *p)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec iov = { .iov_base = (char *)buffer_peek(&p->out), .iov_len = p->out.size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (p->out_fd >= 0) {
                control.header = (struct cmsghdr){
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                        .cmsg_len = CMSG_LEN(sizeof(int)),
                };
                memcpy(CMSG_DATA(&control.header), &p->out_fd, sizeof(int));
                m.msg_control = &control;
                m.msg_controllen = sizeof(control);
        }
        return sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As far as it goes. -errno where it goes no further: nothing is left to be sent then, but out_fd,
 * where that has not gone. */
static int process_flush(FileProcess *p)
{
        bool writing;
        int r = 0;

        while (p->fd >= 0 && p->out.size > 0) {
                ssize_t n = process_send_once(p);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        r = -errno;
                        buffer_done(&p->out);
                        break;
                }
                p->out_fd = fd_close(p->out_fd);
                buffer_consume(&p->out, (size_t)n);
        }
        writing = p->out.size > 0;
        if (p->fd < 0 || writing == p->writing)
                return r;
        p->writing = writing;
        (void)sd_event_source_set_io_events(p->io, writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
        return r;
}

/* It has ended, or would wait for what it has been told in part: at the end of its input it ends,
 * which its pidfd tells. */
static void process_hang_up(FileProcess *p)
{
        p->out_fd = fd_close(p->out_fd);
        (void)shutdown(p->fd, SHUT_RDWR);
}

void file_process_send(FileProcess *p, HelperKind kind, const void *data, size_t n)
{
        if (p->fd < 0)
                return;
        /* What it would not hear of it would never answer. */
        if (helper_append(&p->out, kind, data, n) < 0 || process_flush(p) < 0)
                process_hang_up(p);
}

int file_process_lend(FileProcess *p, int fd, bool deaf, const char *received, size_t n)
{
        const char flag = deaf;
        int copy, r;

        if (p->fd < 0 || p->out.size > 0)
                return -EPIPE;
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        r = helper_append_two(&p->out, HELPER_LEND, &flag, sizeof(flag), received, n);
        if (r < 0) {
                fd_close(copy);
                return r;
        }
        p->out_fd = copy;
        r = process_flush(p);
        if (r < 0 && p->out_fd >= 0) {
                /* It has not heard of it, and is as it was. */
                p->out_fd = fd_close(p->out_fd);
                return r;
        }
        if (r < 0)
                process_hang_up(p);
        return 0;
}

/* Input */

static void process_lose(FileProcess *p, int error, const char *problem)
{
        process_disconnect(p);
        if (p->owner)
                p->owner->lost(error, problem, p->userdata);
}

void file_process_set_idle(FileProcess *p, bool idle)
{
        list_remove(&p->link);
        p->timer = sd_event_source_disable_unref(p->timer);
        if (!idle)
                return;
        list_append(&p->context->file_pool->idle, &p->link);
        /* Without a timer it stays as long as its connection. */
        (void)sd_event_add_time_relative(p->context->event, &p->timer, CLOCK_MONOTONIC,
                                         p->idle_usec, TIMER_ACCURACY, process_on_idle, p);
}

static int process_on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        FileProcess *p = userdata;

        p->n_ref++;
        process_lose(p, ETIMEDOUT, "The file helper hangs, and is ended");
        process_unref(p);
        return 0;
}

void file_process_set_deadline(FileProcess *p, uint64_t usec)
{
        list_remove(&p->link);
        p->timer = sd_event_source_disable_unref(p->timer);
        (void)sd_event_add_time_relative(p->context->event, &p->timer, CLOCK_MONOTONIC, usec,
                                         TIMER_ACCURACY, process_on_deadline, p);
}

/* All whole messages. False where they make no sense. */
static bool process_take_all(FileProcess *p)
{
        HelperKind kind;
        const char *data;
        size_t n;
        int r = 0;

        while (p->owner && (r = helper_take(&p->in, p->max, &kind, &data, &n)) > 0) {
                p->owner->message(kind, data, n, p->userdata);
                if (p->owner)
                        buffer_consume(&p->in, HELPER_HEADER_SIZE + n);
        }
        return r >= 0;
}

/* Reads what there is, once. False at the end. */
static bool process_receive(FileProcess *p)
{
        char *room = buffer_reserve(&p->in, READ_SIZE);
        ssize_t n;

        if (!room)
                return false;
        do
                n = recv(p->fd, room, READ_SIZE, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN;
        buffer_commit(&p->in, (size_t)n);
        return n > 0;
}

static int process_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        FileProcess *p = userdata;
        bool more = true;

        p->n_ref++;
        if ((revents & EPOLLOUT) && process_flush(p) < 0)
                process_hang_up(p);
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                more = process_receive(p);
        if (!process_take_all(p))
                process_lose(p, EPROTO, "The file helper says what makes no sense");
        else if (p->owner && !more)
                /* Why shows when the process is reaped. */
                process_disconnect(p);
        process_unref(p);
        return 0;
}

static void process_on_end(Spawn *spawn, const SpawnEnd *end, void *userdata)
{
        FileProcess *p = userdata;
        char problem[320];

        p->n_ref++;
        p->spawn = spawn_free(p->spawn);
        /* Its last words may be in the socket still. */
        while (p->owner && p->fd >= 0) {
                size_t before = p->in.size;
                bool more = process_receive(p) && p->in.size > before;

                if (!process_take_all(p) || !more)
                        break;
        }
        if (end->outcome == SPAWN_FAILED)
                (void)snprintf(problem, sizeof(problem), "The file helper cannot be started: %s",
                               end->problem ?: strerror(end->error));
        else if (end->outcome == SPAWN_SIGNALED)
                (void)snprintf(problem, sizeof(problem), "The file helper was killed by signal %d",
                               end->status);
        else
                (void)snprintf(problem, sizeof(problem), "The file helper has ended, status %d",
                               end->status);
        process_lose(p, end->outcome == SPAWN_FAILED ? end->error : 0, problem);
        process_unref(p);
}

/* The start */

static int process_start(FileProcess *p, ProgramScope scope)
{
        static char mode[] = "--internal-files";
        _cleanup_close_ int theirs = -EBADF, errors = -EBADF;
        char path[PATH_MAX];
        int fds[2], r;

        r = spawn_own_path(path, sizeof(path));
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        p->fd = fds[0];
        theirs = fds[1];
        r = sd_event_add_io(p->context->event, &p->io, p->fd, EPOLLIN, process_on_io, p);
        if (r >= 0)
                r = lines_new(p->context->event, "file helper", NULL, &p->lines, &errors);
        if (r < 0)
                return r;
        return spawn_start(p->context->spawner,
                           &(SpawnSettings){
                                   .argv = (char *const[]){ path, mode, NULL },
                                   .directory = "/",
                                   .fds = { theirs, -EBADF, errors },
                                   .kill_timeout = KILL_TIMEOUT,
                                   .scope = scope,
                                   .identity = "files",
                           },
                           process_on_end, p, &p->spawn);
}

int file_process_new(AgentContext *context, const FileProcessSettings *settings,
                     const FileProcessOwner *owner, void *userdata, FileProcess **ret)
{
        FileProcess *p;
        int r;

        p = malloc(sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = (FileProcess){
                .n_ref = 1,
                .context = context,
                .owner = owner,
                .userdata = userdata,
                .max = MAX_OF(MESSAGE_FACTOR * MIN_OF(settings->max_message, MAX_MESSAGE_MAX),
                              MESSAGE_MIN),
                .idle_usec = settings->idle_usec,
                .fd = -EBADF,
                .out_fd = -EBADF,
        };
        list_init(&p->link);
        r = pool_enter(p);
        if (r < 0) {
                free(p);
                return r;
        }
        r = process_start(p, settings->scope);
        if (r < 0) {
                (void)file_process_free(p);
                return r;
        }
        *ret = p;
        return 0;
}
