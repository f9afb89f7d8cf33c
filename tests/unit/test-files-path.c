/* SPDX-License-Identifier: MIT */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/unit/files-world.h"

/* What a file holds that is opened by this path, or -errno. */
static int content_of(const FileRoot *root, const char *path, char *ret, size_t size)
{
        _cleanup_close_ int fd = path_open(root, path, O_RDONLY, 0);
        ssize_t n;

        if (fd < 0)
                return fd;
        n = read(fd, ret, size - 1);
        assert_true(n >= 0);
        ret[n] = '\0';
        return 0;
}

static void assert_content(const FileRoot *root, const char *path, const char *content)
{
        char text[64] = "";
        int r = content_of(root, path, text, sizeof(text));

        if (r < 0 || strcmp(text, content) != 0)
                fail_msg("%s: %d, \"%s\" instead of \"%s\"", path, r, text, content);
}

static void test_a_confined_path_stays_within(void **state)
{
        static const char *const outside[] = {
                "/../../../../etc/passwd",    "/etc/passwd", "/up/etc/passwd", "/far", "/magic",
                "/proc/self/root/etc/passwd",
        };
        const Place *p = *state;
        char text[64];

        needs_confined(p);
        place_mkdir(p, "dir");
        place_write(p, "dir/file", "inside");
        place_link(p, "/dir", "absolute");
        place_link(p, "dir", "relative");
        place_link(p, "../../../../..", "up");
        place_link(p, "../../../etc/passwd", "far");
        place_link(p, "/proc/self/root/etc/passwd", "magic");
        assert_content(&p->confined, "/dir/file", "inside");
        assert_content(&p->confined, "/absolute/file", "inside");
        assert_content(&p->confined, "/relative/file", "inside");
        assert_content(&p->confined, "/../../dir/../dir/file", "inside");
        assert_content(&p->confined, "/up/dir/file", "inside");
        for (size_t i = 0; i < ELEMENTSOF(outside); i++)
                assert_int_equal(content_of(&p->confined, outside[i], text, sizeof(text)), -ENOENT);
}

static void test_an_unconfined_path_is_the_systems(void **state)
{
        const Place *p = *state;
        _cleanup_free_ char *file = place_path(p, "file");

        place_write(p, "file", "x");
        assert_content(&p->free, file, "x");
        assert_int_equal(path_open(&p->free, "/no/such", O_PATH, 0), -ENOENT);
}

static int without_openat2(void *userdata)
{
        const Place *p = userdata;
        FileRoot root = FILE_ROOT_NULL;

        if (!child_deny(SYS_openat2, -1, ENOSYS))
                return CHILD_CANNOT;
        return file_root_open(p->folder, &root) == -EOPNOTSUPP && root.fd < 0 ? 0 : 1;
}

static void test_a_kernel_without_openat2_does_not_confine(void **state)
{
        assert_int_equal(child_run(without_openat2, *state), 0);
}

static void test_a_root_that_is_none(void **state)
{
        const Place *p = *state;
        _cleanup_free_ char *file = place_path(p, "file");
        FileRoot root = FILE_ROOT_NULL;

        place_write(p, "file", "x");
        assert_int_equal(file_root_open(file, &root), -ENOTDIR);
        assert_int_equal(file_root_open("/no/such", &root), -ENOENT);
        assert_true(root.fd < 0);
}

static void assert_place(const Place *p, const char *path, const char *name, bool folder)
{
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;

        assert_int_equal(path_open_place(&p->confined, path, &place), 0);
        assert_string_equal(place.name, name);
        assert_int_equal(place.folder, folder);
        assert_true(place.fd >= 0);
}

static void assert_no_place(const Place *p, const char *path, int error)
{
        FilePlace place = FILE_PLACE_NULL;
        int r = path_open_place(&p->confined, path, &place);

        if (r != error)
                fail_msg("%s: %d instead of %d", path, r, error);
        assert_null(place.name);
}

static void test_the_last_component(void **state)
{
        const Place *p = *state;

        needs_confined(p);
        place_mkdir(p, "dir");
        place_write(p, "file", "x");
        assert_place(p, "/dir", "dir", false);
        assert_place(p, "//dir//", "dir", true);
        assert_place(p, "/dir/none", "none", false);
        assert_place(p, "/dir/../none", "none", false);
        assert_place(p, "/...", "...", false);
}

static void test_no_last_component(void **state)
{
        const Place *p = *state;

        needs_confined(p);
        place_write(p, "file", "x");
        assert_no_place(p, "/", -EBUSY);
        assert_no_place(p, "///", -EBUSY);
        assert_no_place(p, "/.", -EINVAL);
        assert_no_place(p, "/..", -EINVAL);
        assert_no_place(p, "/file/../", -EINVAL);
        assert_no_place(p, "relative", -EINVAL);
        assert_no_place(p, "", -EBUSY);
        assert_no_place(p, "/none/x", -ENOENT);
        assert_no_place(p, "/file/x", -ENOTDIR);
}

static void test_a_slash_at_the_end_means_a_folder(void **state)
{
        _cleanup_place_ FilePlace place = FILE_PLACE_NULL;
        const Place *p = *state;
        _cleanup_free_ char *path = place_path(p, "link/");
        struct stat st;

        place_mkdir(p, "dir");
        place_link(p, "dir", "link");
        assert_int_equal(path_open_place(&p->free, path, &place), 0);
        assert_int_equal(file_place_stat(&place, &st), -ENOTDIR);
        place.folder = false;
        assert_int_equal(file_place_stat(&place, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
}

/* As a user, in a process that hides from its like: a file that may not be opened. */
static int chmod_of_ones_own(void *userdata)
{
        _cleanup_close_ int fd = -EBADF, opened = -EBADF;
        _cleanup_free_ char *path = NULL;
        const Place *p = userdata;
        struct stat st;

        if (geteuid() == 0 && !child_become_nobody())
                return CHILD_CANNOT;
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return CHILD_CANNOT;
        path = place_path(p, "own");
        fd = path_open(&p->free, path, O_PATH, 0);
        if (fd < 0 || path_reopen(fd, O_RDONLY) != -EACCES)
                return 1;
        if (path_chmod(fd, 0600) < 0 || fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0600)
                return 2;
        opened = path_reopen(fd, O_RDONLY);
        return opened < 0 ? 3 : 0;
}

static void test_what_may_not_be_opened_can_be_changed(void **state)
{
        Place *p = *state;
        char *path = place_path(p, "own");

        place_write(p, "own", "x");
        assert_int_equal(chmod(path, 0), 0);
        if (geteuid() == 0)
                assert_int_equal(chown(path, CHILD_NOBODY, CHILD_NOBODY), 0);
        free(path); /* before there is a child, for which valgrind would look */
        assert_int_equal(child_run(chmod_of_ones_own, p), 0);
}

static void test_a_fifo_is_looked_at_without_opening_it(void **state)
{
        const Place *p = *state;
        _cleanup_free_ char *path = place_path(p, "fifo");
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        assert_int_equal(mkfifo(path, 0600), 0);
        fd = path_open(&p->free, path, O_PATH, 0);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISFIFO(st.st_mode));
        /* Nobody has it open: a writer that does not wait finds no reader. */
        assert_int_equal(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
        assert_int_equal(errno, ENXIO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
                TEST(test_a_confined_path_stays_within),
                TEST(test_an_unconfined_path_is_the_systems),
                TEST(test_a_kernel_without_openat2_does_not_confine),
                TEST(test_a_root_that_is_none),
                TEST(test_the_last_component),
                TEST(test_no_last_component),
                TEST(test_a_slash_at_the_end_means_a_folder),
                TEST(test_what_may_not_be_opened_can_be_changed),
                TEST(test_a_fifo_is_looked_at_without_opening_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
