/* SPDX-License-Identifier: MIT */

/* The helper itself, from the other end of its socket. */
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "files/helper-wire.h"
#include "files/helper.h"
#include "tests/unit/files-world.h"

typedef struct Helped Helped;

/* A helper in a child, and what it says. */
struct Helped {
        pid_t pid;
        int fd;
        Buffer in;
        HelperKind kind; /* of the last message */
        char *data;      /* a NUL follows */
        size_t n;
};

/* As a process that was made so; with prepare NULL as it is. */
static void helped_start_as(Helped *h, bool (*prepare)(void))
{
        int fds[2];

        *h = (Helped){ 0 };
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        h->pid = fork();
        assert_true(h->pid >= 0);
        if (h->pid == 0) {
                if (dup2(fds[1], STDIN_FILENO) < 0)
                        _exit(99);
                close(fds[0]);
                close(fds[1]);
                if (prepare && !prepare())
                        _exit(CHILD_CANNOT);
                helper_main();
        }
        close(fds[1]);
        h->fd = fds[0];
}

static void helped_start(Helped *h)
{
        helped_start_as(h, NULL);
}

/* Its exit status; 128 and more: by a signal. */
static int helped_end(Helped *h)
{
        int status;

        fd_close(h->fd);
        buffer_done(&h->in);
        free(h->data);
        assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void helped_send(Helped *h, HelperKind kind, const char *data)
{
        Buffer out = BUFFER_NULL;

        assert_int_equal(helper_append(&out, kind, data, strlen(data)), 0);
        /* Byte by byte: however it comes, it is one message. */
        for (size_t i = 0; i < out.size; i++)
                assert_int_equal(send(h->fd, buffer_peek(&out) + i, 1, MSG_NOSIGNAL), 1);
        buffer_done(&out);
}

/* False at its end. */
static bool helped_receive(Helped *h)
{
        const char *data;
        char piece[65536];
        ssize_t k;
        int r;

        while ((r = helper_take(&h->in, 1 << 24, &h->kind, &data, &h->n)) == 0) {
                k = recv(h->fd, piece, sizeof(piece), 0);
                if (k <= 0)
                        return false;
                assert_int_equal(buffer_append(&h->in, piece, (size_t)k), 0);
        }
        assert_int_equal(r, 1);
        free(h->data);
        h->data = malloc(h->n + 1);
        assert_non_null(h->data);
        memcpy(h->data, data, h->n);
        h->data[h->n] = '\0';
        buffer_consume(&h->in, HELPER_HEADER_SIZE + h->n);
        return true;
}

static void assert_says(Helped *h, HelperKind kind, const char *word)
{
        if (!helped_receive(h))
                fail_msg("it ended instead of \"%s\"", word);
        if (h->kind != kind || !strstr(h->data, word))
                fail_msg("%d, %s, instead of %d, %s", h->kind, h->data, kind, word);
}

static void helped_greet(Helped *h)
{
        helped_start(h);
        helped_send(h, HELPER_HELLO, "{\"version\":\"" PACKAGE_VERSION "\"}");
        assert_says(h, HELPER_RESULT, "{}");
}

static void test_calls_one_after_the_other(void **state)
{
        Helped h;

        helped_greet(&h);
        helped_send(&h, HELPER_CALL,
                    "{\"method\":\"file.stat\",\"max_data\":9,\"params\":{\"path\":\"/\"}}");
        helped_send(&h, HELPER_ABORT, ""); /* of a call that has ended: nothing */
        helped_send(&h, HELPER_CALL,
                    "{\"method\":\"file.none\",\"max_data\":9,\"params\":{\"path\":\"/\"}}");
        assert_says(&h, HELPER_RESULT, "\"directory\"");
        assert_says(&h, HELPER_ERROR, "\"unsupported\"");
        assert_int_equal(helped_end(&h), 0);
}

static void test_one_of_another_version(void **state)
{
        Helped h;

        helped_start(&h);
        helped_send(&h, HELPER_HELLO, "{\"version\":\"0.0.0\"}");
        assert_says(&h, HELPER_ERROR, "\"unavailable\"");
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

static void test_nobody_to_become(void **state)
{
        Helped h;

        helped_start(&h);
        helped_send(&h, HELPER_HELLO,
                    "{\"version\":\"" PACKAGE_VERSION "\",\"user\":\"no such user\"}");
        assert_says(&h, HELPER_ERROR, "\"not-found\"");
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

static bool without_openat2(void)
{
        return child_deny(SYS_openat2, -1, ENOSYS);
}

static void test_a_root_that_cannot_be_had(void **state)
{
        Helped h;

        helped_start_as(&h, without_openat2);
        helped_send(&h, HELPER_HELLO, "{\"version\":\"" PACKAGE_VERSION "\",\"root\":\"/tmp\"}");
        assert_says(&h, HELPER_ERROR, "\"unsupported\"");
        assert_non_null(strstr(h.data, "openat2"));
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

static bool as_nobody(void)
{
        return geteuid() != 0 || child_become_nobody();
}

static void test_who_is_not_root_becomes_nobody_else(void **state)
{
        Helped h;

        helped_start_as(&h, as_nobody);
        helped_send(&h, HELPER_HELLO, "{\"version\":\"" PACKAGE_VERSION "\",\"user\":\"root\"}");
        assert_says(&h, HELPER_ERROR, "\"unsupported\"");
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

static void test_what_is_out_of_turn(void **state)
{
        static const HelperKind kinds[] = { HELPER_CALL, HELPER_LEND, HELPER_RESULT };
        Helped h;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                helped_start(&h);
                helped_send(&h, kinds[i], "{\"method\":\"file.stat\",\"params\":{\"path\":\"/\"}}");
                assert_false(helped_receive(&h));
                assert_int_equal(helped_end(&h), 0);
        }
        helped_greet(&h);
        helped_send(&h, HELPER_HELLO, "{\"version\":\"" PACKAGE_VERSION "\"}");
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

static void test_sigterm_while_it_is_idle(void **state)
{
        Helped h;

        helped_greet(&h);
        assert_int_equal(kill(h.pid, SIGTERM), 0);
        assert_false(helped_receive(&h));
        assert_int_equal(helped_end(&h), 0);
}

/* A put that is begun, with its connection lent, and some of a file on it. */
static int begin_put(Helped *h, const Place *p)
{
        static const char record[] = "{\"path\":\"\",\"type\":\"file\",\"size\":100}";
        _cleanup_free_ char *call =
                text_format("{\"method\":\"file.put\",\"params\":{\"path\":\"%s/new\"}}",
                            p->folder);
        static const char lend[] = "\0\0\0\1\2\0"; /* a byte of payload: it may be read */
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { .iov_base = (char *)lend, .iov_len = sizeof(lend) - 1 };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control) };
        uint8_t frame[5] = { 0, 0, 0, sizeof(record) - 1, 3 };
        int fds[2];

        helped_send(h, HELPER_CALL, call);
        assert_says(h, HELPER_BEGIN, "");
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        memcpy(CMSG_DATA(&control.header), &fds[0], sizeof(int));
        assert_int_equal(sendmsg(h->fd, &m, MSG_NOSIGNAL), sizeof(lend) - 1);
        close(fds[0]);
        assert_int_equal(send(fds[1], frame, sizeof(frame), MSG_NOSIGNAL), sizeof(frame));
        assert_int_equal(send(fds[1], record, sizeof(record) - 1, MSG_NOSIGNAL),
                         sizeof(record) - 1);
        return fds[1];
}

/* How many names begin with a dot: what has arrived in part. */
static unsigned count_parts(const Place *p)
{
        _cleanup_free_ char *command =
                text_format("ls -A '%s' | grep -c '^\\.' >'%s/count'", p->folder, p->folder);
        _cleanup_free_ char *path = place_path(p, "count");
        FILE *f;
        unsigned n;

        (void)!system(command);
        f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%u", &n), 1);
        fclose(f);
        return n;
}

/* Until a part has a name. */
static void await_part(const Place *p)
{
        while (count_parts(p) == 0)
                (void)poll(NULL, 0, 5);
}

static void test_an_abort_removes_what_has_come(void **state)
{
        const Place *p = *state;
        HelperReturn back;
        Helped h;
        int fd;

        helped_greet(&h);
        fd = begin_put(&h, p);
        await_part(p);
        helped_send(&h, HELPER_ABORT, "");
        assert_says(&h, HELPER_RETURN, "");
        assert_int_equal(helper_return_read(&back, h.data, h.n), 0);
        assert_int_equal(back.error, 0);
        assert_true(back.received > 0);
        assert_int_equal(back.sent, 0);
        assert_says(&h, HELPER_ERROR, "\"cancelled\"");
        assert_int_equal(count_parts(p), 0);
        /* And it goes on. */
        helped_send(&h, HELPER_CALL, "{\"method\":\"file.stat\",\"params\":{\"path\":\"/\"}}");
        assert_says(&h, HELPER_RESULT, "\"directory\"");
        close(fd);
        assert_int_equal(helped_end(&h), 0);
}

static void test_the_end_of_everybody_removes_what_has_come(void **state)
{
        const Place *p = *state;

        for (unsigned way = 0; way < 3; way++) {
                Helped h;
                int fd;

                helped_greet(&h);
                fd = begin_put(&h, p);
                await_part(p);
                switch (way) {
                case 0: /* the peer leaves */
                        close(TAKE_FD(fd));
                        assert_says(&h, HELPER_RETURN, "");
                        assert_says(&h, HELPER_ERROR, "");
                        break;
                case 1: /* the daemon does */
                        h.fd = fd_close(h.fd);
                        break;
                case 2: /* the helper is told to */
                        assert_int_equal(kill(h.pid, SIGTERM), 0);
                        break;
                }
                assert_int_equal(helped_end(&h), 0);
                assert_int_equal(count_parts(p), 0);
                fd_close(fd);
        }
}

static void test_messages_in_pieces(void **state)
{
        Buffer whole = BUFFER_NULL, in = BUFFER_NULL;
        HelperKind kind;
        const char *data;
        size_t n;

        assert_int_equal(helper_append_two(&whole, HELPER_RETURN, "he", 2, "llo", 3), 0);
        assert_int_equal(helper_append(&whole, HELPER_ABORT, NULL, 0), 0);
        for (size_t i = 0; i < HELPER_HEADER_SIZE + 5; i++) {
                assert_int_equal(helper_take(&in, 5, &kind, &data, &n), 0);
                assert_int_equal(buffer_append(&in, buffer_peek(&whole) + i, 1), 0);
        }
        assert_int_equal(helper_take(&in, 5, &kind, &data, &n), 1);
        assert_int_equal(kind, HELPER_RETURN);
        assert_int_equal(n, 5);
        assert_memory_equal(data, "hello", 5);
        assert_int_equal(helper_take(&in, 4, &kind, &data, &n), -EMSGSIZE);
        buffer_done(&in);
        buffer_consume(&whole, HELPER_HEADER_SIZE + 5);
        assert_int_equal(helper_take(&whole, 0, &kind, &data, &n), 1);
        assert_int_equal(kind, HELPER_ABORT);
        assert_int_equal(n, 0);
        buffer_done(&whole);
        assert_int_equal(buffer_append(&in, "\0\0\0\0\x7f", 5), 0);
        assert_int_equal(helper_take(&in, 5, &kind, &data, &n), -EBADMSG);
        buffer_done(&in);
}

static void test_returns(void **state)
{
        const HelperReturn there = {
                .paused = true, .error = -EPROTO, .received = UINT64_MAX, .sent = 1
        };
        uint8_t text[HELPER_RETURN_SIZE];
        HelperReturn back;

        helper_return_write(&there, text);
        assert_int_equal(helper_return_read(&back, (const char *)text, sizeof(text)), 0);
        assert_true(back.paused);
        assert_int_equal(back.error, -EPROTO);
        assert_true(back.received == UINT64_MAX && back.sent == 1);
        assert_int_equal(helper_return_read(&back, (const char *)text, sizeof(text) - 1), -EBADMSG);
        text[1] = 0xff; /* an errno that there is not */
        assert_int_equal(helper_return_read(&back, (const char *)text, sizeof(text)), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
                TEST(test_calls_one_after_the_other),
                TEST(test_one_of_another_version),
                TEST(test_nobody_to_become),
                TEST(test_a_root_that_cannot_be_had),
                TEST(test_who_is_not_root_becomes_nobody_else),
                TEST(test_what_is_out_of_turn),
                TEST(test_sigterm_while_it_is_idle),
                TEST(test_an_abort_removes_what_has_come),
                TEST(test_the_end_of_everybody_removes_what_has_come),
                cmocka_unit_test(test_messages_in_pieces),
                cmocka_unit_test(test_returns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
