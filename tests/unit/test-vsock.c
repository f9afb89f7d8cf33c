/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/vsock.h"

/* The two of Microsoft's documentation, the agent's own, and both ends. */
static void test_guid(void **state)
{
        static const struct {
                uint32_t port;
                const char *guid;
        } cases[] = {
                { 0, "00000000-facb-11e6-bd58-64006a7986d3" },
                { 1000, "000003e8-facb-11e6-bd58-64006a7986d3" },
                { 2761, "00000ac9-facb-11e6-bd58-64006a7986d3" },
                { 19000, "00004a38-facb-11e6-bd58-64006a7986d3" },
                { 4294967295U, "ffffffff-facb-11e6-bd58-64006a7986d3" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char guid[VSOCK_GUID_LENGTH + 1];
                uint32_t port = 77;

                vsock_guid_from_port(guid, cases[i].port);
                assert_string_equal(guid, cases[i].guid);
                assert_int_equal(vsock_guid_to_port(guid, &port), 0);
                assert_int_equal(port, cases[i].port);
        }
}

static void test_guid_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "000003e8",
                "000003e8-facb-11e6-bd58-64006a7986d",
                "000003e8-facb-11e6-bd58-64006a7986d33",
                "000003e8-facb-11e6-bd58-64006a7986d4",
                "0x0003e8-facb-11e6-bd58-64006a7986d3",
                "000003g8-facb-11e6-bd58-64006a7986d3",
                " 00003e8-facb-11e6-bd58-64006a7986d3",
                "{00003e8-facb-11e6-bd58-64006a7986d3",
                "e0e16197-dd56-4a10-9195-5ee7a155a838",
        };
        uint32_t port = 77;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(vsock_guid_to_port(bad[i], &port), -EINVAL);
        assert_int_equal(port, 77);
        assert_int_equal(vsock_guid_to_port("000003E8-FACB-11E6-BD58-64006A7986D3", &port), 0);
        assert_int_equal(port, 1000);
}

static void test_cid_names(void **state)
{
        uint32_t cid = 77;

        assert_string_equal(vsock_cid_name(4294967295U), "any");
        assert_string_equal(vsock_cid_name(0), "hypervisor");
        assert_string_equal(vsock_cid_name(1), "local");
        assert_string_equal(vsock_cid_name(2), "host");
        assert_null(vsock_cid_name(3));

        assert_int_equal(vsock_cid_from_text("parent", &cid), 0);
        assert_int_equal(cid, 2);
        assert_int_equal(vsock_cid_from_text("loopback", &cid), 0);
        assert_int_equal(cid, 1);
        assert_int_equal(vsock_cid_from_text("any", &cid), 0);
        assert_int_equal(cid, 4294967295U);
        assert_int_equal(vsock_cid_from_text("21", &cid), 0);
        assert_int_equal(cid, 21);
        assert_int_equal(vsock_cid_from_text("guest", &cid), -EINVAL);
        assert_int_equal(vsock_cid_from_text("", &cid), -EINVAL);
        assert_int_equal(vsock_cid_from_text("4294967296", &cid), -ERANGE);
        assert_int_equal(cid, 21);
}

static void test_cid_is_guest(void **state)
{
        assert_false(vsock_cid_is_guest(0));
        assert_false(vsock_cid_is_guest(1));
        assert_false(vsock_cid_is_guest(2));
        assert_true(vsock_cid_is_guest(3));
        assert_true(vsock_cid_is_guest(4294967294U));
        assert_false(vsock_cid_is_guest(4294967295U));
}

static void test_cid_meaning(void **state)
{
        assert_non_null(strstr(vsock_cid_meaning(4294967295U), "Hyper-V"));
        assert_non_null(strstr(vsock_cid_meaning(1), "vsock_loopback"));
        assert_non_null(strstr(vsock_cid_meaning(2), "vhost_vsock"));
        assert_non_null(strstr(vsock_cid_meaning(3), "guest's own"));
        assert_ptr_equal(vsock_cid_meaning(3), vsock_cid_meaning(4294967294U));
}

static void test_transport_modules(void **state)
{
        assert_string_equal(vsock_transport_module(VSOCK_TRANSPORT_VIRTIO),
                            "vmw_vsock_virtio_transport");
        assert_string_equal(vsock_transport_module(VSOCK_TRANSPORT_HYPERV), "hv_sock");
        assert_string_equal(vsock_transport_module(VSOCK_TRANSPORT_VMCI),
                            "vmw_vsock_vmci_transport");
        assert_string_equal(vsock_transport_module(VSOCK_TRANSPORT_LOOPBACK), "vsock_loopback");
        assert_string_equal(vsock_transport_module(VSOCK_TRANSPORT_VHOST), "vhost_vsock");
        assert_null(vsock_transport_module(VSOCK_TRANSPORT_UNKNOWN));
}

/* What this kernel has is not known here, but its answers must agree with each other. */
static void test_this_kernel(void **state)
{
        uint32_t cid = 77;
        int r;

        r = vsock_get_cid(&cid);
        if (r < 0)
                assert_int_equal(cid, 77);
        else if (cid == 1)
                assert_true(vsock_transports() & VSOCK_TRANSPORT_LOOPBACK);
        assert_int_equal(r == -ENOENT, access("/dev/vsock", F_OK) < 0);
        assert_int_equal(!!(vsock_transports() & VSOCK_TRANSPORT_UNKNOWN),
                         access("/sys/module", F_OK) < 0);
        for (unsigned t = VSOCK_TRANSPORT_VIRTIO; t <= VSOCK_TRANSPORT_VHOST; t <<= 1) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/sys/module/%s", vsock_transport_module(t));
                if (access(path, F_OK) == 0)
                        assert_true(vsock_transports() & t);
        }
        r = vsock_supported();
        assert_true(r == 0 || r == -EAFNOSUPPORT || r == -EPERM || r == -EACCES);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_guid),        cmocka_unit_test(test_guid_refused),
                cmocka_unit_test(test_cid_names),   cmocka_unit_test(test_cid_is_guest),
                cmocka_unit_test(test_cid_meaning), cmocka_unit_test(test_transport_modules),
                cmocka_unit_test(test_this_kernel),
        };

        return cmocka_run_group_tests_name("vsock", tests, NULL, NULL);
}
