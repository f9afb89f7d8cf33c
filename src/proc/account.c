/* SPDX-License-Identifier: MIT */
#include "proc/account.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/text.h"
#include "base/thread.h"

/* What an entry's texts may take, in total. */
#define ENTRY_FIRST 1024U
#define ENTRY_MAX ((size_t)1024 * 1024)

/*
 * Shared by the thread and the one who asked, freed by whoever lets go last. The thread writes the
 * results and then the eventfd, the other side reads the eventfd and then the results: that
 * orders them.
 */
struct AccountLookup {
        atomic_uint references;
        int fd;
        char *user;
        Account account;
        int result;
};

static Threads threads = { .max = ACCOUNT_LOOKUPS_MAX };

void account_done(Account *a)
{
        free(a->name);
        free(a->home);
        free(a->shell);
        free(a->groups);
        *a = ACCOUNT_NULL;
}

static char *path_or(const char *path, const char *otherwise)
{
        return strdup(path && path[0] == '/' ? path : otherwise);
}

static int account_add_groups(Account *a)
{
        int n = 16, room;

        /* It says how many there are, where the room is too small; more may come meanwhile. */
        do {
                gid_t *larger = reallocarray(a->groups, (size_t)n, sizeof(gid_t));

                if (!larger)
                        return -ENOMEM;
                a->groups = larger;
                room = n;
                if (getgrouplist(a->name, a->gid, a->groups, &n) >= 0)
                        break;
                n = MAX_OF(n, room + 1);
        } while (n <= NGROUPS_MAX);
        /* setgroups(2) takes no more. */
        a->n_groups = (size_t)MIN_OF(n, NGROUPS_MAX);
        return 0;
}

static int account_copy(const struct passwd *pw, Account *ret)
{
        _cleanup_account_ Account a = { .uid = pw->pw_uid, .gid = pw->pw_gid };
        int r;

        a.name = strdup(pw->pw_name);
        a.home = path_or(pw->pw_dir, "/");
        a.shell = path_or(pw->pw_shell, "/bin/sh");
        if (!a.name || !a.home || !a.shell)
                return -ENOMEM;
        r = account_add_groups(&a);
        if (r < 0)
                return r;
        *ret = a;
        a = ACCOUNT_NULL;
        return 0;
}

/* One attempt with so much room. -ERANGE: too little. */
static int account_ask(const char *user, char *room, size_t size, Account *ret)
{
        struct passwd entry, *pw = NULL;
        uint32_t uid;
        int r;

        /* A name that looks like a number is one, as POSIX has it for chown(1). */
        r = getpwnam_r(user, &entry, room, size, &pw);
        if (!pw && r != ERANGE && text_to_u32(user, &uid) >= 0)
                r = getpwuid_r(uid, &entry, room, size, &pw);
        if (pw)
                return account_copy(pw, ret);
        switch (r) {
        case 0:
        /* getpwnam(3): what implementations say of one that is not there. */
        case ENOENT:
        case ESRCH:
        case EBADF:
        case EPERM:
                return -ENOENT;
        default:
                return -r;
        }
}

int account_find(const char *user, Account *ret)
{
        int r = -ERANGE;

        for (size_t size = ENTRY_FIRST; r == -ERANGE && size <= ENTRY_MAX; size *= 4) {
                _cleanup_free_ char *room = malloc(size);

                r = room ? account_ask(user, room, size, ret) : -ENOMEM;
        }
        return r;
}

static AccountLookup *account_lookup_unref(AccountLookup *l)
{
        if (atomic_fetch_sub(&l->references, 1) > 1)
                return NULL;
        fd_close(l->fd);
        account_done(&l->account);
        free(l->user);
        free(l);
        return NULL;
}

static void *account_lookup_run(void *userdata)
{
        AccountLookup *l = userdata;

        l->result = account_find(l->user, &l->account);
        threads_leave(&threads);
        /* Cannot fail: the counter is at 0 and the descriptor lives as long as l. */
        (void)eventfd_write(l->fd, 1);
        account_lookup_unref(l);
        return NULL;
}

static int account_lookup_run_thread(AccountLookup *l)
{
        int r;

        atomic_fetch_add(&l->references, 1);
        r = threads_run(&threads, account_lookup_run, l);
        if (r < 0)
                atomic_fetch_sub(&l->references, 1);
        return r;
}

int account_lookup_start(const char *user, AccountLookup **ret)
{
        _cleanup_(account_lookup_freep) AccountLookup *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        atomic_init(&l->references, 1);
        l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->fd < 0)
                return -errno;
        l->user = strdup(user);
        if (!l->user)
                return -ENOMEM;
        r = account_lookup_run_thread(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int account_lookup_get_fd(const AccountLookup *l)
{
        return l->fd;
}

int account_lookup_finish(AccountLookup *l, Account *ret)
{
        eventfd_t ended;

        if (eventfd_read(l->fd, &ended) < 0)
                return -errno;
        if (l->result < 0)
                return l->result;
        *ret = l->account;
        l->account = ACCOUNT_NULL;
        return 0;
}

AccountLookup *account_lookup_free(AccountLookup *l)
{
        return l ? account_lookup_unref(l) : NULL;
}
