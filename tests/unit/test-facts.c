/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "methods/facts.h"
#include "methods/members.h"
#include "methods/os-release.h"
#include "methods/virtualization.h"
#include "tests/lib/world.h"

/* A scratch folder that stands for the root of a file system. */
typedef struct Root Root;

struct Root {
        char path[64];
};

static void root_init(Root *r)
{
        strcpy(r->path, "/tmp/guestwire-methods-XXXXXX");
        assert_non_null(mkdtemp(r->path));
}

/* Makes the file and all folders on the way. text of n bytes. */
static void root_put(const Root *r, const char *path, const char *text, size_t n)
{
        _cleanup_free_ char *full = text_format("%s%s", r->path, path);
        FILE *f;

        assert_non_null(full);
        for (char *p = full + strlen(r->path) + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
        f = fopen(full, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
}

static int root_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void root_done(Root *r)
{
        assert_int_equal(nftw(r->path, root_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_text_becomes_utf8(void **state)
{
        static const struct {
                const char *from;
                const char *to;
        } cases[] = {
                { "", "" },
                { "eth0", "eth0" },
                { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
                { "a\xff"
                  "b",
                  "a\xef\xbf\xbd"
                  "b" },
                { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* cut */
                { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
                { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
                { "\x80\xc3\xa9", "\xef\xbf\xbd\xc3\xa9" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *o = members_text(cases[i].from, strlen(cases[i].from));

                assert_non_null(o);
                assert_string_equal(json_object_get_string(o), cases[i].to);
        }
}

static void test_members_failure_sticks(void **state)
{
        Members m, inner;

        members_init(&m);
        members_add_unsigned(&m, "n", UINT64_MAX);
        members_add_value(&m, "lost", NULL);
        members_add_text(&m, "after", "it");
        assert_null(members_take(&m));
        assert_null(m.object);

        /* The failure of a part is the failure of the whole. */
        members_init(&m);
        members_init(&inner);
        members_add_value(&inner, "lost", NULL);
        members_add_members(&m, "inner", &inner);
        assert_null(members_take(&m));
        members_done(&m);
}

static void test_facts(void **state)
{
        _cleanup_free_ char *fifo = NULL;
        uint64_t bytes = 7;
        char text[8];
        Root root;

        root_init(&root);
        root_put(&root, "/a", "0123456789", 10);
        assert_int_equal(facts_read(root.path, "/a", text, sizeof text), 7);
        assert_string_equal(text, "0123456");
        assert_int_equal(facts_read(root.path, "/b", text, sizeof text), -ENOENT);
        assert_int_equal(facts_read(root.path, "", text, sizeof text), -EISDIR);

        /* Nobody writes to it: an agent that waited would be stuck for good. */
        fifo = text_format("%s/fifo", root.path);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(facts_read(root.path, "/fifo", text, sizeof text), 0);
        root_done(&root);

        assert_int_equal(facts_find_kibibytes("A: 1 kB\nBb:   20 kB\nB: 3 kB\n", "B:", &bytes), 0);
        assert_int_equal(bytes, 3 * 1024);
        assert_int_equal(facts_find_kibibytes("A: 1 kB\nBb:   20 kB\n", "Bb:", &bytes), 0);
        assert_int_equal(bytes, 20 * 1024);
        assert_int_equal(facts_find_kibibytes("A: 1 kB\n", "B:", &bytes), -ENOENT);
        assert_int_equal(facts_find_kibibytes("A: x kB\n", "A:", &bytes), -ENOENT);
        assert_int_equal(facts_find_kibibytes("A: 99999999999999999999 kB\n", "A:", &bytes),
                         -ENOENT);
        assert_int_equal(facts_find_kibibytes("A: 18446744073709551615 kB\n", "A:", &bytes),
                         -ENOENT);
        assert_int_equal(facts_find_kibibytes("", "A:", &bytes), -ENOENT);
        assert_int_equal(bytes, 20 * 1024);
}

static void test_timezone(void **state)
{
        static const struct {
                const char *link;
                const char *zone;
        } cases[] = {
                { "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin" },
                { "../usr/share/zoneinfo/Etc/UTC", "Etc/UTC" },
                { "/usr/share/zoneinfo/", NULL },
                { "/somewhere/else", NULL },
        };
        _cleanup_free_ char *path = NULL;
        char buffer[256];
        Root root;

        root_init(&root);
        root_put(&root, "/etc/x", "", 0);
        path = text_format("%s/etc/localtime", root.path);
        assert_string_equal(facts_timezone(root.path, buffer, sizeof buffer), "UTC");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *zone;

                assert_int_equal(symlink(cases[i].link, path), 0);
                zone = facts_timezone(root.path, buffer, sizeof buffer);
                if (cases[i].zone)
                        assert_string_equal(zone, cases[i].zone);
                else
                        assert_null(zone);
                assert_int_equal(unlink(path), 0);
        }
        root_put(&root, "/etc/localtime", "TZif2", 5);
        assert_null(facts_timezone(root.path, buffer, sizeof buffer));
        root_done(&root);
}

static void test_os_release_quotes(void **state)
{
        _cleanup_json_ json_object *o = NULL;

        o = os_release_parse("# a comment\n"
                             "ID=debian\n"
                             "NAME=\"Debian GNU/Linux\"\n"
                             "  PRETTY_NAME='single $HOME \\n \"x\"'\n"
                             "VERSION_ID=\"a\\\"b\\\\c\\$d\\`e\\n\"\n"
                             "JOINED=a\"b c\"'d'\\ e\n"
                             "EMPTY=\n"
                             "BARE=one two\n"
                             "WINDOWS=line\r\n"
                             "not an assignment\n"
                             "9BAD=x\n"
                             "=x\n"
                             "LATIN=\"caf\xe9\"\n"
                             "UNFINISHED=\"to the end");
        assert_non_null(o);
        assert_string_equal(member_text(o, "id"), "debian");
        assert_string_equal(member_text(o, "name"), "Debian GNU/Linux");
        assert_string_equal(member_text(o, "pretty_name"), "single $HOME \\n \"x\"");
        assert_string_equal(member_text(o, "version_id"), "a\"b\\c$d`e\\n");
        assert_string_equal(member_text(o, "joined"), "ab cd e");
        assert_string_equal(member_text(o, "empty"), "");
        assert_string_equal(member_text(o, "bare"), "one");
        assert_string_equal(member_text(o, "windows"), "line");
        assert_string_equal(member_text(o, "latin"), "caf\xef\xbf\xbd");
        assert_string_equal(member_text(o, "unfinished"), "to the end");
        assert_int_equal(json_object_object_length(o), 10);
}

static void test_os_release_defaults(void **state)
{
        _cleanup_json_ json_object *o = os_release_parse("");

        assert_non_null(o);
        assert_string_equal(member_text(o, "id"), "linux");
        assert_string_equal(member_text(o, "name"), "Linux");
        assert_string_equal(member_text(o, "pretty_name"), "Linux");
        assert_null(member_text(o, "version_id"));
}

static void test_os_release_is_bounded(void **state)
{
        _cleanup_json_ json_object *o = NULL;
        char text[8192];
        size_t n = 0;

        for (unsigned i = 0; i < 300; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, "K%u=v\n", i);
        o = os_release_parse(text);
        assert_non_null(o);
        assert_in_range(json_object_object_length(o), 4, 80);
}

static void test_os_release_fallback(void **state)
{
        json_object *o;
        Root root;

        root_init(&root);
        o = os_release_read(root.path);
        assert_string_equal(member_text(o, "id"), "linux");
        json_object_put(o);
        root_put(&root, "/usr/lib/os-release", "ID=vendor\n", 10);
        o = os_release_read(root.path);
        assert_string_equal(member_text(o, "id"), "vendor");
        json_object_put(o);
        root_put(&root, "/etc/os-release", "ID=admin\n", 9);
        o = os_release_read(root.path);
        assert_string_equal(member_text(o, "id"), "admin");
        json_object_put(o);
        root_done(&root);
}

typedef struct VirtualizationCase VirtualizationCase;

struct VirtualizationCase {
        const char *path; /* a file of the root, or NULL */
        const char *text;
        const char *path2;
        const char *text2;
        const char *hypervisor;
        const char *word;
};

#define DMI "/sys/class/dmi/id/"

static void test_virtualization(void **state)
{
        static const VirtualizationCase cases[] = {
                { .word = "none" },
                { .hypervisor = "KVMKVMKVM\0\0\0", .word = "kvm" },
                { .hypervisor = "Microsoft Hv", .word = "microsoft" },
                { .hypervisor = "VMwareVMware", .word = "vmware" },
                { .hypervisor = "TCGTCGTCGTCG", .word = "qemu" },
                { .hypervisor = "XenVMMXenVMM", .word = "xen" },
                { .hypervisor = "bhyve bhyve ", .word = "bhyve" },
                { .hypervisor = "SomethingNew", .word = "vm-other" },
                { .hypervisor = "", .word = "vm-other" },
                { DMI "sys_vendor", "QEMU\n", .word = "qemu" },
                { DMI "sys_vendor", "QEMU\n", .hypervisor = "KVMKVMKVM\0\0\0", .word = "kvm" },
                { DMI "sys_vendor", "QEMU\n", DMI "product_name", "KVM Virtual Machine\n",
                  .word = "kvm" },
                { DMI "sys_vendor", "Google\n", DMI "product_name", "Google Compute Engine\n",
                  .word = "google" },
                { DMI "sys_vendor", "innotek GmbH\n", .hypervisor = "KVMKVMKVM\0\0\0",
                  .word = "oracle" },
                { DMI "sys_vendor", "Amazon EC2\n", .hypervisor = "KVMKVMKVM\0\0\0",
                  .word = "amazon" },
                { DMI "sys_vendor", "Amazon EC2\n", DMI "product_name", "m5.metal\n",
                  .word = "none" },
                { DMI "sys_vendor", "Dell Inc.\n", .word = "none" },
                { DMI "sys_vendor", "", .word = "none" },
                { DMI "sys_vendor", "QEMU\n", .hypervisor = "SomethingNew", .word = "qemu" },
                { "/proc/cpuinfo", "processor\t: 0\nvendor_id\t: User Mode Linux\nmodel\t: x\n",
                  .hypervisor = "KVMKVMKVM\0\0\0", .word = "uml" },
                { "/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n", .word = "none" },
                { "/run/systemd/container", "docker\n", .hypervisor = "KVMKVMKVM\0\0\0",
                  .word = "docker" },
                { "/run/systemd/container", "systemd-nspawn", .word = "systemd-nspawn" },
                { "/run/systemd/container", "unheard-of\n", .word = "container-other" },
                { "/run/systemd/container", "", .word = "none" },
                { "/.dockerenv", "", .hypervisor = "KVMKVMKVM\0\0\0", .word = "kvm" },
                { "/proc/xen/capabilities", "control_d\n", .hypervisor = "XenVMMXenVMM",
                  .word = "none" },
                { "/proc/xen/capabilities", "\n", .hypervisor = "XenVMMXenVMM", .word = "xen" },
                { "/proc/device-tree/hypervisor/compatible", "linux,kvm", .word = "kvm" },
                { "/proc/device-tree/hypervisor/compatible", "xen,xen-4.17", .word = "xen" },
                { "/proc/device-tree/compatible", "linux,dummy-virt", .word = "qemu" },
                { "/proc/device-tree/compatible", "raspberrypi,4-model-b", .word = "none" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const VirtualizationCase *c = &cases[i];
                Root root;

                root_init(&root);
                if (c->path)
                        root_put(&root, c->path, c->text, strlen(c->text));
                if (c->path2)
                        root_put(&root, c->path2, c->text2, strlen(c->text2));
                assert_string_equal(virtualization_judge(root.path, c->hypervisor), c->word);
                root_done(&root);
        }
        /* Found out once. */
        assert_ptr_equal(virtualization_detect(), virtualization_detect());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_becomes_utf8),
                cmocka_unit_test(test_members_failure_sticks),
                cmocka_unit_test(test_facts),
                cmocka_unit_test(test_timezone),
                cmocka_unit_test(test_os_release_quotes),
                cmocka_unit_test(test_os_release_defaults),
                cmocka_unit_test(test_os_release_is_bounded),
                cmocka_unit_test(test_os_release_fallback),
                cmocka_unit_test(test_virtualization),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
