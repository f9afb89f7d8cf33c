/* SPDX-License-Identifier: MIT */

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/text.h"

/* Longer messages are cut: a record must not need memory that may not be there, and with its
 * line break it fits the least room that a pipe calls writable. */
#define LOG_MESSAGE_MAX (PIPE_BUF - 1)

static int log_level = LOG_INFO;
static bool log_to_journal;

/*
 * Whether stderr is the stream that JOURNAL_STREAM speaks of. The variable alone says nothing:
 * children inherit it with their own stderr elsewhere (systemd.exec(5)).
 */
static bool stderr_is_journal(void)
{
        unsigned long long device, inode;
        const char *stream;
        struct stat st;
        int end = 0;

        stream = getenv("JOURNAL_STREAM");
        if (!stream || sscanf(stream, "%llu:%llu%n", &device, &inode, &end) != 2 ||
            stream[end] != '\0')
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(void)
{
        log_to_journal = stderr_is_journal();
}

void log_set_level(int level)
{
        log_level = level;
}

int log_get_level(void)
{
        return log_level;
}

static const char *const level_names[] = {
        [LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

int log_level_from_text(const char *text, int *ret)
{
        uint32_t number;

        for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
                if (strcmp(text, level_names[i]) == 0) {
                        *ret = i;
                        return 0;
                }
        if (text_to_u32(text, &number) < 0 || number < LOG_ERR || number > LOG_DEBUG)
                return -EINVAL;
        *ret = (int)number;
        return 0;
}

const char *log_level_to_text(int level)
{
        return level_names[level < LOG_ERR ? LOG_ERR : MIN_OF(level, LOG_DEBUG)];
}

/* vsnprintf() that, where it must cut, leaves whole UTF-8 characters. Returns the length. */
static size_t format_cut(char *to, size_t size, const char *format, va_list ap)
{
        size_t n;
        int r;

        r = vsnprintf(to, size, format, ap);
        if (r < 0) {
                to[0] = '\0';
                return 0;
        }
        if ((size_t)r < size)
                return (size_t)r;

        n = size - 1;
        while (n > 0 && ((unsigned char)to[n - 1] & 0xc0) == 0x80)
                n--;
        if (n > 0 && (unsigned char)to[n - 1] >= 0xc0)
                n--;
        /* A character that ended exactly at the cut may go too: it costs nothing. */
        to[n] = '\0';
        return n;
}

void log_fields_add(LogFields *f, const char *name, const char *format, ...)
{
        size_t n, size = sizeof(f->text[0]);
        va_list ap;
        char *text;

        if (f->n >= LOG_FIELDS_MAX)
                return;
        text = f->text[f->n];
        n = (size_t)snprintf(text, size, "%s=", name);
        if (n >= size)
                return; /* no such field */

        va_start(ap, format);
        format_cut(text + n, size - n, format, ap);
        va_end(ap);
        f->n++;
}

static int send_to_journal(int level, const char *message_id, const LogFields *fields,
                           const char *message)
{
        const char *v[4 + LOG_FIELDS_MAX];
        char priority[32], id[64], identifier[64];
        size_t n = 0;

        snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
        snprintf(identifier, sizeof(identifier), "SYSLOG_IDENTIFIER=%s",
                 program_invocation_short_name);
        v[n++] = message;
        v[n++] = priority;
        v[n++] = identifier;
        if (message_id) {
                snprintf(id, sizeof(id), "MESSAGE_ID=%s", message_id);
                v[n++] = id;
        }
        for (size_t i = 0; fields && i < fields->n; i++)
                v[n++] = fields->text[i];
        return journal_send(v, n);
}

/* One write, so that the lines of several processes on one stderr do not mix. */
static void send_to_stderr(char *message, size_t n)
{
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        ssize_t r;

        /* A line is a record: nobody may begin another by putting a line break into a message. */
        for (size_t i = 0; i < n; i++)
                if (message[i] == '\n' || message[i] == '\r')
                        message[i] = ' ';
        message[n] = '\n';
        /* stderr is shared and not ours to make non-blocking. Where nobody reads it, or it is
         * closed, the line is lost rather than the loop held up. */
        if (poll(&p, 1, 0) <= 0)
                return;
        do
                r = write(STDERR_FILENO, message, n + 1);
        while (r < 0 && errno == EINTR);
}

void log_record(int level, const char *message_id, const LogFields *fields, const char *format, ...)
{
        static const char name[] = "MESSAGE=";
        const size_t skip = sizeof(name) - 1;
        char text[LOG_MESSAGE_MAX + sizeof(name)];
        int saved = errno, r = -ENOTCONN;
        va_list ap;
        size_t n;

        if (level > log_level)
                return;

        memcpy(text, name, skip);
        va_start(ap, format);
        n = format_cut(text + skip, sizeof(text) - skip, format, ap);
        va_end(ap);

        if (log_to_journal)
                r = send_to_journal(level, message_id, fields, text);
        /* A journal that does not keep up would not read stderr either. */
        if (r < 0 && r != -EAGAIN)
                send_to_stderr(text + skip, n);
        errno = saved;
}
