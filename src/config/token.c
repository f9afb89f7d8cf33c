/* SPDX-License-Identifier: MIT */
#include "config/token.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

Token *token_new(const void *bytes, size_t n)
{
        Token *t = mmap(NULL, sizeof(*t) + n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);

        if (t == MAP_FAILED)
                return NULL;
        /* A kernel that cannot leave it out does no harm else. */
        (void)madvise(t, sizeof(*t) + n, MADV_DONTDUMP);
        (void)madvise(t, sizeof(*t) + n, MADV_WIPEONFORK);
        t->n = n;
        memcpy(t->bytes, bytes, n);
        return t;
}

Token *token_free(Token *t)
{
        size_t size;

        if (!t)
                return NULL;
        size = sizeof(*t) + t->n;
        explicit_bzero(t, size);
        (void)munmap(t, size);
        return NULL;
}

bool token_equal(const Token *a, const Token *b)
{
        if (!a || !b)
                return a == b;
        return a->n == b->n && memeql_sec(a->bytes, b->bytes, a->n);
}

int credential_path(const char *name, char **ret)
{
        const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
        char *path;

        if (!folder || folder[0] != '/')
                return -ENOENT;
        path = text_format("%s/%s", folder, name);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

/* error with a sentence; or -ENOMEM. */
static int _printf_(3, 4) token_refuse(int error, char **ret_problem, const char *format, ...)
{
        char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return -ENOMEM;
        *ret_problem = text;
        return error;
}

static int token_check_file(const struct stat *st, char **ret_problem)
{
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return token_refuse(-EPERM, ret_problem,
                                    "it belongs to user %u, who could put another token there: "
                                    "give it to root or to the user who reads it",
                                    (unsigned)st->st_uid);
        if (st->st_mode & (S_IRWXO | S_IWGRP))
                return token_refuse(-EPERM, ret_problem,
                                    "its mode is %04o, so that others may read it or change it: "
                                    "chmod 0600",
                                    (unsigned)st->st_mode & 07777);
        return 0;
}

/* At most size bytes, as many as there are. Their number or -errno. */
static ssize_t token_read_bytes(int fd, unsigned char *bytes, size_t size)
{
        size_t n = 0;

        while (n < size) {
                ssize_t k = read(fd, bytes + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
        }
        return (ssize_t)n;
}

/* Without the newline that does not count. */
static size_t token_length(const unsigned char *bytes, size_t n)
{
        if (n == 0 || bytes[n - 1] != '\n')
                return n;
        for (size_t i = 0; i < n - 1; i++)
                if (bytes[i] < ' ' || bytes[i] > '~')
                        return n;
        return n - 1;
}

static int token_from_bytes(const unsigned char *bytes, size_t n, Token **ret, char **ret_problem)
{
        Token *t;

        n = token_length(bytes, n);
        if (n > TOKEN_MAX)
                return token_refuse(-EINVAL, ret_problem,
                                    "it is larger than %u bytes: a token has %u to %u", TOKEN_MAX,
                                    TOKEN_MIN, TOKEN_MAX);
        if (n < TOKEN_MIN)
                return token_refuse(-EINVAL, ret_problem,
                                    "it has %zu bytes, and a token has at least %u: make one with "
                                    "`openssl rand -hex 32`",
                                    n, TOKEN_MIN);
        t = token_new(bytes, n);
        if (!t)
                return -ENOMEM;
        *ret = t;
        return 0;
}

int token_read(const char *path, unsigned flags, Token **ret, char **ret_problem)
{
        unsigned char bytes[TOKEN_MAX + 2]; /* with a newline, and to see that there is more */
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        ssize_t n;
        int r;

        /* Not to wait for the writer of a FIFO; it is refused below. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                return token_refuse(r, ret_problem, "it cannot be read: %s", strerror(-r));
        }
        if (!S_ISREG(st.st_mode))
                return token_refuse(-EINVAL, ret_problem, "it is not a regular file");
        r = flags & TOKEN_CHECK_FILE ? token_check_file(&st, ret_problem) : 0;
        if (r < 0)
                return r;
        n = token_read_bytes(fd, bytes, sizeof(bytes));
        if (n < 0)
                r = token_refuse((int)n, ret_problem, "it cannot be read: %s", strerror((int)-n));
        else
                r = token_from_bytes(bytes, (size_t)n, ret, ret_problem);
        explicit_bzero(bytes, sizeof(bytes));
        return r;
}
