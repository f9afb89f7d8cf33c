/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/*
 * What a guest and its host share, and nobody else: bytes by which each shows the other who it is
 * (rpc/proof.h). They are never printed, and wiped where they are freed.
 */
typedef struct Token Token;

/* Fewer could be found by trying; more make nothing safer, since a key of HMAC-SHA-256 counts for
 * 64 bytes at most. */
#define TOKEN_MIN 32U
#define TOKEN_MAX 4096U

struct Token {
        size_t n;
        unsigned char bytes[];
};

typedef enum TokenFlags {
        /* Whoever made the file may have been careless: it must belong to root or to us, others may
         * not read it, and nobody but its owner may write to it. Not of credentials, whose folder
         * systemd has made for us alone. */
        TOKEN_CHECK_FILE = 1 << 0,
} TokenFlags;

/*
 * Reads a regular file of TOKEN_MIN to TOKEN_MAX bytes. One newline at the end of what is otherwise
 * printable ASCII is an editor's, and does not count. 0 with *ret the caller's (token_free());
 * -ENOENT; -EPERM where the file must not be used; -EINVAL where there is no token in it; -errno.
 * *ret_problem (allocated) says for all of them but -ENOMEM what is wrong and what to do.
 */
int token_read(const char *path, unsigned flags, Token **ret, char **ret_problem);

/* In constant time. Two that are NULL are equal. */
bool token_equal(const Token *a, const Token *b);

/* In memory of its own, which is neither in a core dump nor in a child's copy of ours. NULL:
 * there is none. */
Token *token_new(const void *bytes, size_t n);
Token *token_free(Token *t);
DEFINE_CLEANUP(Token, token_free)

/* The path of a credential that systemd has given this process, systemd.exec(5). 0 with *ret the
 * caller's; -ENOENT where it has given none; -ENOMEM. The file need not be there. */
int credential_path(const char *name, char **ret);
