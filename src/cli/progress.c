/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/output.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define DRAW_EVERY (USEC_PER_SEC / 10)
#define RATE_EVERY (USEC_PER_SEC / 2)
/* Before that much time has passed a rate means nothing. */
#define RATE_AFTER (USEC_PER_SEC / 5)
#define WIDTH_DEFAULT 80
#define BAR_MAX 30
/* "  100%  1023.9 MiB  1023.9 MiB/s  99:59:59 left", and a space at each side. */
#define NUMBERS_WIDTH 52
#define NAME_MIN 10

void progress_size(char ret[static 32], uint64_t bytes)
{
        static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        double value = (double)bytes / 1024;
        size_t i = 0;

        if (bytes < 1024) {
                snprintf(ret, 32, "%" PRIu64 " B", bytes);
                return;
        }
        for (; value >= 1023.95 && i + 1 < ELEMENTSOF(units); i++)
                value /= 1024;
        snprintf(ret, 32, "%.1f %s", value, units[i]);
}

static void format_time(char ret[static 32], uint64_t seconds)
{
        if (seconds >= 100 * 3600)
                snprintf(ret, 32, "%" PRIu64 " days", seconds / 86400);
        else if (seconds >= 3600)
                snprintf(ret, 32, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600,
                         seconds / 60 % 60, seconds % 60);
        else
                snprintf(ret, 32, "%" PRIu64 ":%02" PRIu64, seconds / 60, seconds % 60);
}

void progress_begin(Progress *p, const char *name)
{
        const char *term = getenv("TERM");

        *p = (Progress){ .on = isatty(STDERR_FILENO) > 0 && !(term && strcmp(term, "dumb") == 0) };
        if (!p->on)
                return;
        p->name = output_shown(name);
        p->began = p->rate_at = client_now();
}

static void sample_rate(Progress *p, uint64_t now, uint64_t done)
{
        double current;

        if (now - p->rate_at < (p->rate > 0 ? RATE_EVERY : RATE_AFTER) || done < p->rate_done)
                return;
        current = (double)(done - p->rate_done) * (double)USEC_PER_SEC / (double)(now - p->rate_at);
        p->rate = p->rate > 0 ? p->rate * 0.7 + current * 0.3 : current;
        p->rate_at = now;
        p->rate_done = done;
}

/* As many characters of UTF-8 as fit, a column each: a name with wide ones is cut by the terminal.
 */
static int bytes_of_columns(const char *text, int columns)
{
        const char *p = text;

        for (; *p; p++)
                if (((unsigned char)*p & 0xc0) != 0x80 && columns-- == 0)
                        break;
        return (int)(p - text);
}

static int terminal_width(void)
{
        struct winsize size;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
                return WIDTH_DEFAULT;
        return size.ws_col;
}

static void draw_bar(char ret[static BAR_MAX + 3], int width, uint64_t done, uint64_t total)
{
        int filled = (int)((double)width * (double)MIN_OF(done, total) / (double)total);

        ret[0] = '[';
        for (int i = 0; i < width; i++)
                ret[1 + i] = i < filled ? '=' : i == filled ? '>' : ' ';
        strcpy(ret + 1 + width, "]");
}

static void draw(Progress *p, uint64_t done, uint64_t total, const char *time, const char *word)
{
        char size[32], rate[32], bar[BAR_MAX + 3] = "", percent[8] = "";
        int width = terminal_width(), left = width - NUMBERS_WIDTH, name_width, bar_width;

        progress_size(size, done);
        progress_size(rate, (uint64_t)p->rate);
        name_width = MAX_OF(left / 2, NAME_MIN);
        bar_width = MIN_OF(left - name_width - 3, BAR_MAX);
        if (total > 0) {
                snprintf(percent, sizeof(percent), "%3d%%",
                         (int)((double)MIN_OF(done, total) * 100 / (double)total));
                if (bar_width >= 5)
                        draw_bar(bar, bar_width, done, total);
        }
        /* Without wrapping, whatever the width of a name's characters is. */
        fprintf(stderr, "\r\x1b[?7l%.*s %s %4s  %10s  %10s/s  %s%s\x1b[K\x1b[?7h",
                bytes_of_columns(p->name ?: "?", name_width), p->name ?: "?", bar, percent, size,
                rate, time, word);
        fflush(stderr);
        p->shown = true;
}

void progress_update(Progress *p, uint64_t done, uint64_t total)
{
        char time[32] = "";
        bool known;
        uint64_t now;

        if (!p->on)
                return;
        now = client_now();
        if (now - p->last < DRAW_EVERY)
                return;
        p->last = now;
        sample_rate(p, now, done);
        known = total > done && p->rate >= 1;
        if (known)
                format_time(time, (uint64_t)((double)(total - done) / p->rate) + 1);
        draw(p, done, total, time, known ? " left" : "");
}

void progress_hide(Progress *p)
{
        if (!p->shown)
                return;
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
        p->shown = false;
        p->last = 0;
}

void progress_end(Progress *p, uint64_t done, uint64_t total)
{
        uint64_t passed;
        char time[32];

        if (!p->on)
                return;
        passed = MAX_OF(client_now() - p->began, UINT64_C(1));
        p->rate = (double)done * (double)USEC_PER_SEC / (double)passed;
        format_time(time, passed / USEC_PER_SEC);
        draw(p, done, total, time, "");
        fputc('\n', stderr);
        p->shown = false;
}

void progress_done(Progress *p)
{
        progress_hide(p);
        free(p->name);
        *p = (Progress){};
}
