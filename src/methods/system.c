/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "methods/context.h"
#include "methods/facts.h"
#include "methods/members.h"
#include "methods/os-release.h"
#include "methods/virtualization.h"
#include "rpc/call.h"

static json_object *kernel_to_json(const struct utsname *name)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "name", name->sysname);
        members_add_text(&m, "release", name->release);
        members_add_text(&m, "version", name->version);
        return members_take(&m);
}

static json_object *memory_to_json(void)
{
        uint64_t total, available;
        char text[4096];
        struct sysinfo info;
        Members m;

        if (sysinfo(&info) < 0)
                return NULL;
        total = (uint64_t)info.totalram * info.mem_unit;
        /* sysinfo(2) knows no estimate of what could be freed: free pages alone mislead. */
        if (facts_read("", "/proc/meminfo", text, sizeof text) < 0 ||
            facts_find_kibibytes(text, "MemAvailable:", &available) < 0)
                available = (uint64_t)info.freeram * info.mem_unit;
        members_init(&m);
        members_add_unsigned(&m, "total_bytes", total);
        members_add_unsigned(&m, "available_bytes", available);
        return members_take(&m);
}

static void system_info(Call *call, json_object *params, void *userdata)
{
        _cleanup_members_ Members m;
        char zone[PATH_MAX];
        struct utsname name;

        if (uname(&name) < 0) {
                call_fail(call, REASON_FAILED, errno, "uname: %s", strerror(errno));
                return;
        }
        members_init(&m);
        members_add_text(&m, "hostname", name.nodename);
        members_add_value(&m, "os", os_release_read(""));
        members_add_value(&m, "kernel", kernel_to_json(&name));
        members_add_text(&m, "architecture", name.machine);
        members_add_text(&m, "virtualization", virtualization_detect());
        members_add_unsigned(&m, "cpus", (uint64_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L));
        members_add_value(&m, "memory", memory_to_json());
        members_add_unsigned(&m, "uptime_us", facts_now(CLOCK_BOOTTIME));
        members_add_text(&m, "timezone", facts_timezone("", zone, sizeof zone));
        members_add_unsigned(&m, "time_us", facts_now(CLOCK_REALTIME));
        call_reply(call, members_take(&m));
}

static const Field os_fields[] = {
        { "id", FIELD_STRING, 0, "The distribution, in one lower-case word", NULL },
        { "name", FIELD_STRING, 0, "The distribution's name", NULL },
        { "pretty_name", FIELD_STRING, 0, "Its name and version for people", NULL },
        { "version_id", FIELD_STRING, FIELD_NULLABLE, "The version; null where it has none", NULL },
        {},
};

static const Field kernel_fields[] = {
        { "name", FIELD_STRING, 0, "Linux", NULL },
        { "release", FIELD_STRING, 0, "As uname -r", NULL },
        { "version", FIELD_STRING, 0, "As uname -v", NULL },
        {},
};

static const Field memory_fields[] = {
        { "total_bytes", FIELD_INTEGER, 0, "Memory that the kernel manages", NULL },
        { "available_bytes", FIELD_INTEGER, 0, "Memory that programs could still get", NULL },
        {},
};

static const Field info_fields[] = {
        { "hostname", FIELD_STRING, 0, "The guest's host name", NULL },
        { "os", FIELD_OBJECT, 0, "Every field of os-release, the names in lower case", os_fields },
        { "kernel", FIELD_OBJECT, 0, "The kernel", kernel_fields },
        { "architecture", FIELD_STRING, 0, "As uname -m", NULL },
        { "virtualization", FIELD_STRING, 0, "In systemd-detect-virt's words; none on bare metal",
          NULL },
        { "cpus", FIELD_INTEGER, 0, "CPUs online", NULL },
        { "memory", FIELD_OBJECT, 0, "Memory", memory_fields },
        { "uptime_us", FIELD_INTEGER, 0, "Microseconds since boot, suspension included", NULL },
        { "timezone", FIELD_STRING, FIELD_NULLABLE, "As Europe/Berlin; null where it has no name",
          NULL },
        { "time_us", FIELD_INTEGER, 0, "The guest's clock: microseconds since 1970, UTC", NULL },
        {},
};

const Method system_methods[] = {
        { .name = "system.info",
          .run = system_info,
          .summary = "Says what system this is: distribution, kernel, CPUs, memory, clock",
          .result = info_fields,
          .reasons = 1U << REASON_FAILED },
        {},
};
