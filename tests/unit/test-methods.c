/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "methods/members.h"

static void test_text_is_made_utf8(void **state)
{
        _cleanup_json_ json_object *o = members_text("a\xff\xc3\xa9\xe2\x82", 6);

        assert_non_null(o);
        assert_string_equal(json_object_get_string(o),
                            "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_is_made_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
