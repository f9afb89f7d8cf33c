/* SPDX-License-Identifier: MIT */
#include "config/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "config/config.h"
#include "config/merge.h"
#include "config/token.h"

/* The file of a drop-in that holds: of those with its name, the one in the strongest folder. */
typedef struct DropIn DropIn;

struct DropIn {
        char *name;
        char *path;
        size_t folder; /* the higher, the stronger */
};

typedef struct DropIns DropIns;

struct DropIns {
        DropIn *list;
        size_t n;
};

static void drop_ins_done(DropIns *d)
{
        for (size_t i = 0; i < d->n; i++) {
                free(d->list[i].name);
                free(d->list[i].path);
        }
        free(d->list);
}

int config_read_file(const char *path, char **ret, size_t *ret_n)
{
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *data = NULL;
        struct stat st;
        size_t n = 0, size;

        /* Not to wait for the writer of a FIFO; it is refused below. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                /* A socket's file cannot be opened. */
                return errno == ENXIO ? -EBADFD : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return CONFIG_FILE_MASKED;
        if (!S_ISREG(st.st_mode))
                return -EBADFD;
        if (st.st_size > (off_t)CONFIG_FILE_MAX)
                return -EFBIG;

        /* A byte more, in case it grows meanwhile: then it is read to its end. */
        size = (size_t)st.st_size + 1;
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        for (;;) {
                ssize_t k;

                if (n == size) {
                        char *larger;

                        if (size > CONFIG_FILE_MAX)
                                return -EFBIG;
                        size = MIN_OF(size * 2, (size_t)CONFIG_FILE_MAX + 1);
                        larger = realloc(data, size);
                        if (!larger)
                                return -ENOMEM;
                        data = larger;
                }
                k = read(fd, data + n, size - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
        }
        *ret = TAKE_PTR(data);
        *ret_n = n;
        return 0;
}

/* may_be_absent: the file need not be there. 0 (errors are noted) or -ENOMEM. */
static int load_file(ConfigMerge *m, const char *path, bool may_be_absent)
{
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        int r;

        r = config_read_file(path, &text, &n);
        if (r == -ENOMEM)
                return r;
        if (r == CONFIG_FILE_MASKED || (r == -ENOENT && may_be_absent))
                return 0;
        if (r == -ENOENT)
                config_merge_refuse(m, path,
                                    "there is no such file: create it, or correct the "
                                    "name or the link");
        else if (r == -EBADFD)
                config_merge_refuse(m, path,
                                    "it is not a regular file: replace it by one (a link "
                                    "to /dev/null masks a drop-in)");
        else if (r == -EFBIG)
                config_merge_refuse(m, path, "it is larger than %u bytes: make it smaller",
                                    CONFIG_FILE_MAX);
        else if (r < 0)
                config_merge_refuse(m, path,
                                    "it cannot be read (%s): correct its permissions or "
                                    "remove it",
                                    strerror(-r));
        else
                return config_merge_text(m, path, text, n);
        return m->error;
}

static bool is_drop_in(const char *name)
{
        size_t n = strlen(name), suffix = strlen(".conf");

        return name[0] != '.' && n > suffix && strcmp(name + n - suffix, ".conf") == 0;
}

static int drop_ins_add(DropIns *d, const char *folder, size_t n_folder, const char *name)
{
        _cleanup_free_ char *path = NULL, *copy = NULL;
        DropIn *list;

        path = text_format("%s/%s", folder, name);
        copy = strdup(name);
        list = reallocarray(d->list, d->n + 1, sizeof(*list));
        if (list)
                d->list = list;
        if (!path || !copy || !list)
                return -ENOMEM;
        d->list[d->n++] =
                (DropIn){ .name = TAKE_PTR(copy), .path = TAKE_PTR(path), .folder = n_folder };
        return 0;
}

/* Notes the drop-ins of one folder, which may be absent. */
static int drop_ins_scan(DropIns *d, ConfigMerge *m, const char *folder, size_t n_folder)
{
        struct dirent *entry;
        int r = 0;
        DIR *dir;

        dir = opendir(folder);
        if (!dir && errno == ENOENT)
                return 0;
        if (!dir) {
                config_merge_refuse(m, folder,
                                    "the folder cannot be read (%s): correct its "
                                    "permissions or remove it",
                                    strerror(errno));
                return m->error;
        }
        while (r == 0 && (errno = 0, entry = readdir(dir)))
                if (is_drop_in(entry->d_name))
                        r = drop_ins_add(d, folder, n_folder, entry->d_name);
        if (r == 0 && errno != 0) {
                config_merge_refuse(m, folder, "the folder cannot be read (%s): check the disk",
                                    strerror(errno));
                r = m->error;
        }
        closedir(dir);
        return r;
}

/* By name; the strongest of one name first. */
static int drop_in_compare(const void *a, const void *b)
{
        const DropIn *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        if (r != 0)
                return r;
        return x->folder > y->folder ? -1 : 1;
}

static int load_drop_ins(ConfigMerge *m, const char *const *folders)
{
        _cleanup_(drop_ins_done) DropIns d = { 0 };
        int r;

        for (size_t i = 0; folders[i]; i++) {
                r = drop_ins_scan(&d, m, folders[i], i);
                if (r < 0)
                        return r;
        }
        if (d.n > 0)
                qsort(d.list, d.n, sizeof(*d.list), drop_in_compare);
        for (size_t i = 0; i < d.n; i++) {
                if (i > 0 && strcmp(d.list[i].name, d.list[i - 1].name) == 0)
                        continue;
                r = load_file(m, d.list[i].path, false);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What a host gives its guest from outside goes before all that the guest's own files say. */
static int load_credential(ConfigMerge *m)
{
        _cleanup_free_ char *path = NULL;
        int r;

        r = credential_path("guestwire.conf", &path);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return load_file(m, path, true);
}

int config_load_from(const char *main_file, const char *const *folders, Config **ret,
                     ConfigErrors *errors)
{
        _cleanup_config_merge_ ConfigMerge m = { 0 };
        int r;

        r = config_merge_init(&m);
        if (r < 0)
                return r;
        if (main_file) {
                r = load_file(&m, main_file, true);
                if (r < 0)
                        return r;
        }
        r = load_drop_ins(&m, folders);
        if (r >= 0)
                r = load_credential(&m);
        if (r < 0)
                return r;
        return config_merge_finish(&m, ret, errors);
}

int config_load(const char *file, Config **ret, ConfigErrors *errors)
{
        static const char *const folders[] = {
                PREFIX "/lib/guestwire/conf.d",
                "/run/guestwire/conf.d",
                SYSCONFDIR "/guestwire/conf.d",
                NULL,
        };
        _cleanup_config_merge_ ConfigMerge m = { 0 };
        int r;

        if (!file)
                return config_load_from(SYSCONFDIR "/guestwire/guestwire.conf", folders, ret,
                                        errors);

        r = config_merge_init(&m);
        if (r < 0)
                return r;
        r = load_file(&m, file, false);
        if (r < 0)
                return r;
        return config_merge_finish(&m, ret, errors);
}

int config_load_text(const char *name, const char *text, size_t n, Config **ret,
                     ConfigErrors *errors)
{
        _cleanup_config_merge_ ConfigMerge m = { 0 };
        int r;

        r = config_merge_init(&m);
        if (r < 0)
                return r;
        r = config_merge_text(&m, name, text, n);
        if (r < 0)
                return r;
        return config_merge_finish(&m, ret, errors);
}
