/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/explain.h"
#include "cli/json.h"
#include "cli/listeners.h"
#include "cli/reply.h"
#include "cli/verb.h"

/* The words become this object; NULL: they are refused. */
static void assert_words(const char *expected, size_t n, const char *const words[])
{
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *problem = NULL;
        int r;

        r = json_from_words((char *const *)words, n, &o, &problem);
        if (!expected) {
                assert_int_equal(r, -EINVAL);
                assert_null(o);
                assert_non_null(problem);
                return;
        }
        assert_int_equal(r, 0);
        assert_null(problem);
        assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), expected);
}

#define WORDS(...)                                                                \
        ELEMENTSOF(((const char *const[]){ __VA_ARGS__ })), (const char *const[]) \
        {                                                                         \
                __VA_ARGS__                                                       \
        }

static void test_words(void **state)
{
        assert_words("{\"a\":1,\"b\":\"x y\"}", WORDS("a=1", "b=x y"));
        assert_words("{\"a\":\"\"}", WORDS("a="));
        assert_words("{\"a\":\" \"}", WORDS("a= "));
        assert_words("{\"a\":1}", WORDS("a= 1 "));
        assert_words("{\"a\":null,\"b\":\"nul\"}", WORDS("a=null", "b=nul"));
        assert_words("{\"a\":[{\"b\":[]}]}", WORDS("a=[{\"b\":[]}]"));
        assert_words("{\"a\":\"b=c\"}", WORDS("a=b=c"));
        /* What would close or continue the object that a scan puts around it. */
        assert_words("{\"a\":\"1}\"}", WORDS("a=1}"));
        assert_words("{\"a\":\"1,\\\"v\\\":2\"}", WORDS("a=1,\"v\":2"));
        assert_words("{\"x\":1}", WORDS(" {\"x\":1}"));
        assert_words("[1,2]", WORDS("[1,2]"));

        assert_words(NULL, WORDS("a"));
        assert_words(NULL, WORDS("=a"));
        assert_words(NULL, WORDS("a=1", "a=1"));
        assert_words(NULL, WORDS("{}", "a=1"));
        assert_words(NULL, WORDS("{'x':1}"));
        assert_words(NULL, WORDS("{\"x\":1,\"x\":1}"));
        assert_words(NULL, WORDS("{\"x\\u0000y\":1}"));
        assert_words(NULL, WORDS("a=18446744073709551616"));
        assert_words(NULL, WORDS("a=\xff"));
}

static void test_no_words(void **state)
{
        char *problem = NULL;
        json_object *o = (json_object *)state;

        assert_int_equal(json_from_words(NULL, 0, &o, &problem), 0);
        assert_null(o);
}

static void test_text(void **state)
{
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "5", 0 },        { " \n{}\t", 0 },   { "-0.5e-3", 0 },     { "\"\"", 0 },
                { "", -EINVAL },   { " ", -EINVAL },   { "{} {}", -EINVAL }, { "{}}", -EINVAL },
                { "1.", -EINVAL }, { "NaN", -EINVAL }, { "[1,]", -EINVAL },  { "1e999", -ERANGE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *o = NULL;

                assert_int_equal(json_from_text(cases[i].text, strlen(cases[i].text), 1000, &o),
                                 cases[i].result);
        }
}

static void test_text_has_a_limit(void **state)
{
        json_object *o = NULL;

        assert_int_equal(json_from_text("[1,2,3]", 7, 7, &o), 0);
        json_object_put(o);
        o = NULL;
        assert_int_equal(json_from_text("[1,2,3]", 7, 6, &o), -ERANGE);
        assert_null(o);
}

/* What reply_find() says of one text. */
static int find(const char *text, const char *id, Reply *ret)
{
        size_t used;
        Scan scan;
        int r;

        reply_scan_init(&scan, 1000, 100);
        assert_int_equal(scan_feed(&scan, text, strlen(text), &used), SCAN_DONE);
        r = reply_find(&scan, text, id, ret);
        scan_done(&scan);
        return r;
}

static void test_reply(void **state)
{
        Reply reply = REPLY_NULL;

        assert_int_equal(find("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[1]}", "7", &reply), 1);
        assert_null(reply.error);
        assert_string_equal(json_object_to_json_string_ext(reply.result, JSON_C_TO_STRING_PLAIN),
                            "[1]");
        reply_done(&reply);

        assert_int_equal(find("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null}", "7", &reply), 1);
        assert_null(reply.result);
        assert_null(reply.error);

        assert_int_equal(find("{\"jsonrpc\":\"2.0\",\"id\":null,"
                              "\"error\":{\"code\":-32700,\"message\":\"m\"}}",
                              "7", &reply),
                         1);
        assert_null(reply.result);
        assert_non_null(reply.error);
        reply_done(&reply);

        /* In a batch, once. */
        assert_int_equal(find("[{\"jsonrpc\":\"2.0\",\"method\":\"x\"},"
                              "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1},"
                              "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":2}]",
                              "7", &reply),
                         1);
        assert_int_equal(json_object_get_int(reply.result), 1);
        reply_done(&reply);
}

static void test_reply_to_others(void **state)
{
        static const char *const texts[] = {
                "{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"id\":7.0,\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{}}",
                "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":7}",
                "[]",
        };
        Reply reply = REPLY_NULL;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_int_equal(find(texts[i], "7", &reply), 0);
        assert_int_equal(find("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}", "", &reply), 0);
}

static void test_no_reply_at_all(void **state)
{
        static const char *const texts[] = {
                "{}",
                "[1]",
                "{\"jsonrpc\":\"2.0\",\"id\":7}",
                "{\"jsonrpc\":\"2.0\",\"result\":7}",
                "{\"jsonrpc\":2.0,\"id\":7,\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"result\":1}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"error\":{}}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":1.5,\"message\":\"\"}}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":1,\"message\":null}}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":[]}",
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":-9223372036854775809}",
                /* The first element is a reply; the second spoils the batch. */
                "[{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[1]},5]",
        };
        Reply reply = REPLY_NULL;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_int_equal(find(texts[i], "7", &reply), -EBADMSG);
                assert_null(reply.result);
                assert_null(reply.error);
        }
}

/* The sentence for an error object of a guest. */
static void assert_refusal(const char *error, const char *expected)
{
        const Address target = { .kind = ADDRESS_VSOCK, .cid = 21, .port = 1000 };
        _cleanup_json_ json_object *o = json_tokener_parse(error);
        _cleanup_free_ char *text = explain_refusal(&target, "m", o);

        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void test_refusals(void **state)
{
        assert_refusal("{\"code\":-32601,\"message\":\"no\"}",
                       "the guest has no method `m`; `guestwire methods vsock:21:1000` lists them");
        assert_refusal("{\"code\":-32000,\"message\":\"It failed.\",\"data\":{\"reason\":"
                       "\"failed\",\"errno\":\"EIO\"}}",
                       "the guest said no to `m`: It failed (EIO)");
        assert_refusal("{\"code\":-32000,\"message\":\"later...\",\"data\":{\"reason\":"
                       "\"busy\"}}",
                       "the guest said no to `m`: later...; try again in a moment");
        assert_refusal("{\"code\":-32000,\"message\":\"It ended.\",\"data\":{\"reason\":\"failed\","
                       "\"exit_status\":3,\"stderr\":\"no tape\\n\\ngive \\u001b[1m\\n\"}}",
                       "the guest said no to `m`: It ended\n  no tape\n  give \\x1b[1m");
        assert_refusal("{\"code\":-32000,\"message\":\"It ended.\",\"data\":{\"reason\":\"failed\","
                       "\"stderr\":\"\"}}",
                       "the guest said no to `m`: It ended");
        assert_refusal("{\"code\":-32000,\"message\":\"x\\u001b[1m\",\"data\":5}",
                       "the guest said no to `m`: x\\x1b[1m");
        assert_refusal("{\"code\":7,\"message\":\"x\",\"data\":[]}",
                       "the guest said no to `m`: x (code 7)");
}

static void test_listeners(void **state)
{
        _cleanup_close_ int u = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _cleanup_close_ int t = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in in = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        char folder[] = "/tmp/guestwire-test-XXXXXX", name[LISTENERS_NAME_SIZE];
        Address a = { .kind = ADDRESS_UNIX, .path = un.sun_path };
        socklen_t length = sizeof(in);
        uint64_t inode = 0;
        pid_t pid = 0;

        assert_non_null(mkdtemp(folder));
        snprintf(un.sun_path, sizeof(un.sun_path), "%s/a socket", folder);
        assert_int_equal(listeners_find(&a, &inode), 0);
        assert_int_equal(bind(u, (struct sockaddr *)&un, sizeof(un)), 0);
        assert_int_equal(listeners_find(&a, &inode), 0); /* bound, but nobody listens */
        assert_int_equal(listen(u, 1), 0);
        assert_int_equal(listeners_find(&a, &inode), 1);
        assert_int_equal(listeners_owner(inode, &pid, name), 1);
        assert_int_equal(pid, getpid());
        assert_true(strlen(name) > 0);
        unlink(un.sun_path);
        rmdir(folder);

        assert_int_equal(bind(t, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(getsockname(t, (struct sockaddr *)&in, &length), 0);
        a = (Address){ .kind = ADDRESS_TCP, .port = ntohs(in.sin_port) };
        assert_int_equal(listeners_find(&a, &inode), 0);
        assert_int_equal(listen(t, 1), 0);
        assert_int_equal(listeners_find(&a, &inode), 1);
        assert_int_equal(listeners_owner(inode, &pid, name), 1);
        assert_int_equal(pid, getpid());

        /* Inode 0 is no socket's. */
        assert_int_equal(listeners_owner(0, &pid, name), 0);
}

static void test_tables(void **state)
{
        for (const Verb *v = verbs; v->name; v++) {
                assert_ptr_equal(verb_find(v->name), v);
                assert_true(v->min_args <= v->max_args);
                assert_true(!v->takes_target || v->max_args >= 1);
                assert_true(v->summary[0] && v->help[0]);
                /* main.c and help.c put the full stop themselves. */
                assert_true(v->summary[strlen(v->summary) - 1] != '.');
                assert_non_null(v->run);
        }
        assert_null(verb_find("none"));
        for (const Option *o = options; o->name; o++) {
                assert_true((o->value == NULL) == (o->wants == NULL));
                for (const Option *p = o + 1; p->name; p++)
                        assert_int_equal(o->bit & p->bit, 0);
        }
}

static bool is_same_word(const Option *o, const Option *p)
{
        return strcmp(o->name, p->name) == 0 || (o->letter && o->letter == p->letter);
}

/* A word may be in several rows, but never twice for one verb; and it is that verb's which is
 * found, wherever it stands. */
static void test_options_of_verbs(void **state)
{
        for (const Verb *v = verbs; v->name; v++)
                for (const Option *o = options; o->name; o++) {
                        if (!verb_takes(v, o))
                                continue;
                        assert_ptr_equal(option_by_name(v, o->name), o);
                        if (o->letter)
                                assert_ptr_equal(option_by_letter(v, o->letter), o);
                        for (const Option *p = o + 1; p->name; p++)
                                assert_false(verb_takes(v, p) && is_same_word(o, p));
                }

        assert_int_equal(option_by_letter(verb_find("ping"), 'i')->bit, OPTION_INTERVAL);
        assert_int_equal(option_by_letter(verb_find("exec"), 'i')->bit, OPTION_INPUT);
        assert_int_equal(option_by_name(verb_find("exec"), "timeout=5s")->bit, OPTION_TIME_LIMIT);
        /* Of a verb that takes it in no sense, the first, so that it can be told. */
        assert_int_equal(option_by_letter(verb_find("cid"), 'i')->bit, OPTION_INTERVAL);
        assert_int_equal(option_by_name(NULL, "timeout")->bit, OPTION_TIMEOUT);
        assert_null(option_by_name(NULL, "time"));
        assert_null(option_by_name(NULL, ""));
        assert_null(option_by_letter(NULL, 0));
        assert_null(option_by_letter(NULL, 'X'));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_no_words),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_text_has_a_limit),
                cmocka_unit_test(test_reply),
                cmocka_unit_test(test_reply_to_others),
                cmocka_unit_test(test_no_reply_at_all),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_listeners),
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_options_of_verbs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
