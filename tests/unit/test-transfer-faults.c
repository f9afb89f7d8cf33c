/* SPDX-License-Identifier: MIT */

/* What must not work, and what must be left of it: nothing. */

#include "tests/unit/transfer-world.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define BIG ((size_t)3 * 1024 * 1024 + 17)

static void test_sources_refused(void **state)
{
        World *w = *state;

        assert_int_equal(mkfifo("from/fifo", 0600), 0);
        assert_int_equal(mkdir("from/d", 0755), 0);
        w->send.recursive = false;
        assert_send_refused(w, "fifo", -EINVAL, "it is a FIFO");
        assert_send_refused(w, "d", -EISDIR, "it is a directory");
        if (mknodat(w->from, "null", S_IFCHR | 0600, makedev(1, 3)) == 0)
                assert_send_refused(w, "null", -EINVAL, "it is a character device");
}

static void test_targets_refused(void **state)
{
        World *w = *state;

        assert_int_equal(mkfifo("to/fifo", 0600), 0);
        assert_int_equal(mkdir("to/d", 0755), 0);
        assert_int_equal(symlink("/dev/full", "to/full"), 0);
        assert_int_equal(symlink("fifo", "to/link"), 0);
        w->receive.recursive = false;
        assert_receive_refused(w, "fifo", -EEXIST, "it is a FIFO, which a copy does not replace");
        assert_receive_refused(w, "d", -EISDIR, "there is a directory of that name");
        assert_receive_refused(w, "full", -EEXIST, "it is a link to a character device");
        assert_receive_refused(w, "link", -EEXIST, "it is a link to a FIFO");
        assert_int_equal(count_names("to"), 4);
}

static void assert_fails(World *w, const char *name, const char *to, int error, const char *words)
{
        world_copy(w, name, to);
        if (w->receiver.result != error || !w->receiver.problem ||
            !strstr(w->receiver.problem, words))
                fail_msg("%d (%s) instead of %d (%s)", w->receiver.result,
                         w->receiver.problem ? w->receiver.problem : "", error, words);
}

static void test_onto_itself(void **state)
{
        World *w = *state;
        int to = w->to;

        make_file("from/a", "same", 4);
        assert_int_equal(mkdir("from/d", 0755), 0);
        make_file("from/d/x", "x", 1);
        w->to = w->from;
        assert_fails(w, "a", "a", -EEXIST, "same file as the source");
        assert_int_equal(link("from/a", "from/hard"), 0);
        assert_fails(w, "a", "hard", -EEXIST, "same file as the source");
        assert_fails(w, "d", "d", -EEXIST, "same directory as the source");
        w->to = open("from/d", O_PATH | O_CLOEXEC);
        assert_fails(w, "d", "into", -EINVAL, "into itself");
        close(w->to);
        w->to = to;
        assert_int_equal(count_names("from/d"), 1);
        assert_int_equal(system("test $(cat from/a) = same"), 0);
}

static void test_kinds_that_differ(void **state)
{
        World *w = *state;

        assert_int_equal(mkdir("from/d", 0755), 0);
        make_file("from/d/f", "f", 1);
        make_file("to/d", "a file", 6);
        assert_fails(w, "d", "d", -ENOTDIR, "a regular file of that name, and not a directory");
        w->receive.recursive = false;
        assert_fails(w, "d", "e", -EISDIR, "a directory comes");
        assert_int_equal(count_names("to"), 1);
}

/* What cannot be sent or placed is told, and the rest arrives. */
static void test_others_arrive(void **state)
{
        World *w = *state;

        assert_int_equal(system("mkdir -p from/t/d/e && mkfifo from/t/fifo && echo a > from/t/a && "
                                "echo b > from/t/b && echo x > from/t/d/x && echo y > from/t/d/e/y "
                                "&& mkdir -p to/t/a && echo in the way > to/t/d"),
                         0);
        world_copy(w, "t", "t");
        assert_copied(w);
        assert_int_equal(w->sender.n_failed, 1);       /* the FIFO */
        assert_int_equal(w->receiver.n_failed, 3);     /* it, a, and d */
        assert_int_equal(w->receiver.stats.failed, 6); /* and what d holds */
        assert_int_equal(w->receiver.stats.files, 1);
        assert_same("from/t/b", "to/t/b");
        assert_int_equal(count_names("to/t"), 3);
}

/* What a whole transfer looks like on the wire. */
static char *record_stream(World *w, const char *name, size_t *ret_n)
{
        int source = openat(w->from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fds[2];
        size_t capacity = 8 << 20, n = 0;
        char *bytes = malloc(capacity), *problem = NULL;
        pthread_t thread;
        ssize_t got;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(wire_init(&w->sender.wire, fds[0], NULL, 0), 0);
        assert_int_equal(transfer_send_new(&w->sender.wire, source, &w->send, &w->sender.transfer,
                                           &problem),
                         0);
        assert_int_equal(pthread_create(&thread, NULL, run_sender, &w->sender), 0);
        for (;;) {
                static const char ends[] = "\0\0\0\0\1\0\0\0\0\2\0\0\0\0\3";

                got = read(fds[1], bytes + n, capacity - n);
                assert_true(got > 0);
                n += (size_t)got;
                if (n >= 15 && memcmp(bytes + n - 15, ends, 15) == 0)
                        break;
        }
        pthread_join(thread, NULL);
        assert_int_equal(w->sender.result, TRANSFER_DONE);
        side_done(&w->sender);
        close(source);
        close(fds[0]);
        close(fds[1]);
        *ret_n = n;
        return bytes;
}

typedef struct Feed {
        int fd;
        const char *bytes;
        size_t n;
        size_t step;
} Feed;

static void *run_feed(void *userdata)
{
        Feed *f = userdata;
        size_t done = 0;

        while (done < f->n) {
                ssize_t n =
                        send(f->fd, f->bytes + done, MIN_OF(f->step, f->n - done), MSG_NOSIGNAL);

                if (n < 0)
                        break;
                done += (size_t)n;
        }
        shutdown(f->fd, SHUT_WR);
        return NULL;
}

/* The receiver's result for these bytes and then the end. */
static int feed(World *w, const char *to, const char *bytes, size_t n, size_t step)
{
        _cleanup_free_ char *problem = NULL;
        pthread_t thread;
        Feed f = { .bytes = bytes, .n = n, .step = step };
        int fds[2], r;

        side_done(&w->receiver);
        w->receiver.n_failed = 0;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        f.fd = fds[0];
        assert_int_equal(wire_init(&w->receiver.wire, fds[1], NULL, 0), 0);
        r = transfer_receive_new(&w->receiver.wire, w->to, to, &w->receive, &w->receiver.transfer,
                                 &problem);
        assert_int_equal(r, 0);
        assert_int_equal(pthread_create(&thread, NULL, run_feed, &f), 0);
        r = transfer_run(w->receiver.transfer);
        shutdown(fds[1], SHUT_RDWR);
        pthread_join(thread, NULL);
        side_note(&w->receiver);
        close(fds[0]);
        close(fds[1]);
        return r;
}

/* In whatever pieces they come. */
static void test_byte_by_byte(void **state)
{
        _cleanup_free_ char *bytes = NULL;
        World *w = *state;
        size_t n;

        assert_int_equal(system("mkdir -p from/t/d && echo content > from/t/d/x && truncate -s 3M "
                                "from/t/hole && ln -s x from/t/d/l"),
                         0);
        bytes = record_stream(w, "t", &n);
        for (size_t step = 1; step < 8; step++) {
                assert_int_equal(feed(w, "t", bytes, n, step), TRANSFER_DONE);
                assert_int_equal(w->receiver.stats.failed, 0);
                assert_int_equal(system("diff -r --no-dereference from/t to/t >&2 && rm -r to/t"),
                                 0);
        }
}

/* Wherever the connection ends, there is the old file or the new one, and nothing else. */
static void test_cut_anywhere(void **state)
{
        _cleanup_free_ char *bytes = NULL;
        World *w = *state;
        size_t n;

        make_file("from/a", "the new content", 15);
        make_file("to/a", "the old", 7);
        bytes = record_stream(w, "a", &n);
        for (size_t length = 0; length < n; length++) {
                int r = feed(w, "a", bytes, length, length);

                assert_int_equal(r, -ECONNRESET);
                assert_int_equal(count_names("to"), 1);
                if (w->receiver.stats.files == 0)
                        assert_int_equal(system("test \"$(cat to/a)\" = 'the old'"), 0);
                else
                        break;
        }
        assert_int_equal(w->receiver.stats.files, 1);
        assert_same("from/a", "to/a");
}

/* A large one has no name while it comes, or a partial one's where it is to be kept. */
static void test_cut_large(void **state)
{
        _cleanup_free_ char *bytes = NULL, *data = some_bytes(BIG);
        char hash[TRANSFER_HASH_SIZE];
        World *w = *state;
        size_t n;
        int fd;

        make_file("from/a", data, BIG);
        bytes = record_stream(w, "a", &n);
        assert_int_equal(feed(w, "a", bytes, n / 2, n), -ECONNRESET);
        assert_int_equal(count_names("to"), 0);

        w->receive.keep_partial = true;
        assert_int_equal(feed(w, "a", bytes, n / 2, n), -ECONNRESET);
        assert_int_equal(count_names("to"), 1);
        fd = open("to/.a.guestwire-part", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        w->receive.offset = w->send.offset = (uint64_t)lseek(fd, 0, SEEK_END);
        assert_int_equal(transfer_hash_prefix(fd, w->send.offset, -EBADF, hash), 0);
        close(fd);
        w->receive.offset_hash = w->send.offset_hash = hash;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_same("from/a", "to/a");
        assert_int_equal(count_names("to"), 1);
        /* One whose bytes are not those that were sent is not kept. */
        w->receive.offset = w->send.offset = 0;
        bytes[n / 2] ^= 1;
        assert_int_equal(feed(w, "b", bytes, n, n), -EBADMSG);
        assert_int_equal(count_names("to"), 1);
}

static size_t put_frame(char *to, uint8_t channel, const char *text)
{
        size_t n = strlen(text);

        frame_put_header((uint8_t *)to, channel, n);
        memcpy(to + FRAME_HEADER_SIZE, text, n);
        return FRAME_HEADER_SIZE + n;
}

/* Frames, each begun by its channel's digit, and the three ends. */
static int feed_frames(World *w, const char *to, const char *const *frames)
{
        char bytes[8192];
        size_t n = 0;

        for (; *frames; frames++)
                n += put_frame(bytes + n, (uint8_t)(**frames - '0'), *frames + 1);
        for (uint8_t channel = 1; channel <= 3; channel++)
                n += put_frame(bytes + n, channel, "");
        return feed(w, to, bytes, n, n);
}

#define TOP "3{\"path\":\"\",\"type\":\"directory\"}"

/* No stream, whoever sends it, makes anything outside the target. */
static void test_hostile_streams(void **state)
{
        static const char *const streams[][6] = {
                { "3{}" },
                { "3[]" },
                { "3nothing" },
                { "3{\"path\":\"\",\"type\":\"file\"}" },
                { "3{\"path\":\"\",\"type\":\"other\"}" },
                { "3{\"path\":\"\",\"type\":\"link\"}" },
                { "3{\"path\":\"\"}" },
                { "3{\"type\":\"file\"}" },
                { "3{\"path\":5,\"type\":\"file\"}" },
                { "3{\"path\":\"\",\"path_base64\":\"YQ==\",\"type\":\"file\"}" },
                { "3{\"path_base64\":\"YQ\",\"type\":\"file\"}" },
                { "3{\"path\":\"a\\u0000b\",\"type\":\"file\"}" },
                { "3{\"path\":\"\",\"type\":\"file\",\"mode\":8192}" },
                { "3{\"path\":\"\",\"type\":\"file\",\"size\":-1}" },
                { "3{\"path\":\"x\",\"type\":\"file\"}" },
                { TOP, TOP },
                { TOP, "3{\"path\":\"../x\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"/x\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"a/../../x\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"a/\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"a//b\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\".\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"./a\",\"type\":\"directory\"}" },
                { TOP, "3{\"path\":\"..\",\"type\":\"link\",\"target\":\"x\"}" },
                { TOP, "3{\"size\":0,\"hash\":\"99aa06d3014798d86001c324468d497f\"}" },
                { TOP, "1content" },
                { TOP, "212345678" },
                { "1content" },
                { "4channel" },
                { "3{\"path\":\"\",\"type\":\"file\"}", "2short" },
                { "3{\"path\":\"\",\"type\":\"file\"}", "2\377\377\377\377\377\377\377\377" },
                { "3{\"path\":\"\",\"type\":\"file\"}", "3{\"path\":\"x\",\"type\":\"file\"}" },
                { "3{\"path\":\"\",\"type\":\"file\",\"offset\":5}" },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(streams); i++) {
                int r = feed_frames(w, "t", streams[i]);

                if (r != -EPROTO || !w->receiver.problem)
                        fail_msg("%s %s: %d", streams[i][0], streams[i][1] ? streams[i][1] : "", r);
                assert_int_equal(count_names("."), 2);
                (void)rmdir("to/t");
                assert_int_equal(count_names("to"), 0);
        }
}

static void test_wrong_content(void **state)
{
        static const char *const size[] = {
                "3{\"path\":\"\",\"type\":\"file\"}", "1abc",
                "3{\"size\":4,\"hash\":\"06b05ab6733a618578af5f94892f3950\"}", NULL
        };
        static const char *const hash[] = {
                "3{\"path\":\"\",\"type\":\"file\"}", "1abc",
                "3{\"size\":3,\"hash\":\"99aa06d3014798d86001c324468d497f\"}", NULL
        };
        static const char *const right[] = {
                "3{\"path\":\"\",\"type\":\"file\"}", "1abc",
                "3{\"size\":3,\"hash\":\"06b05ab6733a618578af5f94892f3950\"}", NULL
        };
        static const char *const gone[] = {
                "3{\"path\":\"\",\"type\":\"file\"}", "1abc",
                "3{\"size\":3,\"error\":{\"errno\":\"EIO\",\"message\":\"the disk is ill\"}}", NULL
        };
        World *w = *state;

        assert_int_equal(feed_frames(w, "a", size), -EBADMSG);
        assert_int_equal(feed_frames(w, "a", hash), -EBADMSG);
        assert_non_null(strstr(w->receiver.problem, "its hash is another"));
        assert_int_equal(feed_frames(w, "a", gone), TRANSFER_DONE);
        assert_int_equal(w->receiver.n_failed, 1);
        assert_int_equal(w->receiver.error, -EIO);
        assert_string_equal(w->receiver.message, "the disk is ill");
        assert_int_equal(count_names("to"), 0);
        assert_int_equal(feed_frames(w, "a", right), TRANSFER_DONE);
        assert_int_equal(count_names("to"), 1);
}

/* A link that somebody puts in the place of a folder leads nowhere. */
static void test_planted_links(void **state)
{
        static const char *const frames[] = {
                TOP,
                "3{\"path\":\"d/x\",\"type\":\"file\"}",
                "1abc",
                "3{\"size\":3,\"hash\":\"06b05ab6733a618578af5f94892f3950\"}",
                "3{\"path\":\"d/e\",\"type\":\"directory\"}",
                "3{\"path\":\"d/e/l\",\"type\":\"link\",\"target\":\"y\"}",
                "3{\"path\":\"d\",\"type\":\"directory\"}",
                "3{\"path\":\"sound\",\"type\":\"directory\"}",
                NULL
        };
        World *w = *state;

        assert_int_equal(system("mkdir to/t outside && ln -s ../../outside to/t/d"), 0);
        assert_int_equal(feed_frames(w, "t", frames), TRANSFER_DONE);
        assert_int_equal(w->receiver.stats.failed, 4);
        assert_int_equal(count_names("outside"), 0);
        assert_int_equal(count_names("to/t"), 2);
        /* Nor does one in the place of the target itself. */
        assert_int_equal(system("ln -s ../outside to/l"), 0);
        assert_int_equal(feed_frames(w, "l", frames), -ENOTDIR);
        assert_int_equal(count_names("outside"), 0);
}

/* Whoever reads the partial file's well-known name in a folder of others'. */
static void test_partial_traps(void **state)
{
        World *w = *state;

        make_file("from/secret", "secret", 6);
        w->receive.keep_partial = true;
        assert_int_equal(symlink("../from/secret", "to/.a.guestwire-part"), 0);
        assert_receive_refused(w, "a", -ELOOP, "symbolic link");
        assert_int_equal(unlink("to/.a.guestwire-part"), 0);
        assert_int_equal(link("from/secret", "to/.a.guestwire-part"), 0);
        assert_receive_refused(w, "a", -EEXIST, "not of our making");
        assert_int_equal(unlink("to/.a.guestwire-part"), 0);
        assert_int_equal(mkfifo("to/.a.guestwire-part", 0600), 0);
        assert_receive_refused(w, "a", -EEXIST, "not of our making");
        assert_int_equal(system("test $(cat from/secret) = secret"), 0);
}

static void change_source(const TransferStats *stats, const char *path, void *userdata)
{
        Side *side = userdata;

        if (side->n_changed == 0 && stats->bytes > 0)
                assert_int_equal(truncate("from/a", 1 << 20), 0);
}

/* It arrives as it was read, and that is said. */
static void test_changed_while_read(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG);
        World *w = *state;
        struct stat st;

        make_file("from/a", data, BIG);
        w->send.events.progress = change_source;
        world_copy(w, "a", "a");
        assert_copied(w);
        assert_int_equal(w->sender.n_changed, 1);
        assert_int_equal(w->receiver.n_changed, 1);
        assert_int_equal(stat("to/a", &st), 0);
        assert_int_equal(st.st_size, w->receiver.stats.bytes);
        assert_true(st.st_size < (off_t)BIG);
}

/* A frame on channel 0: both ways stand between two frames, and go on. */
static void test_control_pauses(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG), *problem = NULL;
        char control[64];
        const char *pending;
        World *w = *state;
        pthread_t thread;
        size_t n;

        make_file("from/a", data, BIG);
        world_connect(w);
        int source = openat(w->from, "a", O_PATH | O_CLOEXEC);
        assert_int_equal(transfer_send_new(&w->sender.wire, source, &w->send, &w->sender.transfer,
                                           &problem),
                         0);
        assert_int_equal(transfer_receive_new(&w->receiver.wire, w->to, "a", &w->receive,
                                              &w->receiver.transfer, &problem),
                         0);
        n = put_frame(control, FRAME_CONTROL, "{\"method\":\"x\"}");
        assert_int_equal(send(w->receiver.wire.fd, control, n, 0), n);
        /* The thread sends until it hears that. */
        assert_int_equal(pthread_create(&thread, NULL, run_sender, &w->sender), 0);
        /* Meanwhile somebody tells the receiver something, too: it takes what is before. */
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, run_sender, &w->receiver), 0);
        pthread_join(thread, NULL);
        assert_int_equal(w->sender.result, TRANSFER_CONTROL);
        pending = wire_pending(&w->sender.wire, &n);
        assert_memory_equal(pending, control, n);
        wire_take(&w->sender.wire, n);
        assert_int_equal(wire_put(&w->sender.wire, FRAME_CONTROL, "{}", 2), 0);
        assert_int_equal(wire_flush(&w->sender.wire), 0);
        pthread_join(other, NULL);
        assert_int_equal(w->receiver.result, TRANSFER_CONTROL);
        pending = wire_pending(&w->receiver.wire, &n);
        assert_memory_equal(pending, "\0\0\0\2\0{}", 7);
        wire_take(&w->receiver.wire, 7);
        assert_int_equal(pthread_create(&thread, NULL, run_sender, &w->sender), 0);
        assert_int_equal(transfer_run(w->receiver.transfer), TRANSFER_DONE);
        pthread_join(thread, NULL);
        assert_int_equal(w->sender.result, TRANSFER_DONE);
        assert_same("from/a", "to/a");
        close(source);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
}

/* Nobody reads, nobody sends: an interrupt is heard. */
static void test_interrupted(void **state)
{
        _cleanup_free_ char *data = some_bytes(BIG), *problem = NULL;
        World *w = *state;
        uint64_t one = 1;
        int fd = eventfd(0, EFD_CLOEXEC), source;

        make_file("from/a", data, BIG);
        world_connect(w);
        source = openat(w->from, "a", O_PATH | O_CLOEXEC);
        w->sender.wire.interrupt_fd = w->receiver.wire.interrupt_fd = fd;
        assert_int_equal(transfer_send_new(&w->sender.wire, source, &w->send, &w->sender.transfer,
                                           &problem),
                         0);
        assert_int_equal(transfer_receive_new(&w->receiver.wire, w->to, "a", &w->receive,
                                              &w->receiver.transfer, &problem),
                         0);
        assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
        assert_int_equal(transfer_run(w->sender.transfer), -EINTR);
        assert_int_equal(transfer_run(w->receiver.transfer), -EINTR);
        close(w->sender.wire.fd);
        close(w->receiver.wire.fd);
        side_done(&w->sender);
        side_done(&w->receiver);
        assert_int_equal(count_names("to"), 0);
        close(fd);
        close(source);
}

/* In a child with a small disk of its own. */
static int fill_disk(void *userdata)
{
        World *w = userdata;

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") < 0 ||
            mount("tmpfs", "to", "tmpfs", 0, "size=1M") < 0)
                return CHILD_CANNOT;
        w->to = open("to", O_PATH | O_DIRECTORY | O_CLOEXEC);
        world_copy(w, "a", "a");
        if (w->receiver.result != -ENOSPC || !strstr(w->receiver.problem, "the disk is full"))
                return 1;
        if (count_names("to") != 0)
                return 2;
        world_copy(w, "t", "t");
        if (w->receiver.result != -ENOSPC ||
            !strstr(w->receiver.problem, "a: it cannot be written: the disk is full"))
                return 3;
        if (count_names("to/t") != 0)
                return 4;
        if (mount("none", "to", "none", MS_REMOUNT | MS_RDONLY, "") < 0)
                return CHILD_CANNOT;
        world_copy(w, "a", "b");
        return w->receiver.result == -EROFS &&
                               strstr(w->receiver.problem, "the file system is read-only")
                       ? 0
                       : 5;
}

static void test_full_disk(void **state)
{
        World *w = *state;
        char *data;
        int r;

        if (geteuid() != 0)
                cannot_run("not root");
        data = some_bytes(BIG);
        make_file("from/a", data, BIG);
        assert_int_equal(mkdir("from/t", 0755), 0);
        make_file("from/t/a", data, BIG);
        free(data); /* before there is a child, for which valgrind would look */
        r = child_run(fill_disk, w);
        if (r == CHILD_CANNOT)
                cannot_run("no mount namespace");
        assert_int_equal(r, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_sources_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_targets_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_onto_itself, setup, teardown),
                cmocka_unit_test_setup_teardown(test_kinds_that_differ, setup, teardown),
                cmocka_unit_test_setup_teardown(test_others_arrive, setup, teardown),
                cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut_large, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hostile_streams, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wrong_content, setup, teardown),
                cmocka_unit_test_setup_teardown(test_planted_links, setup, teardown),
                cmocka_unit_test_setup_teardown(test_partial_traps, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changed_while_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_control_pauses, setup, teardown),
                cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
