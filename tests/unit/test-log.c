/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "child.h"

/* stderr as a datagram socket: each recv() yields exactly one write(). */
typedef struct Capture Capture;

struct Capture {
        int stderr_fd;
        int fd;
};

static void capture_begin(Capture *c)
{
        int pair[2];

        fflush(stderr);
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
        c->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_true(c->stderr_fd >= 0);
        assert_int_equal(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
        fd_close(pair[1]);
        c->fd = pair[0];
}

/* One write, or "" if there was none. */
static void capture_read(Capture *c, char *text, size_t size)
{
        ssize_t n = recv(c->fd, text, size - 1, MSG_DONTWAIT);

        text[n < 0 ? 0 : n] = '\0';
}

static void capture_end(Capture *c)
{
        assert_int_equal(dup2(c->stderr_fd, STDERR_FILENO), STDERR_FILENO);
        fd_close(c->stderr_fd);
        fd_close(c->fd);
}

static void test_plain_line(void **state)
{
        LogFields fields = { 0 };
        char text[256], rest[256];
        Capture c;

        log_set_level(LOG_INFO);
        log_fields_add(&fields, "GUESTWIRE_PORT", "%u", 1000U);
        capture_begin(&c);
        errno = EPIPE;
        log_record(LOG_INFO, NULL, &fields, "port %u is open", 1000U);
        int after = errno;
        capture_read(&c, text, sizeof(text));
        capture_read(&c, rest, sizeof(rest));
        capture_end(&c);

        assert_string_equal(text, "port 1000 is open\n");
        assert_string_equal(rest, "");
        assert_int_equal(after, EPIPE);
}

static void test_a_record_is_one_line(void **state)
{
        char text[256];
        Capture c;

        capture_begin(&c);
        log_warning("one\ntwo\r\nthree");
        capture_read(&c, text, sizeof(text));
        capture_end(&c);
        assert_string_equal(text, "one two  three\n");
}

static void test_long_message_is_cut(void **state)
{
        static char text[16384];
        char message[8192];
        Capture c;
        size_t n;

        /* Two-byte characters: a cut in the middle of one would show as invalid UTF-8. */
        for (size_t shift = 0; shift < 2; shift++) {
                memset(message, 'a', sizeof(message));
                for (size_t i = shift; i + 1 < sizeof(message) - 1; i += 2)
                        memcpy(message + i, "\xc3\xbc", 2);
                message[sizeof(message) - 1] = '\0';
                capture_begin(&c);
                log_error("%s", message);
                capture_read(&c, text, sizeof(text));
                capture_end(&c);
                n = strlen(text);
                assert_true(n > 4000 && n <= PIPE_BUF);
                assert_int_equal(text[n - 1], '\n');
                assert_true(text_is_utf8(text, n));
        }
}

/* A daemon must not wait for whoever was to read its stderr. */
static void test_a_full_pipe_loses_lines(void **state)
{
        static char text[PIPE_BUF];
        int pair[2], saved;
        size_t lines = 0;

        memset(text, 'x', sizeof(text) - 1);
        fflush(stderr);
        saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_true(saved >= 0);
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_int_equal(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
        for (size_t i = 0; i < 2048; i++)
                log_error("%s", i % 2 == 0 ? text : "short");
        log_error("%s", text);
        assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
        fd_close(saved);
        fd_close(pair[1]);

        /* Those that had room are whole. */
        while (read(pair[0], text, 1) == 1)
                lines += *text == '\n';
        assert_int_equal(*text, '\n');
        assert_true(lines > 1 && lines < 2048);
        fd_close(pair[0]);
}

static void test_level(void **state)
{
        char text[256];
        Capture c;

        log_set_level(LOG_NOTICE);
        assert_int_equal(log_get_level(), LOG_NOTICE);
        capture_begin(&c);
        log_info("hidden");
        log_debug("hidden");
        capture_read(&c, text, sizeof(text));
        assert_string_equal(text, "");
        log_notice("shown");
        capture_read(&c, text, sizeof(text));
        capture_end(&c);
        assert_string_equal(text, "shown\n");
        log_set_level(LOG_INFO);
}

static void test_level_text(void **state)
{
        static const char *const bad[] = { "", "err", "INFO", "2", "8", "-1", "info ", "emerg" };
        int level = -1;

        for (int i = LOG_ERR; i <= LOG_DEBUG; i++) {
                char number[16];

                assert_int_equal(log_level_from_text(log_level_to_text(i), &level), 0);
                assert_int_equal(level, i);
                level = -1;
                snprintf(number, sizeof(number), "%d", i);
                assert_int_equal(log_level_from_text(number, &level), 0);
                assert_int_equal(level, i);
        }
        assert_string_equal(log_level_to_text(LOG_WARNING), "warning");
        assert_string_equal(log_level_to_text(LOG_EMERG), "error");
        level = -1;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(log_level_from_text(bad[i], &level), -EINVAL);
        assert_int_equal(level, -1);
}

static void test_fields(void **state)
{
        LogFields f = { 0 };
        char longer[400];

        log_fields_add(&f, "A", "%s", "x=y");
        assert_string_equal(f.text[0], "A=x=y");

        memset(longer, 'b', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        log_fields_add(&f, "B", "%s", longer);
        assert_int_equal(strlen(f.text[1]), sizeof(f.text[1]) - 1);

        /* Cut between characters. */
        for (size_t i = 0; i + 2 < sizeof(longer); i += 3)
                memcpy(longer + i, "\xe2\x82\xac", 3);
        log_fields_add(&f, "C", "%s", longer);
        assert_true(text_is_utf8(f.text[2], strlen(f.text[2])));
        assert_true(strlen(f.text[2]) >= sizeof(f.text[2]) - 4);

        for (unsigned i = 0; i < 2 * LOG_FIELDS_MAX; i++)
                log_fields_add(&f, "D", "%u", i);
        assert_int_equal(f.n, LOG_FIELDS_MAX);
        assert_string_equal(f.text[LOG_FIELDS_MAX - 1], "D=8");
}

/* A variable that names another stream than stderr, or nothing at all, means no journal. */
static void test_journal_stream_of_another(void **state)
{
        static const char *const streams[] = { "1:1", "", "x", "1", "1:", "0:0 ", "-1:-1" };
        char text[256];
        Capture c;

        for (size_t i = 0; i < ELEMENTSOF(streams); i++) {
                capture_begin(&c);
                assert_int_equal(setenv("JOURNAL_STREAM", streams[i], 1), 0);
                log_open();
                log_info("here");
                capture_read(&c, text, sizeof(text));
                capture_end(&c);
                assert_string_equal(text, "here\n");
        }
        unsetenv("JOURNAL_STREAM");
        log_open();
}

/*
 * A journal of our own: a datagram socket at the place that libsystemd writes to, in a mount
 * namespace where /run is ours. -errno where this process may not have one.
 */
static int open_journal(void)
{
        static const struct sockaddr_un address = {
                .sun_family = AF_UNIX,
                .sun_path = "/run/systemd/journal/socket",
        };
        _cleanup_close_ int fd = -EBADF;

        if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return -errno;
        if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0 ||
            mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0)
                return -errno;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

#define MESSAGE_ID "0123456789abcdef0123456789abcdef"

/* In a child, for the namespace's sake. Exits with the number of the line that failed. */
#define CHECK(condition)                                                                 \
        do {                                                                             \
                if (!(condition)) {                                                      \
                        dprintf(STDOUT_FILENO, "# line %d: %s\n", __LINE__, #condition); \
                        _exit(1);                                                        \
                }                                                                        \
        } while (0)

static void log_to_own_journal(void)
{
        LogFields fields = { 0 };
        char stream[64], record[4096], line[256];
        struct stat st;
        Capture c;
        ssize_t n;
        int journal;

        journal = open_journal();
        if (journal < 0)
                _exit(CHILD_CANNOT);

        capture_begin(&c);
        CHECK(fstat(STDERR_FILENO, &st) == 0);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        CHECK(setenv("JOURNAL_STREAM", stream, 1) == 0);
        log_open();
        log_fields_add(&fields, "GUESTWIRE_PEER_CID", "%u", 2U);
        log_fields_add(&fields, "GUESTWIRE_METHOD", "%s", "agent.reload");
        log_record(LOG_NOTICE, MESSAGE_ID, &fields, "%s called", "agent.reload");

        n = recv(journal, record, sizeof(record) - 1, MSG_DONTWAIT);
        CHECK(n > 0);
        record[n] = '\0';
        CHECK(strstr(record, "MESSAGE=agent.reload called\n"));
        CHECK(strstr(record, "PRIORITY=5\n"));
        CHECK(strstr(record, "MESSAGE_ID=" MESSAGE_ID "\n"));
        CHECK(strstr(record, "SYSLOG_IDENTIFIER=test-log\n"));
        CHECK(strstr(record, "GUESTWIRE_PEER_CID=2\n"));
        CHECK(strstr(record, "GUESTWIRE_METHOD=agent.reload\n"));
        CHECK(!strstr(record, "CODE_FILE"));
        capture_read(&c, line, sizeof(line));
        CHECK(strcmp(line, "") == 0);

        /* Without fields or id, and with a line break, which the journal can hold. */
        log_warning("one\ntwo");
        n = recv(journal, record, sizeof(record) - 1, MSG_DONTWAIT);
        CHECK(n > 0);
        CHECK(memmem(record, (size_t)n, "one\ntwo", 7));
        CHECK(!memmem(record, (size_t)n, "MESSAGE_ID", 10));

        /* A journal that does not read holds nobody up, and is told what it missed. */
        for (int i = 0; i < 2000; i++)
                log_warning("record %d", i);
        while (recv(journal, record, sizeof(record) - 1, MSG_DONTWAIT) > 0)
                ;
        log_warning("after");
        n = recv(journal, record, sizeof(record) - 1, MSG_DONTWAIT);
        CHECK(n > 0);
        CHECK(memmem(record, (size_t)n, " records were lost", 18));
        n = recv(journal, record, sizeof(record) - 1, MSG_DONTWAIT);
        CHECK(n > 0);
        CHECK(memmem(record, (size_t)n, "MESSAGE=after\n", 14));
        _exit(0);
}

static void test_journal(void **state)
{
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                log_to_own_journal();
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == CHILD_CANNOT)
                cannot_run("no mount namespace here");
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain_line),
                cmocka_unit_test(test_a_record_is_one_line),
                cmocka_unit_test(test_long_message_is_cut),
                cmocka_unit_test(test_a_full_pipe_loses_lines),
                cmocka_unit_test(test_level),
                cmocka_unit_test(test_level_text),
                cmocka_unit_test(test_fields),
                cmocka_unit_test(test_journal_stream_of_another),
                cmocka_unit_test(test_journal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
