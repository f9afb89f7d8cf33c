/* SPDX-License-Identifier: MIT */

/*
 * What the daemon makes of its file helpers, whatever they do. The program that it starts as one is
 * this one itself, and the user that a call names says how it behaves.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/text.h"
#include "files/helper-wire.h"
#include "methods/file-internal.h"
#include "tests/lib/world.h"

/* The helper's side */

static void say(HelperKind kind, const char *data)
{
        Buffer out = BUFFER_NULL;

        if (helper_append(&out, kind, data, strlen(data)) < 0 ||
            send(STDIN_FILENO, buffer_peek(&out), out.size, MSG_NOSIGNAL) < 0)
                _exit(98);
        buffer_done(&out);
}

static void say_byte_by_byte(HelperKind kind, const char *data)
{
        Buffer out = BUFFER_NULL;

        if (helper_append(&out, kind, data, strlen(data)) < 0)
                _exit(98);
        for (size_t i = 0; i < out.size; i++)
                if (send(STDIN_FILENO, buffer_peek(&out) + i, 1, MSG_NOSIGNAL) != 1)
                        _exit(98);
        buffer_done(&out);
}

/* The next message; exits at the end of input. */
static HelperKind hear(char *data, size_t size)
{
        uint8_t header[HELPER_HEADER_SIZE];
        size_t n;

        if (recv(STDIN_FILENO, header, sizeof(header), MSG_WAITALL) != sizeof(header))
                _exit(0);
        n = helper_payload_size(header);
        if (n >= size)
                _exit(97);
        if (n > 0 && recv(STDIN_FILENO, data, n, MSG_WAITALL) != (ssize_t)n)
                _exit(96);
        data[n] = '\0';
        return (HelperKind)header[HELPER_HEADER_SIZE - 1];
}

static bool is(const char *hello, const char *user)
{
        return strstr(hello, user);
}

/* Of a call. */
static void misbehave(const char *hello)
{
        if (is(hello, "drops"))
                _exit(7);
        else if (is(hello, "begins"))
                say(HELPER_BEGIN, "");
        else if (is(hello, "returns"))
                say(HELPER_RETURN, "x");
        else if (is(hello, "drips"))
                say_byte_by_byte(HELPER_RESULT, "{\"type\":\"drip\"}");
        else if (is(hello, "breaks the line"))
                say(HELPER_RESULT, "{}\n{}");
        else if (is(hello, "fails oddly"))
                say(HELPER_ERROR, "no JSON");
        else if (is(hello, "fails"))
                say(HELPER_ERROR, "{\"reason\":\"exists\",\"message\":\"so it is\",\"errno\":17,"
                                  "\"more\":1}");
        if (!is(hello, "fails") && !is(hello, "begins") && !is(hello, "breaks the line") &&
            !is(hello, "drips"))
                say(HELPER_RESULT, "{\"type\":\"well\"}");
}

static void be_a_helper(void)
{
        static char data[65536], hello[65536];

        if (hear(hello, sizeof(hello)) != HELPER_HELLO)
                _exit(95);
        if (is(hello, "dies"))
                _exit(7);
        if (is(hello, "is killed"))
                (void)raise(SIGKILL);
        if (is(hello, "talks garbage"))
                (void)!send(STDIN_FILENO, "\0\0\0\0\x7f", 5, MSG_NOSIGNAL);
        if (is(hello, "talks too much"))
                (void)!send(STDIN_FILENO, "\xff\xff\xff\xff\4", 5, MSG_NOSIGNAL);
        say(HELPER_RESULT, "{}");
        if (is(hello, "talks uncalled"))
                say(HELPER_RESULT, "{}");
        for (;;)
                switch (hear(data, sizeof(data))) {
                case HELPER_CALL:
                        misbehave(hello);
                        break;
                case HELPER_ABORT:
                        say(HELPER_ERROR, "{\"reason\":\"cancelled\",\"message\":\"stopped\"}");
                        break;
                default:
                        _exit(94);
                }
}

/* The daemon's side */

static World *helped_world(void)
{
        World *w = world_new(&root_peer, true);

        assert_int_equal(spawner_new(w->event, &w->context.spawner), 0);
        assert_int_equal(method_set_add(w->methods, file_methods), 0);
        return w;
}

static void helped_world_free(World *w)
{
        w->session = session_free(w->session);
        assert_null(w->context.file_pool);
        w->context.spawner = spawner_free(w->context.spawner);
        (void)world_free(w);
}

static void ask(World *w, unsigned id, const char *user)
{
        _cleanup_free_ char *text =
                text_format("{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"file.stat\","
                            "\"params\":{\"path\":\"/\",\"user\":\"%s\"}}\n",
                            id, user);

        world_send(w, text);
}

static void assert_answer(World *w, const char *user, const char *const words[])
{
        const char *line = world_receive(w);

        for (; *words; words++)
                if (!strstr(line, *words))
                        fail_msg("a helper that %s: no %s in %s", user, *words, line);
}

static void test_whatever_a_helper_does(void **state)
{
        static const struct {
                const char *user;
                const char *words[5]; /* NULL-terminated */
        } cases[] = {
                { "is well", { "\"well\"" } },
                { "drips", { "\"drip\"" } },
                { "dies", { "\"unavailable\"", "status 7" } },
                { "is killed", { "\"unavailable\"", "signal 9" } },
                { "drops", { "\"unavailable\"", "status 7" } },
                { "talks garbage", { "\"unavailable\"", "EPROTO" } },
                { "talks too much", { "\"unavailable\"", "EPROTO" } },
                { "begins", { "\"cancelled\"", "stopped" } },
                { "returns", { "\"well\"" } },
                { "breaks the line", { "\"failed\"" } },
                { "fails oddly", { "\"failed\"" } },
                { "fails", { "\"exists\"", "so it is", "EEXIST", "\"more\":1" } },
        };
        World *w = helped_world();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                /* What is wrong with one is not with the next. */
                for (unsigned k = 0; k < 2; k++) {
                        ask(w, 1, cases[i].user);
                        assert_answer(w, cases[i].user, cases[i].words);
                }
        }
        helped_world_free(w);
}

static void test_each_of_several_calls_has_its_answer(void **state)
{
        static const char *const users[] = { "drops", "dies", "talks uncalled", "is well" };
        World *w = helped_world();

        for (size_t i = 0; i < ELEMENTSOF(users); i++) {
                unsigned seen = 0;

                for (unsigned id = 1; id <= 5; id++)
                        ask(w, id, users[i]);
                for (unsigned id = 1; id <= 5; id++) {
                        json_object *reply = json_tokener_parse(world_receive(w));

                        seen |= 1U << member_unsigned(reply, "id");
                        json_object_put(reply);
                }
                assert_int_equal(seen, 0x3e);
        }
        helped_world_free(w);
}

static void test_a_caller_that_leaves(void **state)
{
        static const char *const users[] = { "drops", "dies", "is well", "drips" };

        for (size_t i = 0; i < ELEMENTSOF(users); i++) {
                World *w = helped_world();

                for (unsigned id = 1; id <= 5; id++)
                        ask(w, id, users[i]);
                /* At every stage that these calls have. */
                for (size_t turns = 0; turns < i * 3 + 1; turns++)
                        (void)sd_event_run(w->event, 1000);
                helped_world_free(w);
        }
}

/* A process alone. */

static void on_message(HelperKind kind, const char *data, size_t n, void *userdata)
{
}

static void on_lost(int error, const char *problem, void *userdata)
{
        fail_msg("lost: %s", problem);
}

static void on_idle(void *userdata)
{
        FileProcess **p = userdata;

        *p = file_process_free(*p);
}

static const FileProcessOwner alone = {
        .message = on_message,
        .lost = on_lost,
        .idle = on_idle,
};

static void test_one_without_work_goes(void **state)
{
        const FileProcessSettings settings = { .idle_usec = 1000 };
        World *w = helped_world();
        FileProcess *p = NULL;

        assert_int_equal(file_process_new(&w->context, &settings, &alone, &p, &p), 0);
        file_process_set_idle(p, true);
        file_process_set_idle(p, false);
        file_process_set_idle(p, true);
        while (p)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        helped_world_free(w);
}

static void test_there_are_only_so_many(void **state)
{
        const FileProcessSettings settings = { .idle_usec = SECOND * 1000 };
        FileProcess *all[FILE_HELPERS_MAX + 1] = { NULL };
        World *w = helped_world();

        for (size_t i = 0; i < FILE_HELPERS_MAX; i++)
                assert_int_equal(file_process_new(&w->context, &settings, &alone, &all[i], &all[i]),
                                 0);
        assert_int_equal(file_process_new(&w->context, &settings, &alone, &all[FILE_HELPERS_MAX],
                                          &all[FILE_HELPERS_MAX]),
                         -EBUSY);
        /* The one that has been idle longest makes room. */
        file_process_set_idle(all[5], true);
        file_process_set_idle(all[3], true);
        assert_int_equal(file_process_new(&w->context, &settings, &alone, &all[FILE_HELPERS_MAX],
                                          &all[FILE_HELPERS_MAX]),
                         0);
        assert_null(all[5]);
        assert_non_null(all[3]);
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                all[i] = file_process_free(all[i]);
        helped_world_free(w);
}

/* What a call of sendmsg() is to fail with, after so many that do not. */
static int sendmsg_error;
static unsigned sendmsg_good;

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        if (sendmsg_error > 0 && sendmsg_good == 0) {
                errno = sendmsg_error;
                sendmsg_error = 0;
                return -1;
        }
        sendmsg_good -= sendmsg_good > 0;
        return syscall(SYS_sendmsg, fd, message, flags);
}

typedef struct Told Told;

struct Told {
        unsigned messages;
        unsigned losses;
};

static void told_message(HelperKind kind, const char *data, size_t n, void *userdata)
{
        Told *told = userdata;

        assert_int_equal(kind, HELPER_RESULT);
        told->messages++;
}

static void told_lost(int error, const char *problem, void *userdata)
{
        Told *told = userdata;

        assert_non_null(strstr(problem, "The file helper has ended"));
        told->losses++;
}

static const FileProcessOwner told_owner = {
        .message = told_message,
        .lost = told_lost,
};

/* It is not waited for what it cannot be told; and an attempt of which it has heard nothing leaves
 * it as it was. */
static void test_what_cannot_be_sent(void **state)
{
        static const char hello[] = "{\"user\":\"is well\"}";
        const FileProcessSettings settings = { .idle_usec = SECOND * 1000 };
        _cleanup_free_ char *big = calloc(1, 4 * 1024 * 1024);
        World *w = helped_world();
        Told told = { 0 };
        FileProcess *p = NULL;

        assert_non_null(big);
        assert_int_equal(file_process_new(&w->context, &settings, &told_owner, &told, &p), 0);
        sendmsg_error = ETOOMANYREFS;
        assert_int_equal(file_process_lend(p, STDOUT_FILENO, false, "", 0), -ETOOMANYREFS);
        file_process_send(p, HELPER_HELLO, hello, strlen(hello));
        while (told.messages == 0)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        sendmsg_error = ENOBUFS;
        file_process_send(p, HELPER_CALL, "{}", 2);
        while (told.losses == 0)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        p = file_process_free(p);

        /* In the middle of one: the helper cannot make sense of what follows. */
        assert_int_equal(file_process_new(&w->context, &settings, &told_owner, &told, &p), 0);
        sendmsg_error = ENOBUFS;
        sendmsg_good = 1;
        assert_int_equal(file_process_lend(p, STDOUT_FILENO, false, big, 4 * 1024 * 1024), 0);
        while (told.losses == 1)
                assert_true(sd_event_run(w->event, UINT64_MAX) >= 0);
        assert_int_equal(sendmsg_error, 0);
        p = file_process_free(p);
        assert_int_equal(told.messages, 1);
        helped_world_free(w);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whatever_a_helper_does),
                cmocka_unit_test(test_each_of_several_calls_has_its_answer),
                cmocka_unit_test(test_a_caller_that_leaves),
                cmocka_unit_test(test_one_without_work_goes),
                cmocka_unit_test(test_there_are_only_so_many),
                cmocka_unit_test(test_what_cannot_be_sent),
        };

        if (argc == 2 && strcmp(argv[1], "--internal-files") == 0)
                be_a_helper();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
