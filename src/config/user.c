/* SPDX-License-Identifier: MIT */
#include "config/user.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int user_copy(const struct passwd *pw, User *ret)
{
        User u = { .uid = pw->pw_uid, .gid = pw->pw_gid };

        u.name = strdup(pw->pw_name);
        u.home = strdup(pw->pw_dir && *pw->pw_dir ? pw->pw_dir : "/");
        u.shell = strdup(pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
        if (!u.name || !u.home || !u.shell) {
                user_done(&u);
                return -ENOMEM;
        }
        *ret = u;
        return 0;
}

int user_find(const char *name, uid_t uid, User *ret)
{
        struct passwd *pw;
        int r = -ENOENT;
        FILE *f;

        f = fopen("/etc/passwd", "re");
        if (!f)
                return -errno;
        while (r == -ENOENT && (pw = fgetpwent(f)))
                if (name ? strcmp(pw->pw_name, name) == 0 : pw->pw_uid == uid)
                        r = user_copy(pw, ret);
        fclose(f);
        return r;
}

void user_done(User *u)
{
        free(u->name);
        free(u->home);
        free(u->shell);
        *u = USER_NULL;
}

int user_find_number(const char *name, uint32_t *ret)
{
        _cleanup_user_ User u = USER_NULL;
        int r;

        r = user_find(name, 0, &u);
        if (r >= 0)
                *ret = u.uid;
        return r;
}

int user_find_group(const char *name, uint32_t *ret)
{
        struct group *gr;
        int r = -ENOENT;
        FILE *f;

        f = fopen("/etc/group", "re");
        if (!f)
                return -errno;
        while (r < 0 && (gr = fgetgrent(f)))
                if (strcmp(gr->gr_name, name) == 0) {
                        *ret = gr->gr_gid;
                        r = 0;
                }
        fclose(f);
        return r;
}

static bool has_member(const struct group *gr, const char *name)
{
        for (char *const *m = gr->gr_mem; m && *m; m++)
                if (strcmp(*m, name) == 0)
                        return true;
        return false;
}

static int groups_add(gid_t **list, size_t *n, gid_t gid)
{
        gid_t *larger;

        for (size_t i = 0; i < *n; i++)
                if ((*list)[i] == gid)
                        return 0;
        /* setgroups(2) takes no more. */
        if (*n == NGROUPS_MAX)
                return 0;
        larger = reallocarray(*list, *n + 1, sizeof(gid_t));
        if (!larger)
                return -ENOMEM;
        larger[(*n)++] = gid;
        *list = larger;
        return 0;
}

int user_groups(const char *name, gid_t gid, gid_t **ret, size_t *ret_n)
{
        _cleanup_free_ gid_t *list = NULL;
        struct group *gr;
        size_t n = 0;
        FILE *f;
        int r;

        r = groups_add(&list, &n, gid);
        if (r < 0)
                return r;
        f = name ? fopen("/etc/group", "re") : NULL;
        /* Without the file there are no further groups. */
        if (name && !f && errno != ENOENT)
                return -errno;
        while (f && r >= 0 && (gr = fgetgrent(f)))
                if (has_member(gr, name))
                        r = groups_add(&list, &n, gr->gr_gid);
        if (f)
                fclose(f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}
