/* SPDX-License-Identifier: MIT */
#include "files/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "files/helper-internal.h"
#include "files/identity.h"

typedef struct HelperMethod HelperMethod;

struct HelperMethod {
        const char *name;
        void (*run)(FileJob *j);
        bool (*run_raw)(Helper *h, FileJob *j);
};

static const HelperMethod methods[] = {
        { .name = "file.stat", .run = file_stat },
        { .name = "file.list", .run = file_list },
        { .name = "file.mkdir", .run = file_mkdir },
        { .name = "file.remove", .run = file_remove },
        { .name = "file.rename", .run = file_rename },
        { .name = "file.chmod", .run = file_chmod },
        { .name = "file.chown", .run = file_chown },
        { .name = "file.read", .run = file_read },
        { .name = "file.write", .run = file_write },
        { .name = "file.hash", .run = file_hash },
        { .name = "file.get", .run_raw = helper_run_get },
        { .name = "file.put", .run_raw = helper_run_put },
};

/* SIGTERM */

static volatile sig_atomic_t term_is_gentle;
static volatile sig_atomic_t term_fd = -1;

static void on_term(int number)
{
        int saved = errno;

        if (!term_is_gentle)
                _exit(EXIT_SUCCESS);
        /* What reads from it comes to its end, and what waits for it wakes up. */
        (void)shutdown(term_fd, SHUT_RD);
        errno = saved;
}

void helper_set_gentle(bool gentle)
{
        term_is_gentle = gentle;
}

/* Messages */

/* False at the end of input. */
static bool receive_all(int fd, char *to, size_t n, int *ret_fd)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = to, .iov_len = n };

        while (iov.iov_len > 0) {
                struct msghdr m = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control),
                };
                const struct cmsghdr *c;
                ssize_t k;

                k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return false;
                c = CMSG_FIRSTHDR(&m);
                if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                    c->cmsg_len == CMSG_LEN(sizeof(int))) {
                        fd_close(*ret_fd);
                        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
                }
                iov.iov_base = (char *)iov.iov_base + k;
                iov.iov_len -= (size_t)k;
        }
        return true;
}

void helper_message_done(HelperMessage *m)
{
        free(TAKE_PTR(m->data));
        m->fd = fd_close(m->fd);
}

bool helper_receive(Helper *h, HelperMessage *ret)
{
        _cleanup_helper_message_ HelperMessage m = HELPER_MESSAGE_NULL;
        char header[HELPER_HEADER_SIZE];

        /* Nothing beyond the message is read, so that the socket shows whether more has come. */
        if (!receive_all(h->fd, header, sizeof(header), &m.fd))
                return false;
        m.kind = (HelperKind)header[HELPER_HEADER_SIZE - 1];
        m.n = helper_payload_size((const uint8_t *)header);
        m.data = must(malloc(m.n + 1));
        if (!receive_all(h->fd, m.data, m.n, &m.fd))
                return false;
        m.data[m.n] = '\0';
        *ret = m;
        m = HELPER_MESSAGE_NULL;
        return true;
}

void helper_send_two(Helper *h, HelperKind kind, const void *head, size_t n_head, const void *data,
                     size_t n)
{
        Buffer out = BUFFER_NULL;

        if (helper_append_two(&out, kind, head, n_head, data, n) < 0)
                job_die();
        while (out.size > 0) {
                ssize_t k = send(h->fd, buffer_peek(&out), out.size, MSG_NOSIGNAL);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        break;
                buffer_consume(&out, (size_t)k);
        }
        buffer_done(&out);
}

void helper_send(Helper *h, HelperKind kind, const void *data, size_t n)
{
        helper_send_two(h, kind, NULL, 0, data, n);
}

void helper_send_reply(Helper *h, FileJob *j)
{
        const char *json;
        size_t n;

        json = must(json_object_to_json_string_length(
                job_result(j), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n));
        helper_send(h, j->failed ? HELPER_ERROR : HELPER_RESULT, json, n);
}

/* Calls */

/* Nobody who is that user may look into this process, or trace it: it has begun as root. */
static void hide(void)
{
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The first message: whom to serve, and where. */
static void helper_greet(Helper *h, FileJob *j)
{
        const char *version = job_text(j, "version"), *user = job_text(j, "user");
        const char *root = job_text(j, "root");
        int r;

        if (!version || strcmp(version, PACKAGE_VERSION) != 0) {
                job_refuse(j, REASON_UNAVAILABLE, 0,
                           "guestwired was replaced by version %s: restart it", PACKAGE_VERSION);
                return;
        }
        /* The port's folder is the administrator's to name: no user need be able to reach it. */
        r = root ? file_root_open(root, &h->root) : 0;
        if (r == -EOPNOTSUPP) {
                job_refuse(j, REASON_UNSUPPORTED, 0,
                           "this kernel cannot confine paths to a folder (`root`): it has no "
                           "openat2");
                return;
        }
        if (r < 0) {
                job_fail(j, r, "the port's root %s", root);
                return;
        }
        r = user ? identity_become(user) : 0;
        if (r == -EPERM && geteuid() == 0)
                job_refuse(j, REASON_UNSUPPORTED, r,
                           "the agent's own unit keeps it from becoming %s: use scope = unit, or "
                           "see SANDBOX in guestwired(8)",
                           user);
        else if (r == -EPERM)
                job_refuse(j, REASON_UNSUPPORTED, r, "guestwired is not root and cannot become %s",
                           user);
        else if (r < 0)
                job_fail_identity(j, r, "user", user);
        hide();
        h->greeted = !j->failed;
}

/* False: this helper is of no more use. */
static bool helper_call(Helper *h, const HelperMessage *m)
{
        json_object *request = must(json_tokener_parse(m->data)), *params = NULL;
        FileJob job = { .root = &h->root, .params = request };
        const HelperMethod *method = NULL;
        const char *name;
        bool ok = true;

        if (m->kind == HELPER_HELLO) {
                helper_greet(h, &job);
                helper_send_reply(h, &job);
                ok = h->greeted;
        } else {
                name = must(job_text(&job, "method"));
                job.max_data = job_number(&job, "max_data", 0);
                (void)json_object_object_get_ex(request, "params", &params);
                job.params = params;
                for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                        if (strcmp(methods[i].name, name) == 0)
                                method = &methods[i];
                if (method && method->run_raw) {
                        ok = method->run_raw(h, &job);
                } else {
                        if (method)
                                method->run(&job);
                        else
                                job_refuse(&job, REASON_UNSUPPORTED, 0, "no such method: %s", name);
                        helper_send_reply(h, &job);
                }
        }
        json_object_put(job.reply);
        json_object_put(request);
        return ok;
}

/* True: and there may be more. */
static bool helper_turn(Helper *h)
{
        _cleanup_helper_message_ HelperMessage m = HELPER_MESSAGE_NULL;

        if (!helper_receive(h, &m))
                return false;
        switch (m.kind) {
        case HELPER_ABORT:
                return true; /* of a call whose end was on its way already */
        case HELPER_HELLO:
                return !h->greeted && helper_call(h, &m);
        case HELPER_CALL:
                return h->greeted && helper_call(h, &m);
        default:
                return false;
        }
}

static void raise_fd_limit(void)
{
        struct rlimit limit;

        /* A folder's levels each hold one. */
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = MIN_OF(limit.rlim_max, (rlim_t)4096);
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void helper_main(void)
{
        const struct sigaction ignore = { .sa_handler = SIG_IGN };
        const struct sigaction term = { .sa_handler = on_term };
        Helper h = { .fd = STDIN_FILENO, .root = FILE_ROOT_NULL };

        hide();
        term_fd = h.fd;
        (void)sigaction(SIGPIPE, &ignore, NULL);
        /* A file that is too large is an error of one write. */
        (void)sigaction(SIGXFSZ, &ignore, NULL);
        (void)sigaction(SIGTERM, &term, NULL);
        raise_fd_limit();
        while (helper_turn(&h))
                ;
        /* Nothing is buffered; and a leak checker cannot look into a process that hides. */
        _exit(EXIT_SUCCESS);
}
