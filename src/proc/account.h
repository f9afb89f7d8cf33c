/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/macros.h"

/*
 * Users as the system's name service (NSS) knows them, whom a caller names. The configuration's
 * users are another matter: config/user.h.
 */
typedef struct Account Account;
typedef struct AccountLookup AccountLookup;

/* At once, also of those that nobody waits for any more. */
#define ACCOUNT_LOOKUPS_MAX 256U

struct Account {
        char *name;
        char *home;  /* absolute; "/" where there is none */
        char *shell; /* absolute; "/bin/sh" where there is none */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* all of them, gid too */
        size_t n_groups;
};

#define ACCOUNT_NULL ((Account){ 0 })

/* By name or by number. Blocks for as long as the name service pleases. 0; -ENOENT; -ENOMEM;
 * -errno of the name service. */
int account_find(const char *user, Account *ret);
void account_done(Account *a);
#define _cleanup_account_ _cleanup_(account_done)

/* The same in a thread of its own. 0; -EBUSY where there are ACCOUNT_LOOKUPS_MAX already; -errno
 * where none could be started. */
int account_lookup_start(const char *user, AccountLookup **ret);
/* Readable when it has ended. Stays the AccountLookup's. */
int account_lookup_get_fd(const AccountLookup *l);
/* What came of it, to be asked once: 0 with *ret the caller's, -EAGAIN while it still runs, or as
 * account_find(). */
int account_lookup_finish(AccountLookup *l, Account *ret);
/* Does not wait: a thread that still runs cleans up after itself. NULL is fine. */
AccountLookup *account_lookup_free(AccountLookup *l);
DEFINE_CLEANUP(AccountLookup, account_lookup_free)
