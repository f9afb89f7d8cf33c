/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/listen.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

/* Which files and folders a listener accepts, makes, replaces and leaves alone. */

/* Up to the last byte that fits, and with a name of which no prefix has room. */
static void test_unix_longest_path(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        char name[ADDRESS_PATH_MAX + 1] = { 0 };

        memset(name, 'n', ADDRESS_PATH_MAX - strlen(s->folder) - 1);
        scratch_name(s, name);
        assert_int_equal(strlen(s->path), ADDRESS_PATH_MAX);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_answers(s->path);
        assert_refused(s, -EADDRINUSE, "somebody listens");
        listen_file_remove(&s->address, fd);
        assert_int_equal(access(s->path, F_OK), -1);
}

static void test_dead_socket_is_replaced(void **state)
{
        Scratch *s = *state;
        int fd;

        close(unix_socket_at(s->path, SOCK_STREAM));
        for (int i = 0; i < 3; i++) {
                fd = scratch_listen(s, &private_file);
                assert_true(fd >= 0);
                assert_answers(s->path);
                close(fd);
                assert_int_equal(unix_socket_to(s->path), -ECONNREFUSED);
        }
}

static void test_live_socket_stays(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;

        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_refused(s, -EADDRINUSE, "somebody listens on");
        assert_answers(s->path);
}

static void test_full_and_datagram_sockets_stay(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int full = -EBADF, datagram = -EBADF, queued = -EBADF;

        full = unix_socket_at(s->path, SOCK_STREAM);
        assert_int_equal(listen(full, 0), 0);
        queued = unix_socket_to(s->path);
        assert_true(queued >= 0);
        assert_int_equal(unix_socket_to(s->path), -EAGAIN);
        assert_refused(s, -EADDRINUSE, "somebody listens on");
        assert_int_equal(mode_of(s->path) & S_IFMT, S_IFSOCK);

        scratch_name(s, "datagram");
        datagram = unix_socket_at(s->path, SOCK_DGRAM);
        assert_refused(s, -EADDRINUSE, "somebody listens on");
        assert_int_equal(mode_of(s->path) & S_IFMT, S_IFSOCK);
}

static void test_other_files_stay(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;

        fd = open(s->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "kept", 4), 4);
        assert_refused(s, -EEXIST, "is no socket");
        assert_int_equal(lseek(fd, 0, SEEK_END), 4);
        assert_int_equal(mode_of(s->path), S_IFREG | 0600);

        scratch_name(s, "folder");
        assert_int_equal(mkdir(s->path, 0700), 0);
        assert_refused(s, -EEXIST, "is no socket");
        assert_int_equal(mode_of(s->path), S_IFDIR | 0700);

        scratch_name(s, "fifo");
        assert_int_equal(mkfifo(s->path, 0600), 0);
        assert_refused(s, -EEXIST, "is no socket");
        assert_int_equal(mode_of(s->path), S_IFIFO | 0600);
}

/* Links are neither followed nor replaced, wherever they point. */
static void test_planted_links_stay(void **state)
{
        static const char *const targets[] = { "live.sock", "dead.sock", "nothing", "/etc/passwd" };
        Scratch *s = *state;
        _cleanup_close_ int live = -EBADF;

        scratch_name(s, "live.sock");
        live = scratch_listen(s, &private_file);
        assert_true(live >= 0);
        scratch_name(s, "dead.sock");
        close(unix_socket_at(s->path, SOCK_STREAM));
        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                scratch_name(s, "link");
                assert_int_equal(symlink(targets[i], s->path), 0);
                assert_refused(s, -EEXIST, "is no socket");
                assert_true(S_ISLNK(mode_of(s->path)));
                assert_int_equal(unlink(s->path), 0);
        }
        scratch_name(s, "nothing");
        assert_int_equal(access(s->path, F_OK), -1);
        scratch_name(s, "dead.sock");
        assert_true(S_ISSOCK(mode_of(s->path)));
        scratch_name(s, "live.sock");
        assert_answers(s->path);
}

static void test_dead_socket_of_another(void **state)
{
        Scratch *s = *state;

        if (geteuid() != 0)
                cannot_run("only root can give files away");
        close(unix_socket_at(s->path, SOCK_STREAM));
        assert_int_equal(chown(s->path, CHILD_NOBODY, (gid_t)-1), 0);
        assert_refused(s, -EEXIST, "is a socket of uid 65534");
        assert_true(S_ISSOCK(mode_of(s->path)));
}

static void test_folder_open_to_others(void **state)
{
        static const struct {
                mode_t mode;
                bool safe;
        } cases[] = {
                { 0700, true },  { 0755, true },   { 0775, false }, { 0757, false },
                { 0777, false }, { 01777, true },  { 01775, true }, { 02755, true },
                { 0770, false }, { 02770, false },
        };
        Scratch *s = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(chmod(s->folder, cases[i].mode), 0);
                if (cases[i].safe) {
                        int fd = scratch_listen(s, &private_file);

                        assert_true(fd >= 0);
                        listen_file_remove(&s->address, fd);
                        close(fd);
                } else {
                        assert_refused(s, -EPERM, "lets others write");
                }
                assert_int_equal(access(s->path, F_OK), -1);
        }
}

static void test_folder_of_another(void **state)
{
        Scratch *s = *state;

        if (geteuid() != 0)
                cannot_run("only root can give folders away");
        assert_int_equal(chown(s->folder, CHILD_NOBODY, (gid_t)-1), 0);
        assert_refused(s, -EPERM, "belongs to another user");
        assert_int_equal(chmod(s->folder, 01777), 0);
        assert_refused(s, -EPERM, "belongs to another user");
        assert_int_equal(access(s->path, F_OK), -1);
}

static void test_folder_through_a_link(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;

        scratch_name(s, "real");
        assert_int_equal(mkdir(s->path, 0755), 0);
        scratch_name(s, "link");
        assert_int_equal(symlink("real", s->path), 0);
        scratch_name(s, "link/a.sock");
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_answers(s->path);
        listen_file_remove(&s->address, fd);

        /* What counts is the folder itself, not the link. */
        scratch_name(s, "real");
        assert_int_equal(chmod(s->path, 0777), 0);
        scratch_name(s, "link/a.sock");
        assert_refused(s, -EPERM, "lets others write");
}

static void test_missing_folder(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        mode_t mask;

        scratch_name(s, "made/a.sock");
        mask = umask(0077);
        fd = scratch_listen(s, &private_file);
        assert_int_equal(umask(mask), 0077);
        assert_true(fd >= 0);
        assert_answers(s->path);
        scratch_name(s, "made");
        assert_int_equal(mode_of(s->path), S_IFDIR | 0755);

        scratch_name(s, "two/levels/a.sock");
        assert_refused(s, -ENOENT, "mkdir -p");
        scratch_name(s, "two");
        assert_int_equal(access(s->path, F_OK), -1);

        /* A link to nowhere is not followed to make a folder there. */
        scratch_name(s, "link");
        assert_int_equal(symlink("elsewhere", s->path), 0);
        scratch_name(s, "link/a.sock");
        assert_refused(s, -ENOENT, "cannot listen on");
        scratch_name(s, "elsewhere");
        assert_int_equal(access(s->path, F_OK), -1);

        scratch_name(s, "file");
        close(open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        scratch_name(s, "file/a.sock");
        assert_refused(s, -ENOTDIR, "cannot open the folder");

        assert_int_equal(chmod(s->folder, 0777), 0);
        scratch_name(s, "unsafe/a.sock");
        assert_refused(s, -EPERM, "lets others write");
        scratch_name(s, "unsafe");
        assert_int_equal(access(s->path, F_OK), -1);
}

static int nobody_listens_in_folder(void *userdata)
{
        return nobody_listens(userdata, "no permission to write in its folder");
}

static void test_folder_without_permission(void **state)
{
        Scratch *s = *state;

        if (geteuid() != 0)
                cannot_run("only root can become another user");
        assert_int_equal(chmod(s->folder, 0755), 0);
        assert_int_equal(child_run(nobody_listens_in_folder, &s->address), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                with_scratch(test_unix_longest_path),
                with_scratch(test_dead_socket_is_replaced),
                with_scratch(test_live_socket_stays),
                with_scratch(test_full_and_datagram_sockets_stay),
                with_scratch(test_other_files_stay),
                with_scratch(test_planted_links_stay),
                with_scratch(test_dead_socket_of_another),
                with_scratch(test_folder_open_to_others),
                with_scratch(test_folder_of_another),
                with_scratch(test_folder_through_a_link),
                with_scratch(test_missing_folder),
                with_scratch(test_folder_without_permission),
        };

        return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
