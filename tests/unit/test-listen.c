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
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/listen.h"
#include "tests/unit/child.h"

typedef struct Scratch Scratch;

/* A folder of the test's own, and an address in it. */
struct Scratch {
        char folder[32];
        char path[ADDRESS_PATH_MAX + 1];
        Address address;
        char *problem; /* of the last listen_open() that failed */
};

static const ListenFile private_file = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };

/* The address becomes the folder's `name`. */
static void scratch_name(Scratch *s, const char *name)
{
        (void)snprintf(s->path, sizeof(s->path), "%s/%s", s->folder, name);
        s->address = (Address){ .kind = ADDRESS_UNIX, .path = s->path };
}

static int setup(void **state)
{
        Scratch *s = calloc(1, sizeof(*s));

        if (!s)
                return -1;
        strcpy(s->folder, "/tmp/guestwire-XXXXXX");
        if (!mkdtemp(s->folder)) {
                free(s);
                return -1;
        }
        scratch_name(s, "a.sock");
        *state = s;
        return 0;
}

static int teardown(void **state)
{
        Scratch *s = *state;
        _cleanup_free_ char *command = text_format("rm -rf '%s'", s->folder);
        int r = command ? system(command) : -1;

        free(s->problem);
        free(s);
        return r;
}

static int scratch_listen(Scratch *s, const ListenFile *file)
{
        free(s->problem);
        s->problem = NULL;
        return listen_open(&s->address, file, &s->problem);
}

static void assert_refused(Scratch *s, int error, const char *words)
{
        int r = scratch_listen(s, &private_file);

        if (r != error)
                fail_msg("%s: %d instead of %d: %s", s->path, r, error,
                         s->problem ? s->problem : "no problem");
        if (!strstr(s->problem, words))
                fail_msg("no '%s' in '%s'", words, s->problem);
}

static int unix_socket_to(const char *path)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(un.sun_path, path, strlen(path));
        return connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : TAKE_FD(fd);
}

/* Binds path and does not listen: what a crash leaves behind once the socket is closed. */
static int unix_socket_at(const char *path, int type)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        memcpy(un.sun_path, path, strlen(path));
        assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
        return fd;
}

static void assert_answers(const char *path)
{
        int fd = unix_socket_to(path);

        if (fd < 0)
                fail_msg("%s: %s", path, strerror(-fd));
        close(fd);
}

static mode_t mode_of(const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                fail_msg("%s: %s", path, strerror(errno));
        return st.st_mode;
}

static void test_unix(void **state)
{
        struct sockaddr_un un = { 0 };
        socklen_t length = sizeof(un);
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        mode_t mask;

        mask = umask(0002);
        fd = scratch_listen(s, &private_file);
        assert_int_equal(umask(mask), 0002);
        assert_true(fd >= 0);
        assert_null(s->problem);
        assert_int_equal(mode_of(s->path), S_IFSOCK | 0600);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_answers(s->path);
        /* What ss(8) shows is the path of the configuration. */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&un, &length), 0);
        assert_string_equal(un.sun_path, s->path);
}

static void test_unix_mode(void **state)
{
        static const mode_t modes[] = { 0600, 0660, 0666, 0000, 0777 };
        Scratch *s = *state;

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                const ListenFile file = { .mode = modes[i], .uid = (uid_t)-1, .gid = (gid_t)-1 };
                int fd = scratch_listen(s, &file);

                assert_true(fd >= 0);
                assert_int_equal(mode_of(s->path), S_IFSOCK | modes[i]);
                close(fd);
                assert_int_equal(unlink(s->path), 0);
        }
}

static void test_unix_owner(void **state)
{
        const ListenFile file = { .mode = 0660, .uid = CHILD_NOBODY, .gid = 12345 };
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (geteuid() != 0)
                cannot_run("only root can give files away");
        fd = scratch_listen(s, &file);
        assert_true(fd >= 0);
        assert_int_equal(stat(s->path, &st), 0);
        assert_int_equal(st.st_uid, CHILD_NOBODY);
        assert_int_equal(st.st_gid, 12345);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        assert_answers(s->path);
        /* What a crash would leave is replaced again, although it is not root's any more. */
        fd = fd_close(fd);
        fd = scratch_listen(s, &file);
        assert_true(fd >= 0);
}

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

/* 0 where listening as an ordinary user fails with EACCES and the words given. */
static int nobody_listens(Address *a, const char *words)
{
        _cleanup_free_ char *problem = NULL;
        int r;

        if (!child_become_nobody())
                return CHILD_CANNOT;
        r = listen_open(a, &private_file, &problem);
        if (r == -EACCES && problem && strstr(problem, words))
                return 0;
        fprintf(stderr, "got %d: %s\n", r, problem ? problem : "");
        return 1;
}

static int nobody_listens_in_folder(void *userdata)
{
        return nobody_listens(userdata, "no permission to write in its folder");
}

static int nobody_listens_on_low_port(void *userdata)
{
        return nobody_listens(userdata, "CAP_NET_BIND_SERVICE");
}

static void test_folder_without_permission(void **state)
{
        Scratch *s = *state;

        if (geteuid() != 0)
                cannot_run("only root can become another user");
        assert_int_equal(chmod(s->folder, 0755), 0);
        assert_int_equal(child_run(nobody_listens_in_folder, &s->address), 0);
}

static void test_file_change(void **state)
{
        const ListenFile wide = { .mode = 0666, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;

        assert_int_equal(listen_file_change(&s->address, &wide), -ENOENT);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_int_equal(listen_file_change(&s->address, &wide), 0);
        assert_int_equal(mode_of(s->path), S_IFSOCK | 0666);
        assert_answers(s->path);

        assert_int_equal(unlink(s->path), 0);
        close(open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(listen_file_change(&s->address, &wide), -EEXIST);
        assert_int_equal(mode_of(s->path), S_IFREG | 0600);
        assert_int_equal(unlink(s->path), 0);
        assert_int_equal(symlink("/etc/passwd", s->path), 0);
        assert_int_equal(listen_file_change(&s->address, &wide), -EEXIST);
        assert_int_equal(chmod(s->folder, 0777), 0);
        assert_int_equal(listen_file_change(&s->address, &wide), -EPERM);
}

static void test_file_remove(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF, other = -EBADF;
        const Address elsewhere = { .kind = ADDRESS_UNIX, .path = (char *)"/nowhere/a.sock" };

        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        listen_file_remove(&elsewhere, fd);
        listen_file_remove(&s->address, -EBADF);
        assert_answers(s->path);

        /* Under its name there is something else by now. */
        assert_int_equal(unlink(s->path), 0);
        close(open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        listen_file_remove(&s->address, fd);
        assert_int_equal(mode_of(s->path), S_IFREG | 0600);
        assert_int_equal(unlink(s->path), 0);
        close(unix_socket_at(s->path, SOCK_STREAM));
        listen_file_remove(&s->address, fd);
        assert_int_equal(mode_of(s->path) & S_IFMT, S_IFSOCK);

        fd = fd_close(fd);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        listen_file_remove(&s->address, fd);
        assert_int_equal(access(s->path, F_OK), -1);
        listen_file_remove(&s->address, fd);
}

typedef struct Successor Successor;

struct Successor {
        const char *path;
        int ready; /* closed once it listens */
        int stop;  /* reads EOF when it is to end */
};

static int successor_run(void *userdata)
{
        const Successor *c = userdata;
        _cleanup_close_ int fd = -EBADF;
        char byte;

        if (unlink(c->path) < 0)
                return 1;
        fd = unix_socket_at(c->path, SOCK_STREAM);
        if (listen(fd, 1) < 0 || write(c->ready, "r", 1) != 1)
                return 1;
        return read(c->stop, &byte, 1) == 1 ? 0 : 1;
}

/* A daemon that ends late must not take away the socket of the one that replaced it. */
static void test_file_of_successor_stays(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        int ready[2], stop[2], status;
        char byte;
        pid_t pid;

        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Successor c = { .path = s->path, .ready = ready[1], .stop = stop[0] };

                close(ready[0]);
                close(stop[1]);
                _exit(successor_run(&c));
        }
        close(ready[1]);
        close(stop[0]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        listen_file_remove(&s->address, fd);
        assert_answers(s->path);
        assert_int_equal(write(stop[1], "s", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(ready[0]);
        close(stop[1]);
}

/*
 * A TCP port that is free and stays so: bound but not listened on, which SO_REUSEADDR on
 * both sides lets another socket share.
 */
static int reserve_tcp_port(int family, struct sockaddr_storage *sa)
{
        _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t length =
                family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        const int on = 1;

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)sa, length) < 0 ||
            getsockname(fd, (struct sockaddr *)sa, &length) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int option_of(int fd, int level, int option)
{
        socklen_t length = sizeof(int);
        int value = -1;

        assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
        return value;
}

static void test_tcp(void **state)
{
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr_storage sa = { 0 };
        _cleanup_close_ int reserved = -EBADF, fd = -EBADF;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1" };
        _cleanup_free_ char *problem = NULL;

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&sa, &in, sizeof(in));
        reserved = reserve_tcp_port(AF_INET, &sa);
        assert_true(reserved >= 0);
        memcpy(&in, &sa, sizeof(in));
        a.port = ntohs(in.sin_port);
        fd = listen_open(&a, NULL, &problem);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(listen_open(&a, NULL, &problem), -EADDRINUSE);
        assert_non_null(strstr(problem, "is taken: stop what listens there"));
}

static void test_tcp6(void **state)
{
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr_storage sa = { 0 };
        _cleanup_close_ int reserved = -EBADF, fd = -EBADF;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"::1" };
        _cleanup_free_ char *problem = NULL;

        memcpy(&sa, &in6, sizeof(in6));
        reserved = reserve_tcp_port(AF_INET6, &sa);
        if (reserved < 0)
                cannot_run("no IPv6 loopback here");
        memcpy(&in6, &sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        fd = listen_open(&a, NULL, &problem);
        assert_true(fd >= 0);
        assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

static void test_tcp_refused(void **state)
{
        /* TEST-NET-1 of RFC 5737: on no interface. */
        const Address foreign = { .kind = ADDRESS_TCP, .host = (char *)"192.0.2.1", .port = 5000 };
        const Address name = { .kind = ADDRESS_TCP, .host = (char *)"localhost", .port = 5000 };
        _cleanup_free_ char *problem = NULL, *second = NULL;

        assert_int_equal(listen_open(&foreign, NULL, &problem), -EADDRNOTAVAIL);
        assert_non_null(strstr(problem, "no interface of this machine"));
        assert_int_equal(listen_open(&name, NULL, &second), -EINVAL);
        assert_non_null(second);
}

static void test_tcp_low_port(void **state)
{
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1", .port = 1 };
        FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
        unsigned first = 1024;

        if (f) {
                assert_int_equal(fscanf(f, "%u", &first), 1);
                (void)fclose(f);
        }
        if (geteuid() != 0 || first <= a.port)
                cannot_run("needs root, and low TCP ports that need a capability");
        assert_int_equal(child_run(nobody_listens_on_low_port, &a), 0);
}

static int listen_without_vsock(void *userdata)
{
        const Address a = { .kind = ADDRESS_VSOCK, .cid = VMADDR_CID_ANY, .port = 1000 };
        _cleanup_free_ char *problem = NULL;
        int r;

        if (!child_deny(SYS_socket, AF_VSOCK, EAFNOSUPPORT))
                return CHILD_CANNOT;
        r = listen_open(&a, NULL, &problem);
        return r == -EAFNOSUPPORT && problem &&
                               strncmp(problem, "no AF_VSOCK in this kernel: modprobe vsock", 42) ==
                                       0
                       ? 0
                       : 1;
}

static void test_no_vsock(void **state)
{
        int r = child_run(listen_without_vsock, NULL);

        if (r == CHILD_CANNOT)
                cannot_run("no seccomp filters here");
        assert_int_equal(r, 0);
}

static void test_not_to_be_listened_on(void **state)
{
        const Address mux = { .kind = ADDRESS_MUX, .path = (char *)"/run/vm.sock", .port = 1000 };
        _cleanup_free_ char *problem = NULL;

        assert_int_equal(listen_open(&mux, NULL, &problem), -EINVAL);
        assert_non_null(strstr(problem, "mux:/run/vm.sock:1000"));
        assert_int_equal(listen_file_change(&mux, &private_file), -EINVAL);
}

#define with_scratch(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                with_scratch(test_unix),
                with_scratch(test_unix_mode),
                with_scratch(test_unix_owner),
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
                with_scratch(test_file_change),
                with_scratch(test_file_remove),
                with_scratch(test_file_of_successor_stays),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_tcp6),
                cmocka_unit_test(test_tcp_refused),
                cmocka_unit_test(test_tcp_low_port),
                cmocka_unit_test(test_no_vsock),
                cmocka_unit_test(test_not_to_be_listened_on),
        };

        return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
