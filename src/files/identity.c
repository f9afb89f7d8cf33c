/* SPDX-License-Identifier: MIT */
#include "files/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

/* Why there was no answer: getpwnam(3) lists what some systems say for "none". */
static int not_found(int error)
{
        switch (error) {
        case 0:
        case ENOENT:
        case ESRCH:
        case EBADF:
        case EPERM:
                return -ENOENT;
        default:
                return -error;
        }
}

/* A number in digits; (uint32_t)-1 means "none" to the kernel, and is nobody's. */
static int to_number(const char *text, uint32_t *ret)
{
        uint32_t number;

        if (text[0] < '0' || text[0] > '9' || text_to_u32(text, &number) < 0 ||
            number == UINT32_MAX)
                return -ENOENT;
        *ret = number;
        return 0;
}

/* Of what is no name: its number. Where the name service has no answer there is none either. */
static int to_number_without_name(int error, const char *text, uint32_t *ret)
{
        int r = not_found(error);

        return r == -ENOENT ? to_number(text, ret) : r;
}

int identity_find_user(const char *text, uid_t *ret)
{
        const struct passwd *p;

        errno = 0;
        p = getpwnam(text);
        if (!p)
                return to_number_without_name(errno, text, ret);
        *ret = p->pw_uid;
        return 0;
}

int identity_find_group(const char *text, gid_t *ret)
{
        const struct group *g;

        errno = 0;
        g = getgrnam(text);
        if (!g)
                return to_number_without_name(errno, text, ret);
        *ret = g->gr_gid;
        return 0;
}

/* From root to another user the kernel takes them away by itself, unless secure bits say not to. */
static int drop_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int identity_become(const char *user)
{
        _cleanup_free_ char *name = NULL;
        const struct passwd *p;
        uid_t uid, number;
        gid_t gid;

        errno = 0;
        p = getpwnam(user);
        if (!p && not_found(errno) == -ENOENT && to_number(user, &number) >= 0) {
                errno = 0;
                p = getpwuid(number);
        }
        if (!p)
                return not_found(errno);
        /* Its memory is the C library's, and used again by what follows. */
        name = strdup(p->pw_name);
        if (!name)
                return -ENOMEM;
        uid = p->pw_uid;
        gid = p->pw_gid;
        /* Who is not root can be nobody but himself. */
        if (geteuid() != 0 && geteuid() == uid)
                return 0;
        if (initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(uid, uid, uid) < 0)
                return -errno;
        return uid != 0 ? drop_capabilities() : 0;
}
