/* SPDX-License-Identifier: MIT */

/* Files and trees that arrive as they were sent. */

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/unit/transfer-world.h"

#include "files/hash.h"

#define BIG ((size_t)3 * 1024 * 1024 + 17)

/* What a disk answers instead of what it would: an errno, or 0. */
static _Atomic int pread_error, close_error;

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
        const struct iovec iov = { .iov_base = to, .iov_len = n };

        if (pread_error == 0)
                return preadv(fd, &iov, 1, offset);
        errno = pread_error;
        return -1;
}

/* Only of what can be written to. */
int close(int fd)
{
        struct stat st;
        bool ill = close_error != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                   (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
        int r = (int)syscall(SYS_close, fd);

        if (!ill)
                return r;
        errno = close_error;
        return -1;
}

static void test_file(void **state)
{
        static const size_t sizes[] = { 0, 1, 4096, 256 * 1024, 256 * 1024 + 1, BIG };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_free_ char *data = some_bytes(sizes[i]);

                make_file("from/a", data, sizes[i]);
                chmod("from/a", 0640);
                world_copy(w, "a", "b");
                assert_copied(w);
                assert_same("from/a", "to/b");
                assert_mode("to/b", 0640);
                assert_int_equal(w->receiver.stats.files, 1);
                assert_int_equal(w->receiver.stats.bytes, sizes[i]);
                assert_int_equal(w->receiver.stats.total_bytes, sizes[i]);
                assert_string_equal(w->receiver.stats.hash, w->sender.stats.hash);
                assert_int_equal(count_names("to"), 1);
                assert_int_equal(unlink("to/b"), 0);
        }
}

/* As `xxhsum -H2` prints it. */
static void test_hash_is_xxh3_128(void **state)
{
        _cleanup_(hash_done) Hash h = {};
        char empty[HASH_TEXT_SIZE], zeros[HASH_TEXT_SIZE], bytes[HASH_TEXT_SIZE];
        _cleanup_free_ char *block = calloc(1, 100001);

        assert_int_equal(hash_begin(&h), 0);
        hash_text(&h, empty);
        assert_string_equal(empty, "99aa06d3014798d86001c324468d497f");
        hash_add_zeros(&h, 100001);
        hash_text(&h, zeros);
        assert_int_equal(hash_begin(&h), 0);
        hash_add(&h, block, 100001);
        hash_text(&h, bytes);
        assert_string_equal(zeros, bytes);
}

static void make_tree(void)
{
        _cleanup_free_ char *data = some_bytes(BIG);

        assert_int_equal(system("cd from && mkdir -p t/empty t/a/b/c t/locked && ln -s ../nowhere "
                                "t/a/dangling && ln -s / t/root && echo x > t/a/b/c/x && "
                                "printf 1 > \"$(printf 't/a\\nb')\" && "
                                "printf 2 > \"$(printf 't/\\377\\376')\" && "
                                "printf 3 > 't/ \"\\back' && printf 4 > t/-r && "
                                "ln -s \"$(printf '\\377')\" t/odd && "
                                "printf 5 > t/$(printf '%0255d' 7) && echo y > t/locked/y && "
                                "chmod 0555 t/locked && chmod 4711 t/-r && chmod 1777 t/empty && "
                                "touch -d '1999-12-31 23:59:59.123456789' t/a/b t t/a/b/c/x && "
                                "touch -h -d '2001-02-03 04:05:06' t/root && "
                                "touch -d '1960-01-01 00:00:00.5' t/locked"),
                         0);
        make_file("from/t/big", data, BIG);
        assert_int_equal(system("touch -d '1999-12-31 23:59:59.123456789' from/t"), 0);
}

/* Names, kinds, modes, times, targets: two lists that must be the same. */
static void assert_same_tree(const char *format)
{
        _cleanup_free_ char *command =
                text_format("cd from/t && find . -printf '%s' | sort -z > ../../list && "
                            "cd ../../to/t && find . -printf '%s' | sort -z | cmp - ../../list >&2 "
                            "&& cd ../.. && diff -r --no-dereference from/t to/t >&2",
                            format, format);

        assert_int_equal(system(command), 0);
}

static void test_tree_preserved(void **state)
{
        World *w = *state;

        make_tree();
        w->receive.preserve = true;
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_int_equal(w->receiver.stats.failed, 0);
        assert_int_equal(w->receiver.stats.directories, 6);
        assert_int_equal(w->receiver.stats.links, 3);
        assert_int_equal(w->receiver.stats.files, 8);
        assert_same_tree("%P %y %m %T@ %U %G %l\\0");
        /* Once more onto itself: all is replaced, nothing is left. */
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_same_tree("%P %y %m %T@ %U %G %l\\0");
}

static void test_tree_as_made_here(void **state)
{
        World *w = *state;
        mode_t before = umask(027);

        make_tree();
        world_copy(w, "t", "t");
        umask(before);
        assert_copied(w);
        assert_same_tree("%P %y %l\\0");
        assert_mode("to/t/a", 0750);
        assert_mode("to/t/locked", 0550);
        assert_mode("to/t/-r", 0710);
        assert_mode("to/t/a/b/c/x", 0640);
}

/* Longer than any path may be: 40 folders of 255 letters. */
static void test_deep_tree(void **state)
{
        World *w = *state;

        assert_int_equal(system("cd from && mkdir t && cd t && n=$(printf '%0255d' 1) && "
                                "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 "
                                "23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do "
                                "mkdir $n && cd -P $n && echo $i > f || exit 1; done"),
                         0);
        w->receive.preserve = true;
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_int_equal(w->receiver.stats.directories, 41);
        assert_int_equal(w->receiver.stats.files, 40);
        assert_int_equal(system("cd to/t && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 "
                                "19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 "
                                "40; do cd -P 0* && test $(cat f) = $i || exit 1; done"),
                         0);
}

/* Too deep is told, and what is above arrives. */
static void test_too_deep_tree(void **state)
{
        World *w = *state;
        int fd, inner;

        assert_int_equal(mkdir("from/t", 0755), 0);
        fd = open("from/t", O_PATH | O_CLOEXEC);
        for (unsigned i = 0; i < TRANSFER_DEPTH_MAX + 3; i++) {
                assert_int_equal(mkdirat(fd, "d", 0755), 0);
                inner = openat(fd, "d", O_PATH | O_CLOEXEC);
                close(fd);
                fd = inner;
        }
        close(fd);
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_int_equal(w->sender.n_failed, 1);
        assert_non_null(strstr(w->sender.message, "500 levels"));
        assert_int_equal(w->receiver.stats.directories, TRANSFER_DEPTH_MAX);
}

static void test_sparse_stays_sparse(void **state)
{
        World *w = *state;
        struct stat st;
        int fd = open("from/s", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
        assert_int_equal(pwrite(fd, "middle", 6, 50 << 20), 6);
        assert_int_equal(ftruncate(fd, 100 << 20), 0);
        close(fd);
        world_copy(w, "s", "s");
        assert_copied(w);
        assert_same("from/s", "to/s");
        assert_int_equal(stat("to/s", &st), 0);
        assert_int_equal(st.st_size, 100 << 20);
        assert_true(st.st_blocks * 512 < 1 << 20);
        assert_true(w->sender.wire.sent < 1 << 20);
        assert_int_equal(w->receiver.stats.bytes, 100 << 20);
        assert_string_equal(w->receiver.stats.hash, w->sender.stats.hash);
}

/* Zeros that somebody wrote take their place there, too. */
static void test_zeros_are_data(void **state)
{
        _cleanup_free_ char *zeros = calloc(1, 4 << 20);
        World *w = *state;
        struct stat st;

        make_file("from/z", zeros, 4 << 20);
        world_copy(w, "z", "z");
        assert_copied(w);
        assert_int_equal(stat("to/z", &st), 0);
        assert_true(st.st_blocks * 512 >= 4 << 20);
}

/* Who writes to a file leaves its mode and owner alone. */
static void test_replaced_keeps_its_mode(void **state)
{
        World *w = *state;

        make_file("from/a", "new", 3);
        make_file("to/a", "old and longer", 14);
        chmod("to/a", 0604);
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_same("from/a", "to/a");
        assert_mode("to/a", 0604);
        assert_int_equal(count_names("to"), 1);
}

static void test_said_attributes(void **state)
{
        World *w = *state;
        struct stat st;

        make_file("from/a", "x", 1);
        w->receive.mode = 04705;
        w->receive.mtime_ns = -1500000000;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_mode("to/a", 04705);
        assert_int_equal(stat("to/a", &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, -2);
        assert_int_equal(st.st_mtim.tv_nsec, 500000000);
}

static void test_owner(void **state)
{
        World *w = *state;
        struct stat st;

        if (geteuid() != 0)
                cannot_run("not root");
        make_file("from/a", "x", 1);
        assert_int_equal(chown("from/a", 54321, 12345), 0);
        w->receive.preserve = true;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_int_equal(stat("to/a", &st), 0);
        assert_int_equal(st.st_uid, 54321);
        assert_int_equal(st.st_gid, 12345);
        w->receive.uid = 7;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_int_equal(stat("to/a", &st), 0);
        assert_int_equal(st.st_uid, 7);
        assert_int_equal(st.st_gid, 12345);
}

static void test_link_itself(void **state)
{
        World *w = *state;
        char target[16] = "";

        make_file("to/f", "behind", 6);
        assert_int_equal(symlink("f", "to/b"), 0);
        assert_int_equal(symlink("elsewhere", "from/a"), 0);
        world_copy(w, "a", "b");
        assert_copied(w);
        assert_int_equal(readlink("to/b", target, sizeof(target)), 9);
        assert_string_equal(target, "elsewhere");
        /* And a file takes the place of a link; what that led to stays. */
        make_file("from/c", "new", 3);
        assert_int_equal(unlink("to/b"), 0);
        assert_int_equal(symlink("f", "to/b"), 0);
        world_copy(w, "c", "b");
        assert_copied(w);
        assert_same("from/c", "to/b");
        assert_int_equal(system("test ! -L to/b && test $(cat to/f) = behind"), 0);
}

/* A disk elsewhere that is full says so when a file is closed: what was there before stays. */
static void test_a_disk_that_tells_at_close(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG);
        World *w = *state;

        make_file("from/a", data, BIG);
        make_file("from/b", "small", 5);
        make_file("to/a", "before", 6);
        for (size_t i = 0; i < 2; i++) {
                close_error = ENOSPC;
                world_copy(w, i == 0 ? "a" : "b", "a");
                close_error = 0;
                assert_int_equal(w->receiver.result, -ENOSPC);
                assert_non_null(strstr(w->receiver.problem, "the disk is full"));
                assert_int_equal(count_names("to"), 1);
                assert_int_equal(system("test $(cat to/a) = before"), 0);
        }
}

/* As /proc/kmsg has none: nobody waits for it, or asks again and again. */
static void test_a_file_that_has_no_more_now(void **state)
{
        World *w = *state;

        make_file("from/a", "", 0);
        pread_error = EAGAIN;
        world_copy(w, "a", "a");
        pread_error = 0;
        assert_int_equal(w->sender.result, TRANSFER_DONE);
        assert_int_equal(w->sender.n_failed, 1);
        assert_int_equal(w->sender.error, -EAGAIN);
        assert_int_equal(w->receiver.error, -EAGAIN);
        assert_int_equal(count_names("to"), 0);
}

/* Whoever asked for a file is not given a link, by which the next that is written goes astray. */
static void test_a_link_instead_of_a_file(void **state)
{
        World *w = *state;

        assert_int_equal(symlink("/etc/passwd", "from/a"), 0);
        w->receive.recursive = false;
        w->receive.no_link = true;
        world_copy(w, "a", "a");
        assert_int_equal(w->receiver.result, -ELOOP);
        assert_non_null(strstr(w->receiver.problem, "a symbolic link comes, and no file"));
        assert_int_equal(count_names("to"), 0);
}

/* Who is confined to a folder does not learn what is outside by a link that leads there. */
static void test_where_a_link_leads_is_not_told(void **state)
{
        World *w = *state;

        make_file("from/a", "new", 3);
        assert_int_equal(symlink("/dev/null", "to/a"), 0);
        w->receive.confined = true;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_same("from/a", "to/a");
        assert_int_equal(system("test ! -L to/a"), 0);
}

static void test_streams(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG), *problem = NULL;
        World *w = *state;
        pthread_t thread;

        make_file("from/a", data, BIG);
        world_connect(w);
        w->send.stream = true;
        w->receive.stream_fd = open("to/out", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        int in = open("from/a", O_RDONLY | O_CLOEXEC);
        assert_int_equal(transfer_send_new(&w->sender.wire, in, &w->send, &w->sender.transfer,
                                           &problem),
                         0);
        assert_int_equal(transfer_receive_new(&w->receiver.wire, -EBADF, "", &w->receive,
                                              &w->receiver.transfer, &problem),
                         0);
        assert_int_equal(pthread_create(&thread, NULL, run_sender, &w->sender), 0);
        assert_int_equal(transfer_run(w->receiver.transfer), TRANSFER_DONE);
        pthread_join(thread, NULL);
        assert_int_equal(w->sender.result, TRANSFER_DONE);
        assert_same("from/a", "to/out");
        close(in);
        close(w->receive.stream_fd);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
}

/* The other side has the beginning already. */
static void test_resume_sending(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG);
        char hash[TRANSFER_HASH_SIZE];
        World *w = *state;
        int fd;

        make_file("from/a", data, BIG);
        assert_int_equal(system("head -c 1000000 from/a > to/.a.guestwire-part; chmod 600 "
                                "to/.a.guestwire-part"),
                         0);
        fd = open("to/.a.guestwire-part", O_RDONLY | O_CLOEXEC);
        assert_int_equal(transfer_hash_prefix(fd, 1000001, -EBADF, hash), -ENODATA);
        assert_int_equal(transfer_hash_prefix(fd, 1000000, -EBADF, hash), 0);
        close(fd);
        w->send.offset = w->receive.offset = 1000000;
        w->send.offset_hash = w->receive.offset_hash = hash;
        w->receive.keep_partial = true;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_same("from/a", "to/a");
        assert_int_equal(w->receiver.stats.bytes, BIG - 1000000);
        assert_int_equal(w->receiver.stats.resumed, 1000000);
        assert_int_equal(count_names("to"), 1);
}

static void test_resume_refused(void **state)
{
        World *w = *state;

        make_file("from/a", "abcdef", 6);
        make_file("to/.a.guestwire-part", "abc", 3);
        w->send.offset = 3;
        w->send.offset_hash = "00000000000000000000000000000000";
        assert_send_refused(w, "a", -ESTALE, "first 3 bytes are others");
        w->send.offset = 7;
        assert_send_refused(w, "a", -ESTALE, "fewer than the 7");
        w->receive.keep_partial = true;
        w->receive.offset = 4;
        assert_receive_refused(w, "a", -ESTALE, "fewer than 4");
        w->receive.offset = 2;
        w->receive.offset_hash = "00000000000000000000000000000000";
        assert_receive_refused(w, "a", -ESTALE, "other bytes");
}

static void test_partial_names(void **state)
{
        char name[256];
        _cleanup_free_ char *a = transfer_partial_name("a"), *b = NULL, *c = NULL;

        assert_string_equal(a, ".a.guestwire-part");
        memset(name, 'x', 255);
        name[255] = 0;
        b = transfer_partial_name(name);
        name[254] = 'y';
        c = transfer_partial_name(name);
        assert_true(strlen(b) <= 255 && strlen(c) <= 255);
        assert_string_not_equal(b, c);
}

/* Of a tree nothing is kept in part: its files are as without. */
static void test_partial_is_for_one_file(void **state)
{
        World *w = *state;

        make_tree();
        w->receive.keep_partial = true;
        w->receive.preserve = true;
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_same_tree("%P %y %m %T@ %U %G %l\\0");
        world_copy(w, "t/root", "l");
        assert_copied(w);
        assert_int_equal(count_names("to"), 2);
}

/* The other side knows what is to come. */
static void test_counted_first(void **state)
{
        World *w = *state;

        make_tree();
        w->send.count_first = true;
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_int_equal(w->receiver.stats.total_bytes, w->receiver.stats.bytes);
        assert_true(w->receiver.stats.total_bytes > BIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_file, setup, teardown),
                cmocka_unit_test(test_hash_is_xxh3_128),
                cmocka_unit_test_setup_teardown(test_tree_preserved, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tree_as_made_here, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deep_tree, setup, teardown),
                cmocka_unit_test_setup_teardown(test_too_deep_tree, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sparse_stays_sparse, setup, teardown),
                cmocka_unit_test_setup_teardown(test_zeros_are_data, setup, teardown),
                cmocka_unit_test_setup_teardown(test_replaced_keeps_its_mode, setup, teardown),
                cmocka_unit_test_setup_teardown(test_said_attributes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
                cmocka_unit_test_setup_teardown(test_link_itself, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_disk_that_tells_at_close, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_file_that_has_no_more_now, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_link_instead_of_a_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_where_a_link_leads_is_not_told, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
                cmocka_unit_test_setup_teardown(test_resume_sending, setup, teardown),
                cmocka_unit_test_setup_teardown(test_resume_refused, setup, teardown),
                cmocka_unit_test(test_partial_names),
                cmocka_unit_test_setup_teardown(test_partial_is_for_one_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_counted_first, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
