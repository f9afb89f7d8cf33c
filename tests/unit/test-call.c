/* SPDX-License-Identifier: MIT */

/* What the holder of a call may ask of its connection: who else is there, what it keeps, and
 * whether what it tells is read. */
#include "tests/unit/session-world.h"

#define HOLD(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"test.hold\"}"

static Call *find(const Call *call, const char *id)
{
        json_object *o = json_tokener_parse(id);
        Call *found = call_find(call, o);

        json_object_put(o);
        return found;
}

static void end_all(Fixture *f)
{
        while (f->n_held > 0)
                call_reply_text(f->held[--f->n_held], "1", 1);
}

static void test_ids_and_holders(void **state)
{
        Fixture *f = *state;
        Call *a, *b, *none;

        feed_text(f,
                  HOLD("1") HOLD("\"\\u0062\"") "{\"jsonrpc\":\"2.0\",\"method\":\"test.deaf\"}");
        assert_int_equal(f->n_held, 3);
        a = f->held[0];
        b = f->held[1];
        none = f->held[2];
        assert_string_equal(call_id_text(a), "1");
        assert_string_equal(call_id_text(b), "\"\\u0062\"");
        assert_null(call_id_text(none));
        /* By what it means; never oneself. */
        assert_ptr_equal(find(a, "\"b\""), b);
        assert_ptr_equal(find(none, "1"), a);
        assert_null(find(a, "1"));
        assert_null(find(a, "\"1\""));
        assert_null(find(a, "null"));
        assert_ptr_equal(call_holder(a, hold_on_cancel), f);
        assert_null(call_holder(none, hold_on_cancel));
        end_all(f);
}

static void test_port_settings(void **state)
{
        Fixture *f = *state;

        feed_text(f, HOLD("1"));
        assert_null(call_port_settings(f->held[0]));
        f->settings.port = f;
        session_set_settings(f->session, &f->settings);
        assert_ptr_equal(call_port_settings(f->held[0]), f);
        end_all(f);
}

static void free_counted(void *value)
{
        (*(unsigned *)value)++;
}

static void test_companions(void **state)
{
        Fixture *f = *state;
        static const char key_a, key_b;
        unsigned freed[4] = { 0 };
        Call *call;

        feed_text(f, HOLD("1") HOLD("2"));
        call = f->held[0];
        assert_null(call_companion(call, &key_a));
        assert_int_equal(call_set_companion(call, &key_a, &freed[0], free_counted), 0);
        assert_int_equal(call_set_companion(call, &key_b, &freed[1], free_counted), 0);
        /* The connection's, not the call's. */
        assert_ptr_equal(call_companion(f->held[1], &key_a), &freed[0]);
        assert_int_equal(call_set_companion(call, &key_a, &freed[2], free_counted), 0);
        assert_int_equal(freed[0], 1);
        assert_ptr_equal(call_companion(call, &key_a), &freed[2]);
        assert_int_equal(call_set_companion(call, &key_b, NULL, NULL), 0);
        assert_int_equal(freed[1], 1);
        assert_null(call_companion(call, &key_b));
        assert_int_equal(call_set_companion(call, &key_b, &freed[3], free_counted), 0);
        end_all(f);
        assert_int_equal(freed[2] + freed[3], 0);
        f->session = session_free(f->session);
        assert_int_equal(freed[2] + freed[3], 2);
        assert_int_equal(freed[0] + freed[1], 2);
}

/* The last call of a session that goes may still ask for them. */
static unsigned *seen;

static void look_on_cancel(Call *call, CallEnd why, void *userdata)
{
        assert_int_equal(why, CALL_GONE);
        assert_null(call_companion(call, &seen));
        assert_int_equal(call_set_companion(call, &seen, &seen, NULL), -ENOTCONN);
        assert_null(call_find(call, NULL));
        assert_null(call_port_settings(call));
        (*seen)++;
        call_fail(call, REASON_CANCELLED, 0, "gone");
}

static void test_nothing_of_who_left(void **state)
{
        Fixture *f = *state;
        unsigned n = 0, freed = 0;

        seen = &n;
        feed_text(f, HOLD("1"));
        assert_int_equal(call_set_companion(f->held[0], &seen, &freed, free_counted), 0);
        call_set_cancel(f->held[0], look_on_cancel, NULL);
        f->session = session_free(f->session);
        assert_int_equal(n, 1);
        assert_int_equal(freed, 1);
        f->n_held = 0;
}

static void test_notifications(void **state)
{
        Fixture *f = *state;
        json_object *params;

        feed_text(f, HOLD("1") "[" HOLD("2") "]");
        params = json_object_new_object();
        json_object_object_add(params, "call", json_object_new_int(1));
        call_notify(f->held[0], "exec.output", params);
        call_notify(f->held[1], "x", json_object_new_array());
        end_all(f);
        expect(f, "{\"jsonrpc\":\"2.0\",\"method\":\"exec.output\",\"params\":{\"call\":1}}\n"
                  "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[]}\n"
                  "[{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":2}]\n"
                  "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");
}

typedef struct Teller Teller;

struct Teller {
        Fixture *fixture;
        size_t n_told;
        size_t n_writable;
        size_t left;
};

static void tell(Call *call, void *userdata)
{
        static char text[1000];
        Teller *t = userdata;

        memset(text, 'x', sizeof(text) - 1);
        t->n_writable++;
        while (t->left > 0 && !call_is_congested(call)) {
                call_notify(call, "test.note", json_object_new_string(text));
                t->n_told++;
                t->left--;
        }
}

/* Two that tell much to one who does not read: each stops, and each goes on. */
static void test_congestion(void **state)
{
        Fixture *f = *state;
        Teller a = { .left = 2000 }, b = { .left = 1000 };
        _cleanup_free_ char *got = NULL;
        size_t n = 0;

        feed_text(f, HOLD("1") HOLD("2"));
        call_set_writable(f->held[0], tell, &a);
        call_set_writable(f->held[1], tell, &b);
        tell(f->held[0], &a);
        tell(f->held[1], &b);
        turn(f);
        assert_true(a.n_told > 100 && a.n_told < 400);
        assert_true(b.n_told < 100);

        got = collect(f);
        assert_int_equal(a.left + b.left, 0);
        assert_true(a.n_writable > 3 && b.n_writable > 1);
        for (const char *p = got; (p = strstr(p, "test.note")); p++)
                n++;
        assert_int_equal(n, 3000);
        /* Who was not told to wait is not told that it is over. */
        n = a.n_writable + b.n_writable;
        end_all(f);
        turn(f);
        assert_int_equal(a.n_writable + b.n_writable, n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_ids_and_holders),     TEST(test_port_settings), TEST(test_companions),
                TEST(test_nothing_of_who_left), TEST(test_notifications), TEST(test_congestion),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
