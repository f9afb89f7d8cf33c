/* SPDX-License-Identifier: MIT */

/*
 * What systemd's services are asked by system.shutdown, set_time, set_timezone and set_hostname,
 * and what becomes of the call where they do not do it. No clock is set: the process that would do
 * so is this program, whose clock_settime() and adjtime() are below.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "methods/facts.h"
#include "methods/order.h"
#include "proc/clock.h"
#include "tests/lib/world.h"
#include "tests/unit/bus-world.h"
#include "tests/unit/child.h"

/* By the test's pid: the process that sets the clock has nothing else of it. */
static void name_folder(pid_t test)
{
        (void)snprintf(bus_folder, sizeof(bus_folder), "/tmp/guestwire-clock-%d", (int)test);
}

/* In that process: where the clock would be. A folder in the way is as if that were denied. */
static int note(const char *what, int64_t usec)
{
        char path[128];
        FILE *f;

        name_folder(getppid());
        (void)snprintf(path, sizeof(path), "%s/record", bus_folder);
        f = fopen(path, "we");
        if (!f) {
                errno = EPERM;
                return -1;
        }
        fprintf(f, "%s %lld\n", what, (long long)usec);
        return fclose(f);
}

int clock_settime(clockid_t clock, const struct timespec *ts)
{
        return note("step", ts->tv_sec * INT64_C(1000000) + ts->tv_nsec / 1000);
}

int adjtime(const struct timeval *delta, struct timeval *before)
{
        return note("slew", delta->tv_sec * INT64_C(1000000) + delta->tv_usec);
}

static pid_t services_pid;

static void start_services(const char *fault)
{
        char own[PATH_MAX], command[2 * PATH_MAX];

        assert_int_equal(spawn_own_path(own, sizeof(own)), 0);
        *strrchr(own, '/') = '\0';
        (void)snprintf(command, sizeof(command),
                       "setsid %s/../lib/fake-services %s/calls %s </dev/null 2>&1 & exit 0", own,
                       bus_folder, fault);
        services_pid = run_daemon(command);
        assert_true(services_pid > 1);
}

static int setup(void **state)
{
        name_folder(getpid());
        assert_int_equal(mkdir(bus_folder, 0700), 0);
        order_usec = UINT64_C(25000000);
        start_bus();
        return 0;
}

static int teardown(void **state)
{
        char command[128];

        end_daemon(&services_pid);
        end_daemon(&bus_pid);
        (void)snprintf(command, sizeof(command), "rm -rf %s", bus_folder);
        assert_int_equal(system(command), 0);
        return 0;
}

#define needs_bus()                                           \
        do {                                                  \
                if (bus_pid <= 0)                             \
                        cannot_run("dbus-daemon is missing"); \
        } while (0)

static World *managed_world(void)
{
        World *w = world_new(&root_peer, true);

        w->config.agent.scope = SCOPE_AGENT;
        assert_int_equal(spawner_new(w->event, &w->context.spawner), 0);
        return w;
}

static World *managed_world_free(World *w)
{
        w->session = session_free(w->session);
        w->context.spawner = spawner_free(w->context.spawner);
        return world_free(w);
}
DEFINE_CLEANUP(World, managed_world_free)
#define _cleanup_managed_world_ _cleanup_(managed_world_freep)

static const char *call(World *w, const char *method, const char *params)
{
        _cleanup_free_ char *text = text_format(
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.%s\",\"params\":%s}\n", method,
                params);

        world_send(w, text);
        return world_receive(w);
}

static void assert_has(const char *text, const char *wanted)
{
        if (!strstr(text, wanted))
                fail_msg("no %s in %s", wanted, text);
}

static void assert_file(const char *name, const char *wanted)
{
        char path[128], text[1024] = "";
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", bus_folder, name);
        f = fopen(path, "re");
        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
        (void)fclose(f);
        assert_string_equal(text, wanted);
}

/* Until the services have been asked all of this. */
static void run_until_called(World *w, const char *wanted)
{
        char path[128], text[1024] = "";

        (void)snprintf(path, sizeof(path), "%s/calls", bus_folder);
        for (int i = 0; i < 10000 && strcmp(text, wanted) != 0; i++) {
                FILE *f = fopen(path, "re");

                assert_non_null(f);
                text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
                (void)fclose(f);
                assert_true(sd_event_run(w->event, 2000) >= 0);
        }
        assert_string_equal(text, wanted);
}

static void test_shutdown(void **state)
{
        static const char *const modes[][3] = {
                { "poweroff", "CanPowerOff\nPowerOff no\n", "" },
                { "reboot", "CanReboot\nSetWallMessage So long yes\nReboot no\n",
                  ",\"message\":\"So long\"" },
                { "halt", "CanHalt\nHalt no\n", "" },
                { "suspend", "CanSuspend\nSuspend no\n", ",\"message\":\"So long\"" },
                { "hibernate", "CanHibernate\nHibernate no\n", "" },
        };

        needs_bus();
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                _cleanup_managed_world_ World *w = managed_world();
                _cleanup_free_ char *params =
                        text_format("{\"mode\":\"%s\"%s}", modes[i][0], modes[i][2]);
                _cleanup_free_ char *reply =
                        text_format("{\"jsonrpc\":\"2.0\",\"result\":{\"mode\":\"%s\"},\"id\":1}",
                                    modes[i][0]);

                start_services("");
                assert_string_equal(call(w, "shutdown", params), reply);
                run_until_called(w, modes[i][1]);
                end_daemon(&services_pid);
        }
}

/* Whoever loses patience does not turn the guest off. */
static void test_cancelled(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();

        needs_bus();
        start_services("silent");
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.shutdown\","
                      "\"params\":{\"mode\":\"poweroff\"}}\n");
        run_until_called(w, "CanPowerOff\n");
        world_send(w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":1}}\n");
        assert_has(world_receive(w), "\"reason\":\"cancelled\"");
        /* Nor does who leaves. */
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"system.set_hostname\","
                      "\"params\":{\"hostname\":\"x\"}}\n");
        run_until_called(w, "CanPowerOff\nSetStaticHostname x no\n");
}

static void test_wrong_parameters(void **state)
{
        static const char *const wrong[][2] = {
                { "shutdown", "{\"mode\":\"off\"}" },
                { "shutdown", "{}" },
                { "set_time", "{\"time_us\":0}" },
                { "set_time", "{\"time_us\":-5}" },
                { "set_time", "{\"time_us\":1,\"mode\":\"jump\"}" },
                { "set_time", "{\"time_us\":1,\"mode\":\"step\",\"slew\":true}" },
                { "set_time", "{\"time_us\":1,\"step\":true,\"slew\":true}" },
                { "set_time", "{\"time_us\":1000000,\"slew\":true}" }, /* since 1970 */
                { "set_timezone", "{\"timezone\":\"\"}" },
                { "set_hostname", "{\"hostname\":\"\"}" },
                { "set_hostname",
                  "{\"hostname\":\"0123456789012345678901234567890123456789012345678901234567890123"
                  "4\"}" },
        };
        _cleanup_managed_world_ World *w = managed_world();

        needs_bus();
        start_services("");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_has(call(w, wrong[i][0], wrong[i][1]), "\"code\":-32602");
        assert_file("calls", "");
}

static void test_timezone_and_hostname(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();

        needs_bus();
        start_services("");
        assert_has(call(w, "set_timezone", "{\"timezone\":\"Asia/Tokyo\"}"),
                   "\"result\":{\"timezone\":\"Asia/Tokyo\"}");
        assert_has(call(w, "set_hostname", "{\"hostname\":\"web2\"}"),
                   "\"result\":{\"hostname\":\"web2\"}");
        assert_file("calls",
                    "SetTimezone Asia/Tokyo no\nSetStaticHostname web2 no\nSetHostname web2 no\n");
}

/* An hour from now, the answer, and how far the clock is off. */
static int64_t set_time_ahead(World *w, const char *more)
{
        _cleanup_free_ char *params =
                text_format("{\"time_us\":%llu%s}",
                            (unsigned long long)(facts_now(CLOCK_REALTIME) + 1800 * SECOND), more);
        _cleanup_json_ json_object *reply = json_tokener_parse(call(w, "set_time", params));
        json_object *result = member(reply, "result");
        int64_t offset = json_object_get_int64(member(result, "offset_us"));

        assert_as_declared(w, "system.set_time", result);
        assert_true(offset > 0 && offset <= (int64_t)(1800 * SECOND));
        return offset;
}

static void test_time_by_timedated(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();
        _cleanup_free_ char *wanted = NULL;
        int64_t offset;

        needs_bus();
        start_services("");
        offset = set_time_ahead(w, "");
        wanted = text_format("SetTime %lld yes no\n", (long long)offset);
        assert_file("calls", wanted);
}

/* What comes to the clock is what time it will be then, not what it was when somebody asked. */
static void assert_stepped(int64_t offset, uint64_t since)
{
        char what[8] = "";
        long long usec;
        char path[128];
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/record", bus_folder);
        f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%7s %lld", what, &usec), 2);
        (void)fclose(f);
        assert_string_equal(what, "step");
        assert_true(usec >= (int64_t)since + offset);
        assert_true(usec <= (int64_t)facts_now(CLOCK_REALTIME) + offset);
}

static void test_time_by_a_process(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();
        _cleanup_free_ char *wanted = NULL;
        uint64_t since;
        int64_t offset;

        needs_bus();
        start_services("ntp");
        since = facts_now(CLOCK_REALTIME);
        assert_stepped(set_time_ahead(w, ",\"rtc\":false"), since);
        assert_file("calls", "");
        offset = set_time_ahead(w, ",\"mode\":\"slew\",\"rtc\":false");
        wanted = text_format("slew %lld\n", (long long)offset);
        assert_file("record", wanted);
        set_time_ahead(w, ",\"slew\":true,\"rtc\":false");
        assert_file("calls", "");
}

static void test_time_where_ntp_is_in_charge(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();
        _cleanup_free_ char *wanted = NULL;
        uint64_t since;
        int64_t offset;

        needs_bus();
        start_services("ntp");
        since = facts_now(CLOCK_REALTIME);
        offset = set_time_ahead(w, ",\"step\":true");
        wanted = text_format("SetTime %lld yes no\n", (long long)offset);
        assert_file("calls", wanted);
        assert_stepped(offset, since);
}

/* Each would move it by what it was off before the other had. */
static void test_time_by_one_at_a_time(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();

        needs_bus();
        start_services("silent");
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"system.set_time\","
                      "\"params\":{\"time_us\":1700000000000000}}\n");
        assert_has(call(w, "set_time", "{\"time_us\":1700000000000000}"), "\"reason\":\"busy\"");
        world_send(w, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":7}}\n");
        assert_has(world_receive(w), "\"reason\":\"cancelled\"");
        set_time_ahead(w, ",\"rtc\":false");
        set_time_ahead(w, ",\"rtc\":false");
}

static void test_time_fails(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();
        const char *line;
        char path[128];

        needs_bus();
        start_services("");
        (void)snprintf(path, sizeof(path), "%s/record", bus_folder);
        assert_int_equal(mkdir(path, 0700), 0);
        line = call(w, "set_time", "{\"time_us\":1700000000000000,\"rtc\":false}");
        assert_has(line, "\"reason\":\"failed\"");
        assert_has(line, "\"errno\":\"EPERM\"");
        assert_has(line, "CAP_SYS_TIME");
}

static const char *const all[][2] = {
        { "shutdown", "{\"mode\":\"poweroff\"}" },
        { "set_time", "{\"time_us\":1700000000000000}" },
        { "set_timezone", "{\"timezone\":\"Europe/Berlin\"}" },
        { "set_hostname", "{\"hostname\":\"web\"}" },
};

static void assert_all_fail(const char *fault, const char *wanted)
{
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                _cleanup_managed_world_ World *w = managed_world();

                start_services(fault);
                assert_has(call(w, all[i][0], all[i][1]), wanted);
                end_daemon(&services_pid);
        }
}

static void test_refused(void **state)
{
        needs_bus();
        assert_all_fail("refuse", "\"reason\":\"failed\",\"errno\":\"EACCES\"");
}

static void test_silent(void **state)
{
        needs_bus();
        order_usec = 1000;
        assert_all_fail("silent", "\"reason\":\"timeout\"");
}

static void test_gone(void **state)
{
        needs_bus();
        assert_all_fail("gone", "\"reason\":\"unavailable\"");
}

static void test_invalid(void **state)
{
        needs_bus();
        assert_all_fail("invalid", "\"code\":-32602");
}

/* The bus is there, but they are not. The time can be set all the same. */
static void test_no_services(void **state)
{
        needs_bus();
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                _cleanup_managed_world_ World *w = managed_world();

                if (strcmp(all[i][0], "set_time") != 0)
                        assert_has(call(w, all[i][0], all[i][1]), "\"reason\":\"unsupported\"");
        }
}

static void test_no_bus(void **state)
{
        needs_bus();
        end_daemon(&bus_pid);
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                _cleanup_managed_world_ World *w = managed_world();

                assert_has(call(w, all[i][0], all[i][1]), "\"reason\":\"unavailable\"");
        }
}

/* The bus goes while somebody waits; the next one connects anew. */
static void test_lost_bus(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();

        needs_bus();
        start_services("silent");
        world_send(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.set_timezone\","
                      "\"params\":{\"timezone\":\"Europe/Berlin\"}}\n");
        run_until_called(w, "SetTimezone Europe/Berlin no\n");
        end_daemon(&bus_pid);
        assert_has(world_receive(w), "\"reason\":\"unavailable\"");
        end_daemon(&services_pid);
        start_bus();
        start_services("");
        assert_has(call(w, "set_hostname", "{\"hostname\":\"web2\"}"), "\"result\"");
}

static void test_no_systemd(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, true);

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                assert_has(call(w, all[i][0], all[i][1]), "\"reason\":\"unsupported\"");
}

static void test_not_privileged(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&root_peer, false);

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                assert_has(call(w, all[i][0], all[i][1]), "\"reason\":\"not-privileged\"");
}

static void test_logind_says_no(void **state)
{
        needs_bus();
        for (int can = 0; can < 2; can++) {
                _cleanup_managed_world_ World *w = managed_world();

                start_services(can ? "no" : "na");
                assert_has(call(w, "shutdown", "{\"mode\":\"hibernate\"}"),
                           can ? "\"errno\":\"EACCES\"" : "\"reason\":\"unsupported\"");
                assert_file("calls", "CanHibernate\n");
                end_daemon(&services_pid);
        }
}

/* Since systemd 257 that holds up root as well. Who only delays, or does so weakly, does not. */
static void test_inhibited(void **state)
{
        _cleanup_managed_world_ World *w = managed_world();
        const char *line;

        needs_bus();
        start_services("block");
        line = call(w, "shutdown", "{\"mode\":\"reboot\",\"message\":\"So long\"}");
        assert_has(line, "\"reason\":\"failed\",\"errno\":\"EBUSY\"");
        assert_has(line,
                   "apt (pid 77) inhibits that, and logind heeds it: Packages are\\\\x0achang");
        assert_file("calls", "CanReboot\nListInhibitors\n");
        assert_has(call(w, "shutdown", "{\"mode\":\"suspend\"}"), "\"mode\":\"suspend\"");
        run_until_called(w, "CanReboot\nListInhibitors\nCanSuspend\nListInhibitors\nSuspend no\n");
        end_daemon(&services_pid);

        start_services("weak");
        assert_has(call(w, "shutdown", "{\"mode\":\"reboot\"}"), "\"mode\":\"reboot\"");
        run_until_called(w, "CanReboot\nListInhibitors\nReboot no\n");
}

#define BUS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_shutdown),
                BUS_TEST(test_cancelled),
                BUS_TEST(test_wrong_parameters),
                BUS_TEST(test_timezone_and_hostname),
                BUS_TEST(test_time_by_timedated),
                BUS_TEST(test_time_by_a_process),
                BUS_TEST(test_time_where_ntp_is_in_charge),
                BUS_TEST(test_time_by_one_at_a_time),
                BUS_TEST(test_time_fails),
                BUS_TEST(test_refused),
                BUS_TEST(test_silent),
                BUS_TEST(test_gone),
                BUS_TEST(test_invalid),
                BUS_TEST(test_no_services),
                BUS_TEST(test_no_bus),
                BUS_TEST(test_lost_bus),
                BUS_TEST(test_logind_says_no),
                BUS_TEST(test_inhibited),
                cmocka_unit_test(test_no_systemd),
                cmocka_unit_test(test_not_privileged),
        };
        if (argc == 2 + CLOCK_ARGUMENTS && strcmp(argv[1], CLOCK_OPTION) == 0)
                return clock_main(argv + 2);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
