/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "files/receive.h"

#define NSEC_PER_SEC INT64_C(1000000000)
#define MODE_SET_IDS (S_ISUID | S_ISGID)

/* The same names here, or else the same numbers. */
static unsigned find_user(Owners *o, const char *name, unsigned uid)
{
        struct passwd *pw;

        if (!name)
                return uid;
        if (!o->user || strcmp(o->user, name) != 0) {
                free(o->user);
                o->user = strdup(name);
                pw = getpwnam(name);
                o->uid = pw ? pw->pw_uid : RECORD_ID_NONE;
        }
        return o->uid != RECORD_ID_NONE ? o->uid : uid;
}

static unsigned find_group(Owners *o, const char *name, unsigned gid)
{
        struct group *gr;

        if (!name)
                return gid;
        if (!o->group || strcmp(o->group, name) != 0) {
                free(o->group);
                o->group = strdup(name);
                gr = getgrnam(name);
                o->gid = gr ? gr->gr_gid : RECORD_ID_NONE;
        }
        return o->gid != RECORD_ID_NONE ? o->gid : gid;
}

static void preserve(Receiver *r, const Record *record, Attributes *a)
{
        a->uid = find_user(&r->owners, record->user, record->uid);
        a->gid = find_group(&r->owners, record->group, record->gid);
        a->mtime_ns = record->mtime_ns;
        a->atime_ns = record->atime_ns;
        a->owner_optional = geteuid() != 0;
        if (record->mode != RECORD_ID_NONE)
                a->mode = record->mode;
}

void receive_attributes(Receiver *r, const Record *record, const struct stat *replaced,
                        Attributes *ret)
{
        const ReceiveSettings *s = &r->settings;
        Attributes a = { .uid = RECORD_ID_NONE,
                         .gid = RECORD_ID_NONE,
                         .mtime_ns = RECORD_TIME_NONE,
                         .atime_ns = RECORD_TIME_NONE };

        /* As if it had been made here, or had been written to. */
        a.mode =
                record->mode != RECORD_ID_NONE ? record->mode & 0777 & ~r->umask : 0666 & ~r->umask;
        if (replaced) {
                a.mode = replaced->st_mode & 0777;
                a.uid = replaced->st_uid;
                a.gid = replaced->st_gid;
                a.owner_optional = true;
        }
        if (s->preserve)
                preserve(r, record, &a);
        if (s->uid != RECORD_ID_NONE || s->gid != RECORD_ID_NONE)
                a.owner_optional = false;
        if (s->uid != RECORD_ID_NONE)
                a.uid = s->uid;
        if (s->gid != RECORD_ID_NONE)
                a.gid = s->gid;
        if (!record->path[0] && s->mode != RECORD_ID_NONE)
                a.mode = s->mode;
        if (!record->path[0] && s->mtime_ns != RECORD_TIME_NONE)
                a.mtime_ns = s->mtime_ns;
        *ret = a;
}

static struct timespec time_of(int64_t ns)
{
        struct timespec ts = { .tv_nsec = UTIME_OMIT };

        if (ns == RECORD_TIME_NONE)
                return ts;
        ts.tv_sec = ns / NSEC_PER_SEC;
        ts.tv_nsec = ns % NSEC_PER_SEC;
        if (ts.tv_nsec < 0) {
                ts.tv_nsec += NSEC_PER_SEC;
                ts.tv_sec--;
        }
        return ts;
}

static bool has_owner(const Attributes *a)
{
        return a->uid != RECORD_ID_NONE || a->gid != RECORD_ID_NONE;
}

static bool has_times(const Attributes *a)
{
        return a->mtime_ns != RECORD_TIME_NONE || a->atime_ns != RECORD_TIME_NONE;
}

/* What becomes of a chown that failed: the group alone may still be one of ours. */
static int owner_refused(const Attributes *a, int error)
{
        return a->owner_optional && (error == EPERM || error == EINVAL) ? 0 : -error;
}

int attributes_apply(const Attributes *a, int fd)
{
        const struct timespec times[2] = { time_of(a->atime_ns), time_of(a->mtime_ns) };
        unsigned mode = a->mode;
        int r;

        /* Before the mode: chown() takes the set-id bits away. */
        if (has_owner(a) && fchown(fd, a->uid, a->gid) < 0) {
                r = owner_refused(a, errno);
                if (r < 0)
                        return r;
                if (a->gid != RECORD_ID_NONE && fchown(fd, (uid_t)-1, a->gid) < 0) {
                        r = owner_refused(a, errno);
                        if (r < 0)
                                return r;
                }
                /* Set-id of another than meant is a hole. */
                mode &= mode == RECORD_ID_NONE ? mode : ~(unsigned)MODE_SET_IDS;
        }
        if (mode != RECORD_ID_NONE && fchmod(fd, mode & 07777) < 0)
                return -errno;
        if (has_times(a) && futimens(fd, times) < 0)
                return -errno;
        return 0;
}

int attributes_apply_link(const Attributes *a, int folder, const char *name)
{
        const struct timespec times[2] = { time_of(a->atime_ns), time_of(a->mtime_ns) };
        int r;

        if (has_owner(a) && fchownat(folder, name, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0) {
                r = owner_refused(a, errno);
                if (r < 0)
                        return r;
        }
        if (has_times(a) && utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return 0;
}
