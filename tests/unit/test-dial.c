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
#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/dial.h"
#include "io/dial-problem.h"
#include "io/vsock.h"
#include "tests/unit/child.h"
#include "tests/unit/dial-world.h"

/* Unix */

static void test_unix(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);
        _cleanup_close_ int accepted = -EBADF;
        char byte;

        listen_at_path(w, 1);
        dial(w, &a, LONG);
        assert_connected(w);
        accepted = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(write(accepted, "x", 1), 1);
        assert_int_equal(read(w->result, &byte, 1), 1);
        assert_int_equal(byte, 'x');
}

static void test_unix_without_timeout(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);

        listen_at_path(w, 1);
        dial(w, &a, TEXT_INFINITY);
        assert_connected(w);
}

/* A relative path is taken as it is, from the folder that the program is in. */
static void test_unix_relative(void **state)
{
        World *w = *state;
        const Address a = { .kind = ADDRESS_UNIX, .path = (char *)"vm.sock" };
        _cleanup_close_ int before = open(".", O_PATH | O_CLOEXEC);

        listen_at_path(w, 1);
        assert_int_equal(chdir(w->folder), 0);
        dial(w, &a, LONG);
        assert_int_equal(fchdir(before), 0);
        assert_connected(w);
}

static void test_unix_nobody_there(void **state)
{
        World *w = *state;
        const Address a = unix_address(w), mux = mux_address(w);

        dial(w, &a, LONG);
        assert_failed(w, -ENOENT, "there is no socket");
        free(w->problem);
        w->n_calls = 0;
        listen_at_path(w, 1);
        w->listener = fd_close(w->listener);
        dial(w, &a, LONG);
        assert_failed(w, -ECONNREFUSED, "nobody listens on");
        free(w->problem);
        w->n_calls = 0;
        dial(w, &mux, LONG);
        assert_failed(w, -ECONNREFUSED, "is the VM running?");
}

static void test_unix_path_too_long(void **state)
{
        World *w = *state;
        char path[ADDRESS_PATH_MAX + 2] = { 0 };
        const Address a = { .kind = ADDRESS_UNIX, .path = path };

        memset(path, 'p', ADDRESS_PATH_MAX + 1);
        assert_int_equal(dial_start(w->event, &a, 0, LONG, on_done, w, &w->dial), -ENAMETOOLONG);
        assert_null(w->dial);
}

/* Fills a backlog and returns the one connection that waits in it. */
static int fill_backlog(World *w)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        listen_at_path(w, 0);
        memcpy(un.sun_path, w->path, strlen(w->path));
        assert_int_equal(connect(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
        return fd;
}

static void test_full_backlog_is_waited_out(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);
        _cleanup_close_ _unused_ int first = fill_backlog(w), accepted = -EBADF;

        begin(w, &a, 0, LONG);
        /* Until it has found no room several times. */
        for (int i = 0; i < 5; i++)
                turn(w);
        assert_int_equal(w->n_calls, 0);
        accepted = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        finish(w);
        assert_connected(w);
}

static void test_full_backlog_to_the_end(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);
        _cleanup_close_ _unused_ int first = fill_backlog(w);

        dial(w, &a, SHORT);
        assert_failed(w, -ETIMEDOUT, "did not answer within 20ms");
}

/* TCP */

static void test_tcp(void **state)
{
        World *w = *state;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1", .port = listen_on_tcp(w) };

        dial(w, &a, LONG);
        assert_connected(w);
}

static void test_tcp_refused(void **state)
{
        World *w = *state;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1", .port = listen_on_tcp(w) };

        /* Bound and not listening: nobody else can take the port meanwhile. */
        assert_int_equal(shutdown(w->listener, SHUT_RDWR), 0);
        dial(w, &a, LONG);
        assert_failed(w, -ECONNREFUSED, "nobody listens on tcp:127.0.0.1:");
}

/* A chroot in which packages are built may have no /etc/hosts. */
static bool localhost_is_known(void)
{
        const struct addrinfo hints = { .ai_family = AF_INET };
        struct addrinfo *found = NULL;

        if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
                return false;
        freeaddrinfo(found);
        return true;
}

/* Where localhost is ::1 as well, that one is refused first: the listener has only IPv4. */
static void test_tcp_name(void **state)
{
        World *w = *state;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"localhost", .port = listen_on_tcp(w) };

        if (!localhost_is_known())
                cannot_run("localhost has no address");
        dial(w, &a, LONG);
        assert_connected(w);
}

/* A label longer than RFC 1035 allows fails without a question to any name server. */
#define NO_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid"

static void test_tcp_name_unknown(void **state)
{
        const Address a = { .kind = ADDRESS_TCP, .host = (char *)NO_NAME, .port = 1 };
        World *w = *state;

        dial(w, &a, LONG);
        assert_failed(w, -EHOSTUNREACH, "does not resolve: ");
}

/* Given up while the thread runs: it must clean up after itself. */
static void test_tcp_name_given_up(void **state)
{
        static const char *const names[] = { "localhost", NO_NAME };
        World *w = *state;

        for (size_t i = 0; i < 20; i++) {
                const Address a = { .kind = ADDRESS_TCP,
                                    .host = (char *)names[i % ELEMENTSOF(names)],
                                    .port = 1 };

                begin(w, &a, 0, LONG);
                turn(w);
                w->dial = dial_free(w->dial);
        }
        assert_int_equal(w->n_calls, 0);
}

/* Life and death */

static void test_free_before_anything(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);

        listen_at_path(w, 1);
        begin(w, &a, 0, LONG);
        w->dial = dial_free(w->dial);
        assert_int_equal(sd_event_run(w->event, 0), 0);
        assert_int_equal(w->n_calls, 0);
        assert_null(dial_free(NULL));
}

static void test_free_at_every_turn(void **state)
{
        static const char answer[] = "OK 1\n";
        World *w = *state;
        const Address a = mux_address(w);
        bool ended = false;

        for (int turns = 0; !ended; turns++) {
                vmm_start(w, answer, strlen(answer), 1, false);
                begin(w, &a, 0, LONG);
                for (int i = 0; i < turns && w->n_calls == 0; i++)
                        turn(w);
                ended = w->n_calls > 0;
                w->dial = dial_free(w->dial);
                vmm_stop(w);
                assert_true(turns < 100);
        }
}

static void test_free_in_pause(void **state)
{
        World *w = *state;
        const Address a = unix_address(w);
        _cleanup_close_ _unused_ int first = fill_backlog(w);

        begin(w, &a, 0, LONG);
        turn(w);
        w->dial = dial_free(w->dial);
        assert_int_equal(sd_event_run(w->event, 0), 0);
        assert_int_equal(w->n_calls, 0);
}

static void test_free_in_call(void **state)
{
        World *w = *state;
        const Address a = mux_address(w), none = unix_address(w);

        w->free_in_call = true;
        dial_vmm(w, "OK 1\n", 5, 2, false, LONG);
        assert_connected(w);
        vmm_stop(w);
        dial_vmm(w, "NO\n", 3, 2, false, LONG);
        assert_int_equal(w->result, -EPROTO);
        vmm_stop(w);
        vmm_start(w, "", 0, 1, false);
        dial(w, &a, SHORT);
        assert_int_equal(w->result, -ETIMEDOUT);
        vmm_stop(w);
        dial(w, &none, LONG);
        assert_int_equal(w->result, -ENOENT);
}

static void test_no_time_at_all(void **state)
{
        World *w = *state;
        const Address a = mux_address(w);

        vmm_start(w, "", 0, 1, false);
        dial(w, &a, 0);
        assert_int_equal(w->result, -ETIMEDOUT);
}

/* vsock, as far as it can be without one */

typedef struct Denied Denied;

struct Denied {
        unsigned number; /* of the system call */
        int error;
        int bind_error; /* if not 0 the dial asks for a privileged port */
        uint64_t timeout;
        int expected;
        const char *words;
};

static int dial_denied(void *userdata)
{
        const Address a = { .kind = ADDRESS_VSOCK, .cid = 77, .port = 1000 };
        const Denied *d = userdata;
        World w = { .result = -EBADF };

        if (!child_deny(d->number, d->number == SYS_socket ? AF_VSOCK : -1, d->error))
                return CHILD_CANNOT;
        if (d->bind_error != 0 && !child_deny(SYS_bind, -1, d->bind_error))
                return CHILD_CANNOT;
        /* A loop of its own: one made by the parent does not work in a child. */
        if (sd_event_new(&w.event) < 0 ||
            dial_start(w.event, &a, d->bind_error ? DIAL_PRIVILEGED_PORT : 0, d->timeout, on_done,
                       &w, &w.dial) < 0)
                return 1;
        while (w.n_calls == 0)
                if (sd_event_run(w.event, LONG) <= 0)
                        return 2;
        if (w.result != d->expected || !strstr(w.problem, d->words)) {
                fprintf(stderr, "%d: %s\n", w.result, w.problem);
                return 3;
        }
        dial_free(w.dial);
        free(w.problem);
        sd_event_unref(w.event);
        return 0;
}

/*
 * The child's connect() never leaves it: a filter answers in the kernel's place. ETIMEDOUT,
 * which vsock gives for a handshake that got lost, is tried again while there is time.
 */
static void test_vsock_errors(void **state)
{
        Denied cases[] = {
                { SYS_socket, EAFNOSUPPORT, 0, LONG, -EAFNOSUPPORT, "no AF_VSOCK in this" },
                { SYS_connect, ECONNRESET, 0, LONG, -ECONNRESET, "nobody listens on vsock" },
                { SYS_connect, ENODEV, 0, LONG, -ENODEV, "no vsock transport here reaches" },
                { SYS_connect, ETIMEDOUT, 0, SHORT, -ETIMEDOUT, "did not answer within 20ms" },
                /* Without a privileged port it is called all the same. */
                { SYS_connect, ENODEV, EACCES, LONG, -ENODEV, "no vsock transport" },
                { SYS_connect, ENODEV, EPERM, LONG, -ENODEV, "no vsock transport" },
                { SYS_connect, ENODEV, EADDRINUSE, LONG, -ENODEV, "no vsock transport" },
        };

        if (vsock_supported() < 0)
                cannot_run("no AF_VSOCK in this kernel");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int r = child_run(dial_denied, &cases[i]);

                if (r == CHILD_CANNOT)
                        cannot_run("no seccomp filters here");
                assert_int_equal(r, 0);
        }
}

/* Each sentence names what was called and says what to do next. */
static void test_problems(void **state)
{
        static const struct {
                const char *target;
                DialStage stage;
                int error;
                const char *words;
        } cases[] = {
                { "vsock:1:1000", DIAL_STAGE_CONNECT, -ENODEV, "modprobe vsock_loopback" },
                { "vsock:21:1000", DIAL_STAGE_CONNECT, -ENODEV, "modprobe vhost_vsock" },
                { "vsock:21:7", DIAL_STAGE_CONNECT, -ECONNRESET, "vsock port 7 of CID 21" },
                { "vsock:21:7", DIAL_STAGE_CONNECT, -ECONNREFUSED, "vsock port 7 of CID 21" },
                { "vsock:21", DIAL_STAGE_CONNECT, -EHOSTUNREACH, "no guest with CID 21" },
                { "vsock:21", DIAL_STAGE_CONNECT, -EAFNOSUPPORT, "CONFIG_VSOCKETS" },
                { "vsock:21", DIAL_STAGE_CONNECT, -EIO, "vsock:21:1000: Input/output error" },
                { "unix:/a", DIAL_STAGE_CONNECT, -EACCES, "no permission to connect to '/a'" },
                { "unix:/a", DIAL_STAGE_CONNECT, -EPROTOTYPE, "'/a' is no stream socket" },
                { "mux:/a:7", DIAL_STAGE_CONNECT, -ENOENT, "is the VM running" },
                { "mux:/a:7", DIAL_STAGE_MUX, -ECONNRESET, "nobody listens on port 7" },
                { "mux:/a:7", DIAL_STAGE_MUX, -EIO, "handshake with mux:/a:7 failed" },
                { "mux:/a:7", DIAL_STAGE_MUX, -ETIMEDOUT, "did not answer CONNECT within 1min" },
                { "tcp:h:7", DIAL_STAGE_LOOKUP, -EHOSTUNREACH, "name 'h' does not resolve" },
                { "tcp:h:7", DIAL_STAGE_LOOKUP, -ETIMEDOUT, "check the name server" },
                { "tcp:[::1]:7", DIAL_STAGE_CONNECT, -ECONNREFUSED, "listens on tcp:[::1]:7" },
                { "tcp:h:7", DIAL_STAGE_CONNECT, -ENETUNREACH, "cannot connect to tcp:h:7: Net" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_address_ Address a = ADDRESS_NULL;
                _cleanup_free_ char *text = NULL;

                assert_int_equal(address_parse_target(cases[i].target, &a, NULL), 0);
                text = dial_problem(&a, cases[i].stage, cases[i].error, LONG, NULL);
                if (!text || !strstr(text, cases[i].words))
                        fail_msg("case %zu: no '%s' in '%s'", i, cases[i].words, text);
        }
}

static void test_a_timeout_is_said_in_round_numbers(void **state)
{
        static const struct {
                uint64_t timeout;
                const char *words;
        } cases[] = {
                { 9999950, "CONNECT within 10s: " },   { 199950, "CONNECT within 200ms: " },
                { 204999, "CONNECT within 200ms: " },  { 9999, "CONNECT within 9ms 999us: " },
                { UINT64_MAX - 1, "CONNECT within " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_address_ Address a = ADDRESS_NULL;
                _cleanup_free_ char *text = NULL;

                assert_int_equal(address_parse_target("mux:/a:7", &a, NULL), 0);
                text = dial_problem(&a, DIAL_STAGE_MUX, -ETIMEDOUT, cases[i].timeout, NULL);
                if (!text || !strstr(text, cases[i].words))
                        fail_msg("case %zu: no '%s' in '%s'", i, cases[i].words, text);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                with_world(test_unix),
                with_world(test_unix_without_timeout),
                with_world(test_unix_relative),
                with_world(test_unix_nobody_there),
                with_world(test_unix_path_too_long),
                with_world(test_full_backlog_is_waited_out),
                with_world(test_full_backlog_to_the_end),
                with_world(test_tcp),
                with_world(test_tcp_refused),
                with_world(test_tcp_name),
                with_world(test_tcp_name_unknown),
                with_world(test_tcp_name_given_up),
                with_world(test_free_before_anything),
                with_world(test_free_at_every_turn),
                with_world(test_free_in_pause),
                with_world(test_free_in_call),
                with_world(test_no_time_at_all),
                cmocka_unit_test(test_vsock_errors),
                cmocka_unit_test(test_problems),
                cmocka_unit_test(test_a_timeout_is_said_in_round_numbers),
        };

        return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
