/* SPDX-License-Identifier: MIT */
#include <json-c/json.h>
#include <sys/syscall.h>

#include "files/identity.h"
#include "files/job.h"
#include "tests/unit/files-world.h"

/* Runs an operation. params: JSON in which each ' stands for ". The reply is the caller's. */
static json_object *run_on(const FileRoot *root, void (*op)(FileJob *), const char *params,
                           bool *ret_failed)
{
        _cleanup_free_ char *json = strdup(params);
        FileJob job = { .root = root, .max_data = 1024 * 1024 };

        for (char *c = json; *c; c++)
                if (*c == '\'')
                        *c = '"';
        job.params = json_tokener_parse(json);
        assert_non_null(job.params);
        op(&job);
        json_object_put(job.params);
        assert_non_null(job.reply);
        *ret_failed = job.failed;
        return job.reply;
}

static json_object *run_ok(const Place *p, void (*op)(FileJob *), const char *params)
{
        bool failed;
        json_object *reply = run_on(&p->confined, op, params, &failed);

        if (failed)
                fail_msg("%s: %s", params, json_object_to_json_string(reply));
        return reply;
}

static const char *text_of(json_object *o, const char *key)
{
        return json_object_get_string(json_object_object_get(o, key)) ?: "";
}

static int64_t number_of(json_object *o, const char *key)
{
        return json_object_get_int64(json_object_object_get(o, key));
}

static void assert_fails(const Place *p, void (*op)(FileJob *), const char *params,
                         const char *reason, int error)
{
        bool failed;
        json_object *reply = run_on(&p->confined, op, params, &failed);

        if (!failed || strcmp(text_of(reply, "reason"), reason) != 0 ||
            number_of(reply, "errno") != error)
                fail_msg("%s: %s", params, json_object_to_json_string(reply));
        assert_string_not_equal(text_of(reply, "message"), "");
        json_object_put(reply);
}

/* Each path that a page at a time gives; the pages' number. */
static size_t list_all(const Place *p, size_t limit, char *ret, size_t size)
{
        _cleanup_free_ char *cursor = strdup("");
        size_t pages = 0;

        *ret = '\0';
        for (;;) {
                _cleanup_free_ char *params =
                        text_format("{'path':'/','limit':%zu%s%s%s}", limit,
                                    *cursor ? ",'cursor':'" : "", cursor, *cursor ? "'" : "");
                json_object *page = run_ok(p, file_list, params);
                json_object *entries = json_object_object_get(page, "entries");
                size_t n = json_object_array_length(entries);
                bool more;

                assert_true(n <= limit);
                pages++;
                for (size_t i = 0; i < n; i++) {
                        json_object *entry = json_object_array_get_idx(entries, i);

                        assert_true(strlen(ret) + 300 < size);
                        strcat(strcat(ret, text_of(entry, "name")), " ");
                }
                free(cursor);
                cursor = strdup(text_of(page, "next"));
                more = *cursor;
                json_object_put(page);
                if (!more)
                        return pages;
        }
}

static void test_pages_of_every_size(void **state)
{
        static const char all[] = "a b c d e f g ";
        const Place *p = *state;
        char seen[4096];

        needs_confined(p);
        for (const char *name = "gcafebd"; *name; name++)
                place_write(p, (const char[]){ *name, '\0' }, "");
        for (size_t limit = 1; limit < 9; limit++) {
                assert_int_equal(list_all(p, limit, seen, sizeof(seen)), (7 + limit - 1) / limit);
                assert_string_equal(seen, all);
        }
}

static void test_a_character_is_not_cut(void **state)
{
        /* Of one byte, of two, of three, of four. */
        static const char content[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9d\x84\x9e";
        static const int64_t whole[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };
        const Place *p = *state;

        needs_confined(p);
        place_write(p, "file", content);
        for (int64_t n = 1; n <= 10; n++) {
                _cleanup_free_ char *params = text_format("{'path':'/file','length':%d}", (int)n);
                json_object *reply = run_ok(p, file_read, params);
                int64_t length = number_of(reply, "length");

                assert_int_equal(length, whole[n]);
                assert_non_null(json_object_object_get(reply, "data"));
                assert_memory_equal(text_of(reply, "data"), content, (size_t)length);
                assert_int_equal(json_object_get_boolean(json_object_object_get(reply, "eof")),
                                 n == 10);
                json_object_put(reply);
        }
}

static void test_bytes_that_are_no_text(void **state)
{
        static const struct {
                const char *content;
                const char *base64;
        } cases[] = {
                { "\xff", "/w==" },
                { "ok\xc3", "b2vD" }, /* the file ends within a character */
                { "\xed\xa0\x80", "7aCA" },
                { "\x80\x80\x80\x80", "gICAgA==" },
        };
        const Place *p = *state;

        needs_confined(p);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                json_object *reply;

                place_write(p, "file", cases[i].content);
                reply = run_ok(p, file_read, "{'path':'/file'}");
                assert_string_equal(text_of(reply, "base64"), cases[i].base64);
                assert_null(json_object_object_get(reply, "data"));
                json_object_put(reply);
        }
}

/* A tree of so many levels, with a link out of it, a file and a FIFO on each. */
static void make_tree(const Place *p, unsigned levels)
{
        int fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (unsigned i = 0; i <= levels; i++) {
                int below;

                assert_int_equal(mkdirat(fd, "d", 0755), 0);
                below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(below >= 0);
                close(fd);
                fd = below;
                assert_int_equal(symlinkat("/etc", fd, "link"), 0);
                assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
                close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
        close(fd);
}

static void test_a_deep_tree_goes(void **state)
{
        const Place *p = *state;
        json_object *reply;

        needs_confined(p);
        make_tree(p, 300);
        assert_fails(p, file_remove, "{'path':'/d'}", "failed", ENOTEMPTY);
        reply = run_ok(p, file_remove, "{'path':'/d','recursive':true}");
        assert_int_equal(number_of(reply, "removed"), 4 * 301);
        json_object_put(reply);
        assert_false(place_has(p, "d"));
}

/* Linux before 5.6. */
static int remove_without_openat2(void *userdata)
{
        const Place *p = userdata;
        _cleanup_free_ char *params = text_format("{'path':'%s/d','recursive':true}", p->folder);
        json_object *reply;
        bool failed, removed;

        if (!child_deny(SYS_openat2, -1, ENOSYS))
                return CHILD_CANNOT;
        reply = run_on(&p->free, file_remove, params, &failed);
        removed = !failed && number_of(reply, "removed") == 4 * 101;
        json_object_put(reply);
        return removed ? 0 : 1;
}

static void test_a_deep_tree_goes_without_openat2(void **state)
{
        Place *p = *state;

        make_tree(p, 100);
        assert_int_equal(child_run(remove_without_openat2, p), 0);
        assert_false(place_has(p, "d"));
}

static void test_a_link_is_removed_and_not_followed(void **state)
{
        const Place *p = *state;

        needs_confined(p);
        place_mkdir(p, "dir");
        place_write(p, "dir/file", "x");
        place_link(p, "dir", "link");
        json_object_put(run_ok(p, file_remove, "{'path':'/link','recursive':true}"));
        assert_false(place_has(p, "link"));
        assert_true(place_has(p, "dir/file"));
}

static void test_failures_have_a_reason_and_an_errno(void **state)
{
        const Place *p = *state;
        _cleanup_free_ char *fifo = place_path(p, "fifo");

        needs_confined(p);
        place_write(p, "file", "x");
        place_mkdir(p, "dir");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_fails(p, file_stat, "{'path':'/none'}", "not-found", ENOENT);
        assert_fails(p, file_stat, "{'path':'/file/x'}", "failed", ENOTDIR);
        assert_fails(p, file_list, "{'path':'/file'}", "failed", ENOTDIR);
        assert_fails(p, file_mkdir, "{'path':'/dir'}", "exists", EEXIST);
        assert_fails(p, file_read, "{'path':'/dir'}", "unsupported", EISDIR);
        assert_fails(p, file_hash, "{'path':'/fifo'}", "unsupported", EINVAL);
        assert_fails(p, file_write, "{'path':'/fifo','data':''}", "unsupported", EINVAL);
        assert_fails(p, file_write, "{'path':'/none','data':'','create':false}", "not-found",
                     ENOENT);
        assert_fails(p, file_rename, "{'path':'/file','to':'/dir'}", "exists", EEXIST);
        assert_fails(p, file_rename, "{'path':'/dir','to':'/dir/x'}", "failed", EINVAL);
        assert_fails(p, file_chown, "{'path':'/file','owner':'no such user'}", "not-found", 0);
        assert_fails(p, file_remove, "{'path':'/'}", "failed", EBUSY);
}

static void test_numbers_of_users(void **state)
{
        uid_t uid = 7;
        gid_t gid = 7;

        assert_int_equal(identity_find_user("root", &uid), 0);
        assert_int_equal(uid, 0);
        assert_int_equal(identity_find_user("4000000", &uid), 0);
        assert_int_equal(uid, 4000000);
        assert_int_equal(identity_find_group("4000001", &gid), 0);
        assert_int_equal(gid, 4000001);
        assert_int_equal(identity_find_user("no such user", &uid), -ENOENT);
        assert_int_equal(identity_find_group("no such group", &gid), -ENOENT);
        /* These mean "none" to chown(2), or are no numbers of users at all. */
        assert_int_equal(identity_find_user("4294967295", &uid), -ENOENT);
        assert_int_equal(identity_find_user("4294967296", &uid), -ENOENT);
        assert_int_equal(identity_find_user("-1", &uid), -ENOENT);
        assert_int_equal(identity_find_user("", &uid), -ENOENT);
        assert_int_equal(uid, 4000000);
}

static int become_root(void *userdata)
{
        if (geteuid() == 0 && !child_become_nobody())
                return CHILD_CANNOT;
        if (identity_become("no such user") != -ENOENT)
                return 1;
        return identity_become("root") == -EPERM ? 0 : 2;
}

static void test_nobody_becomes_somebody_else(void **state)
{
        assert_int_equal(child_run(become_root, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
                TEST(test_pages_of_every_size),
                TEST(test_a_character_is_not_cut),
                TEST(test_bytes_that_are_no_text),
                TEST(test_a_deep_tree_goes),
                TEST(test_a_deep_tree_goes_without_openat2),
                TEST(test_a_link_is_removed_and_not_followed),
                TEST(test_failures_have_a_reason_and_an_errno),
                cmocka_unit_test(test_numbers_of_users),
                cmocka_unit_test(test_nobody_becomes_somebody_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
