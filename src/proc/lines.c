/* SPDX-License-Identifier: MIT */
#include "proc/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ratelimit.h"
#include "base/text.h"

/* A line that is longer becomes several. */
#define LINE_MAX_SIZE 2048U
#define LINES_INTERVAL (10U * 1000U * 1000U)
#define LINES_BURST 200U
#define READ_SIZE (16U * 1024U)
/* Reads in one turn of the loop: a flood leaves it to others. */
#define TURN_READS 4U
/* Reads for one tail: a pipe holds 64 KiB, and who fills it meanwhile can wait. */
#define TAIL_READS 5U

struct Lines {
        sd_event_source *source; /* floating once released: the loop's own */
        int fd;
        bool released;
        char *prefix;
        LogFields *fields;
        RateLimit limit;
        size_t n_line;
        char line[LINE_MAX_SIZE];
        char *tail; /* NULL until there is any */
        size_t n_tail;
};

static void lines_say_held_back(Lines *l, unsigned n)
{
        if (n > 0)
                log_record(LOG_WARNING, NULL, l->fields, "%s: %u lines were not logged: too many",
                           l->prefix, n);
}

static void lines_log(Lines *l)
{
        _cleanup_free_ char *shown = NULL;
        unsigned held_back = 0;
        size_t n = l->n_line;
        struct timespec ts;

        l->n_line = 0;
        if (n > 0 && l->line[n - 1] == '\r')
                n--;
        if (n == 0)
                return;
        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        if (!ratelimit_pass(&l->limit,
                            (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U,
                            &held_back))
                return;
        lines_say_held_back(l, held_back);
        shown = text_show(l->line, n, LINE_MAX_SIZE);
        log_record(LOG_INFO, NULL, l->fields, "%s: %s", l->prefix, shown ? shown : "(no memory)");
}

static void lines_keep_tail(Lines *l, const char *data, size_t n)
{
        if (!l->tail)
                l->tail = malloc(LINES_TAIL_MAX);
        if (!l->tail)
                return; /* it is a help for people, and no more */
        if (n >= LINES_TAIL_MAX) {
                memcpy(l->tail, data + n - LINES_TAIL_MAX, LINES_TAIL_MAX);
                l->n_tail = LINES_TAIL_MAX;
                return;
        }
        if (l->n_tail + n > LINES_TAIL_MAX) {
                size_t drop = l->n_tail + n - LINES_TAIL_MAX;

                memmove(l->tail, l->tail + drop, l->n_tail - drop);
                l->n_tail -= drop;
        }
        memcpy(l->tail + l->n_tail, data, n);
        l->n_tail += n;
}

/* Where a line that must be cut is cut: before a character that has not come whole. */
static size_t cut_at(const char *line, size_t n)
{
        for (size_t back = 1; back <= 3 && back < n; back++) {
                unsigned char c = (unsigned char)line[n - back];
                size_t needs = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

                if (c >= 0xc0)
                        return needs > back ? n - back : n;
                if (c < 0x80)
                        return n;
        }
        return n;
}

static void lines_take(Lines *l, const char *data, size_t n)
{
        while (n > 0) {
                const char *end = memchr(data, '\n', n);
                size_t part = end ? (size_t)(end - data) : n;
                size_t room = LINE_MAX_SIZE - l->n_line, used = MIN_OF(part, room);

                memcpy(l->line + l->n_line, data, used);
                l->n_line += used;
                data += used;
                n -= used;
                if (end && used == part) {
                        lines_log(l);
                        data++;
                        n--;
                } else if (l->n_line == LINE_MAX_SIZE) {
                        size_t cut = cut_at(l->line, LINE_MAX_SIZE), rest = LINE_MAX_SIZE - cut;
                        char kept[4];

                        memcpy(kept, l->line + cut, rest);
                        l->n_line = cut;
                        lines_log(l);
                        memcpy(l->line, kept, rest);
                        l->n_line = rest;
                }
        }
}

/* Reads once. 1 where there may be more, 0 where there is nothing now, -errno; -EPIPE: the end. */
static int lines_read(Lines *l)
{
        char data[READ_SIZE];
        ssize_t n;

        n = read(l->fd, data, sizeof(data));
        if (n < 0)
                return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
        if (n == 0)
                return -EPIPE;
        lines_keep_tail(l, data, (size_t)n);
        lines_take(l, data, (size_t)n);
        return (size_t)n == sizeof(data);
}

/* Nothing follows. */
static void lines_end(Lines *l)
{
        l->fd = fd_close(l->fd);
        lines_log(l);
        lines_say_held_back(l, l->limit.held_back);
        l->limit.held_back = 0;
}

static Lines *lines_free(Lines *l)
{
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->source);
        fd_close(l->fd);
        free(l->prefix);
        free(l->fields);
        free(l->tail);
        free(l);
        return NULL;
}
DEFINE_CLEANUP(Lines, lines_free)

/* The pipe has ended, or the loop that it waited in has. */
static void lines_on_destroy(void *userdata)
{
        Lines *l = userdata;

        for (unsigned i = 0; i < TAIL_READS && l->fd >= 0 && lines_read(l) > 0; i++)
                ;
        if (l->fd >= 0)
                lines_end(l);
        (void)lines_free(l);
}

static int lines_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Lines *l = userdata;
        int r = 1;

        for (unsigned i = 0; i < TURN_READS && r > 0; i++)
                r = lines_read(l);
        if (r >= 0)
                return 0;
        /* First this, then the descriptor: a child of ours between fork and exec may hold the same
         * pipe, and would keep it in the loop's epoll set. */
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        lines_end(l);
        if (l->released)
                (void)sd_event_source_set_floating(source, false); /* frees both */
        else
                l->source = sd_event_source_disable_unref(l->source);
        return 0;
}

size_t lines_tail(Lines *l, const char **ret)
{
        size_t begin = 0;
        int r = 1;

        for (unsigned i = 0; i < TAIL_READS && r > 0 && l->fd >= 0; i++)
                r = lines_read(l);
        if (r < 0) {
                l->source = sd_event_source_disable_unref(l->source);
                lines_end(l);
        }

        /* Where it begins within a character, that one is left out. */
        if (l->n_tail == LINES_TAIL_MAX)
                while (begin < 3 && ((unsigned char)l->tail[begin] & 0xc0) == 0x80)
                        begin++;
        *ret = l->tail ? l->tail + begin : "";
        return l->n_tail - begin;
}

int lines_new(sd_event *event, const char *prefix, const LogFields *fields, Lines **ret,
              int *ret_fd)
{
        _cleanup_(lines_freep) Lines *l = NULL;
        _cleanup_close_ int writer = -EBADF;
        int fds[2], r;

        l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->source = NULL;
        l->fd = -EBADF;
        l->released = false;
        l->fields = NULL;
        l->limit = (RateLimit){ .interval = LINES_INTERVAL, .burst = LINES_BURST };
        l->n_line = l->n_tail = 0;
        l->tail = NULL;
        l->prefix = strdup(prefix);
        if (fields)
                l->fields = malloc(sizeof(*l->fields));
        if (!l->prefix || (fields && !l->fields))
                return -ENOMEM;
        if (fields)
                *l->fields = *fields;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        l->fd = fds[0];
        writer = fds[1];
        /* Ours alone: to the program its standard error is as blocking as it expects. */
        if (fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &l->source, l->fd, EPOLLIN, lines_on_io, l);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(writer);
        *ret = TAKE_PTR(l);
        return 0;
}

Lines *lines_release(Lines *l)
{
        sd_event_source *source;

        if (!l)
                return NULL;
        if (l->fd < 0 || sd_event_source_set_destroy_callback(l->source, lines_on_destroy) < 0 ||
            sd_event_source_set_floating(l->source, true) < 0)
                return lines_free(l);
        l->released = true;
        source = TAKE_PTR(l->source);
        sd_event_source_unref(source);
        return NULL;
}
