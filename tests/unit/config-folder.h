/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of configuration files have around them: a folder of folders. */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/config-text.h"
#include "config/load.h"

typedef struct Folder {
        char path[64];
} Folder;

static inline _unused_ int remove_entry(const char *path, const struct stat *st, int kind,
                                        struct FTW *ftw)
{
        return remove(path);
}

static inline _unused_ int folder_setup(void **state)
{
        Folder *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        strcpy(f->path, "/tmp/guestwire-test-config-XXXXXX");
        assert_non_null(mkdtemp(f->path));
        *state = f;
        return 0;
}

static inline _unused_ int folder_teardown(void **state)
{
        Folder *f = *state;

        (void)nftw(f->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static inline _unused_ char *folder_path(const Folder *f, const char *name)
{
        char *path = text_format("%s/%s", f->path, name);
        char *slash;

        assert_non_null(path);
        slash = strrchr(path, '/');
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
        return path;
}

static inline _unused_ void folder_write(const Folder *f, const char *name, const char *text)
{
        _cleanup_free_ char *path = folder_path(f, name);
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static inline _unused_ void folder_link(const Folder *f, const char *name, const char *target)
{
        _cleanup_free_ char *path = folder_path(f, name);

        assert_int_equal(symlink(target, path), 0);
}

/* As the installed configuration is read: "main", then drop-ins from "lib", "run" and "etc". */
static inline _unused_ int folder_load(const Folder *f, Config **ret, ConfigErrors *errors)
{
        _cleanup_free_ char *main_file = text_format("%s/main", f->path);
        _cleanup_free_ char *lib = text_format("%s/lib", f->path);
        _cleanup_free_ char *run = text_format("%s/run", f->path);
        _cleanup_free_ char *etc = text_format("%s/etc", f->path);
        const char *folders[] = { lib, run, etc, NULL };

        return config_load_from(main_file, folders, ret, errors);
}

static inline _unused_ Config *folder_load_well(const Folder *f)
{
        ConfigErrors errors = { 0 };
        Config *c = NULL;
        int r;

        r = folder_load(f, &c, &errors);
        if (r < 0)
                fail_msg("%s", errors.list ? errors.list[0] : strerror(-r));
        return c;
}

/* The errors, with the folder's path taken away. */
static inline _unused_ char *folder_refuse(const Folder *f)
{
        _cleanup_free_ char *text = NULL;
        ConfigErrors errors = { 0 };
        Config *c = NULL;
        size_t n = strlen(f->path) + 1;

        assert_int_equal(folder_load(f, &c, &errors), -EINVAL);
        assert_null(c);
        text = errors_join(&errors);
        for (char *p = text; (p = strstr(p, f->path));)
                memmove(p, p + n, strlen(p + n) + 1);
        return TAKE_PTR(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
