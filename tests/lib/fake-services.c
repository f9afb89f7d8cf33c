/* SPDX-License-Identifier: MIT */

/*
 * systemd-logind, -timedated and -hostnamed, as far as they are called, on whatever bus
 * DBUS_SYSTEM_BUS_ADDRESS names. Each call is a line "MEMBER ARGUMENTS" in the file that is the
 * first argument. The second, if any:
 *
 *   refuse   every call is denied, as by polkit
 *   silent   none is answered
 *   gone     it ends when it is called
 *   invalid  arguments are not taken
 *   ntp      a service of NTP has the clock
 *   block    it is of systemd 257 or later, and somebody inhibits a shutdown
 *   weak     likewise, but only weakly, or for a while; and something else
 *   na, no   what logind says when it is asked whether it can
 *   kill     who asks logind to act is killed in the same moment, as by a machine that is off
 *
 * Prints its pid when it can be called.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define LOGIND "org.freedesktop.login1"
#define TIMEDATED "org.freedesktop.timedate1"
#define HOSTNAMED "org.freedesktop.hostname1"

static const char *fault = "";
static FILE *calls;

static void must(int r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "fake-services: %s: %s\n", what, strerror(-r));
        exit(1);
}

static bool has_fault(const char *name)
{
        return strcmp(fault, name) == 0;
}

static void note(sd_bus_message *m)
{
        const char *types = sd_bus_message_get_signature(m, 1), *text;
        int64_t number;
        int yes;

        fprintf(calls, "%s", sd_bus_message_get_member(m));
        for (; types && *types; types++)
                switch (*types) {
                case 's':
                        must(sd_bus_message_read(m, "s", &text), "text");
                        fprintf(calls, " %s", text);
                        break;
                case 'x':
                        must(sd_bus_message_read(m, "x", &number), "number");
                        fprintf(calls, " %lld", (long long)number);
                        break;
                case 'b':
                        must(sd_bus_message_read(m, "b", &yes), "flag");
                        fprintf(calls, " %s", yes ? "yes" : "no");
                        break;
                default:
                        must(-EINVAL, types);
                }
        fputc('\n', calls);
        (void)fflush(calls);
}

static void kill_sender(sd_bus_message *m)
{
        sd_bus_creds *creds = NULL;
        pid_t pid = 0;

        must(sd_bus_query_sender_creds(m, SD_BUS_CREDS_PID, &creds), "sender");
        must(sd_bus_creds_get_pid(creds, &pid), "sender");
        sd_bus_creds_unref(creds);
        (void)kill(pid, SIGKILL);
}

static int list_inhibitors(sd_bus_message *m)
{
        static const char *const weak[][2] = {
                { "shutdown:sleep", "block-weak" },
                { "shutdown", "delay" },
                { "idle:handle-power-key", "block" },
        };
        static const char *const strong[][2] = {
                { "shutdown", "delay" },
                { "idle:shutdown", "block" },
        };
        bool is_strong = has_fault("block");
        const char *const(*list)[2] = is_strong ? strong : weak;
        size_t n = is_strong ? sizeof(strong) / sizeof(strong[0]) : sizeof(weak) / sizeof(weak[0]);
        sd_bus_message *reply = NULL;
        int r;

        must(sd_bus_message_new_method_return(m, &reply), "reply");
        must(sd_bus_message_open_container(reply, 'a', "(ssssuu)"), "reply");
        for (size_t i = 0; i < n; i++)
                must(sd_bus_message_append(reply, "(ssssuu)", list[i][0], "apt",
                                           "Packages are\nchanging", list[i][1], 0U, 77U),
                     "reply");
        must(sd_bus_message_close_container(reply), "reply");
        r = sd_bus_send(sd_bus_message_get_bus(m), reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_logind(sd_bus_message *m)
{
        const char *member = sd_bus_message_get_member(m);

        if (strcmp(member, "ListInhibitors") == 0)
                return list_inhibitors(m);

        if (strncmp(member, "Can", 3) == 0)
                return sd_bus_reply_method_return(m, "s",
                                                  has_fault("na") || has_fault("no") ? fault
                                                                                     : "yes");
        if (has_fault("kill") && strcmp(member, "SetWallMessage") != 0)
                kill_sender(m);
        return sd_bus_reply_method_return(m, NULL);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *interface = sd_bus_message_get_interface(m);
        uint8_t type;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL ||
            !interface)
                return 0;
        if (strcmp(interface, "org.freedesktop.DBus.Properties") == 0)
                return has_fault("block") || has_fault("weak")
                               ? sd_bus_reply_method_return(m, "v", "s", "sleep")
                               : 0;
        note(m);
        if (has_fault("silent"))
                return 1;
        if (has_fault("gone"))
                exit(0);
        if (has_fault("refuse"))
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "Not today.");
        if (has_fault("invalid"))
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "Not that.");
        if (has_fault("ntp") && strcmp(sd_bus_message_get_member(m), "SetTime") == 0)
                return sd_bus_reply_method_errorf(m, TIMEDATED ".AutomaticTimeSyncEnabled",
                                                  "Automatic time synchronization is enabled");
        if (strcmp(interface, LOGIND ".Manager") == 0)
                return on_logind(m);
        if (strcmp(interface, TIMEDATED) == 0 || strcmp(interface, HOSTNAMED) == 0)
                return sd_bus_reply_method_return(m, NULL);
        return 0;
}

int main(int argc, char **argv)
{
        static const char *const names[] = { LOGIND, TIMEDATED, HOSTNAMED };
        sd_event *event = NULL;
        sd_bus *bus = NULL;

        if (argc < 2)
                return 2;
        fault = argc > 2 ? argv[2] : "";
        calls = fopen(argv[1], "we");
        must(calls ? 0 : -EIO, argv[1]);
        must(sd_event_default(&event), "event");
        must(sd_bus_open_system(&bus), "bus");
        must(sd_bus_add_filter(bus, NULL, on_message, NULL), "filter");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                must(sd_bus_request_name(bus, names[i], 0), names[i]);
        must(sd_bus_set_exit_on_disconnect(bus, true), "bus");
        must(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL), "bus");
        printf("%d\n", (int)getpid());
        (void)fflush(stdout);
        return sd_event_loop(event);
}
