/* SPDX-License-Identifier: MIT */

/*
 * As much of systemd's manager as transient services need, on whatever bus DBUS_SYSTEM_BUS_ADDRESS
 * names, for machines where systemd is not PID 1 and for faults that the real one does not have to
 * order. A service's processes are those of its process group. Argument, if any:
 *
 *   refuse   no unit is started
 *   silent   no call is answered
 *   setup    each unit fails before its ExecStart, as with a namespace that cannot be made
 *   taken    the first five names are taken
 *   vague    units are not introspectable
 *
 * Prints its pid when it can be called. A bus that is lost it waits for.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/list.h"
#include "base/text.h"

#define NAME "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"

typedef struct Service Service;

struct Service {
        ListLink link;
        char *name;
        char *path;
        char *description;
        char *program;
        char **argv;
        int input;
        uint64_t stop_timeout;
        pid_t pid; /* of the main process; 0 once it has ended */
        pid_t group;
        int code;
        int status;
        bool active;
        bool referenced;
        uint64_t kill_at; /* 0: it is not stopping */
};

static sd_bus *bus;
static sd_event *event;
static sd_event_source *timer, *reconnect;
static ListLink services = LIST_INIT(services);
static const char *fault = "";
static unsigned n_taken;

static void must(int r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "fake-systemd: %s: %s\n", what, strerror(-r));
        exit(1);
}

static uint64_t now(void)
{
        uint64_t usec;

        must(sd_event_now(event, CLOCK_MONOTONIC, &usec), "clock");
        return usec;
}

static Service *find(const char *name, const char *path)
{
        list_foreach (i, &services) {
                Service *s = CONTAINER_OF(i, Service, link);

                if ((name && strcmp(s->name, name) == 0) || (path && strcmp(s->path, path) == 0))
                        return s;
        }
        return NULL;
}

static void service_free(Service *s)
{
        list_remove(&s->link);
        if (s->input >= 0)
                (void)close(s->input);
        text_list_free(s->argv);
        free(s->program);
        free(s->description);
        free(s->name);
        free(s->path);
        free(s);
}

/* As the real one: inactive units that nobody holds are forgotten. */
static void collect(Service *s)
{
        if (!s->active && !s->referenced)
                service_free(s);
}

static void append_unit(sd_bus_message *m, const Service *s)
{
        must(sd_bus_message_append(m, "{sv}{sv}", "ActiveState", "s",
                                   s && s->active ? "active" : "inactive", "Job", "(uo)", 0, "/"),
             "append");
}

static void append_service(sd_bus_message *m, const Service *s)
{
        must(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "MainPID", "u", s ? (uint32_t)s->pid : 0,
                                   "ExecMainCode", "i", s ? s->code : 0, "ExecMainStatus", "i",
                                   s ? s->status : 0, "Result", "s", "success"),
             "append");
}

static void announce(const Service *s, const char *interface,
                     void (*append)(sd_bus_message *m, const Service *s))
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (sd_bus_is_open(bus) <= 0)
                return;
        must(sd_bus_message_new_signal(bus, &m, s->path, "org.freedesktop.DBus.Properties",
                                       "PropertiesChanged"),
             "signal");
        must(sd_bus_message_append(m, "s", interface), "append");
        must(sd_bus_message_open_container(m, 'a', "{sv}"), "append");
        append(m, s);
        must(sd_bus_message_close_container(m), "append");
        must(sd_bus_message_append(m, "as", 0), "append");
        must(sd_bus_send(bus, m, NULL), "send");
}

static void look_again(uint64_t usec)
{
        must(sd_event_source_set_time(timer, now() + usec), "timer");
        must(sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT), "timer");
}

static void stop(Service *s)
{
        if (s->kill_at > 0 || !s->active)
                return;
        s->kill_at = s->stop_timeout > UINT64_MAX - now() ? UINT64_MAX : now() + s->stop_timeout;
        (void)kill(-s->group, SIGTERM);
        (void)kill(-s->group, SIGCONT);
        look_again(0);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        bool again = false;

        list_foreach_safe (i, &services) {
                Service *s = CONTAINER_OF(i, Service, link);

                if (s->kill_at == 0 || !s->active)
                        continue;
                if (kill(-s->group, usec >= s->kill_at ? SIGKILL : 0) < 0 && errno == ESRCH) {
                        s->active = false;
                        announce(s, NAME ".Unit", append_unit);
                        collect(s);
                } else
                        again = true;
        }
        if (again)
                look_again(10000);
        return 0;
}

static int on_child(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        siginfo_t info = { 0 };

        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid > 0) {
                list_foreach (i, &services) {
                        Service *s = CONTAINER_OF(i, Service, link);

                        if (s->pid != info.si_pid)
                                continue;
                        s->pid = 0;
                        s->code = info.si_code;
                        s->status = info.si_status;
                        announce(s, NAME ".Service", append_service);
                        stop(s);
                }
                info = (siginfo_t){ 0 };
        }
        return 0;
}

static void run(Service *s)
{
        sigset_t none;

        s->pid = s->group = fork();
        must(s->pid < 0 ? -errno : 0, "fork");
        if (s->pid > 0)
                return;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_IGN); /* as IgnoreSIGPIPE= */
        (void)setsid();
        if (strcmp(fault, "setup") == 0)
                _exit(226);
        (void)dup2(s->input, STDIN_FILENO);
        (void)execv(s->program, s->argv);
        _exit(203);
}

static void read_exec(Service *s, sd_bus_message *m)
{
        const char *program;
        int ignore;

        must(sd_bus_message_enter_container(m, 'v', "a(sasb)"), "ExecStart");
        must(sd_bus_message_enter_container(m, 'a', "(sasb)"), "ExecStart");
        must(sd_bus_message_enter_container(m, 'r', "sasb"), "ExecStart");
        must(sd_bus_message_read(m, "s", &program), "ExecStart");
        must(sd_bus_message_read_strv(m, &s->argv), "ExecStart");
        must(sd_bus_message_read(m, "b", &ignore), "ExecStart");
        for (int i = 0; i < 3; i++)
                must(sd_bus_message_exit_container(m), "ExecStart");
        s->program = strdup(program);
}

static void read_property(Service *s, sd_bus_message *m)
{
        const char *name, *text;
        int fd, yes;

        must(sd_bus_message_read(m, "s", &name), "property");
        if (strcmp(name, "ExecStart") == 0)
                read_exec(s, m);
        else if (strcmp(name, "StandardInputFileDescriptor") == 0) {
                must(sd_bus_message_read(m, "v", "h", &fd), name);
                s->input = dup(fd);
        } else if (strcmp(name, "Description") == 0) {
                must(sd_bus_message_read(m, "v", "s", &text), name);
                s->description = strdup(text);
        } else if (strcmp(name, "TimeoutStopUSec") == 0) {
                must(sd_bus_message_read(m, "v", "t", &s->stop_timeout), name);
        } else if (strcmp(name, "AddRef") == 0) {
                must(sd_bus_message_read(m, "v", "b", &yes), name);
                s->referenced = yes;
        } else
                must(sd_bus_message_skip(m, "v"), name);
}

static int start(sd_bus_message *m)
{
        const char *name, *mode;
        Service *s;

        must(sd_bus_message_read(m, "ss", &name, &mode), "StartTransientUnit");
        if (strcmp(fault, "refuse") == 0)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "Not today.");
        if (find(name, NULL) || (strcmp(fault, "taken") == 0 && n_taken++ < 5))
                return sd_bus_reply_method_errorf(m, NAME ".UnitExists",
                                                  "Unit %s was already loaded.", name);
        s = calloc(1, sizeof(*s));
        must(s ? 0 : -ENOMEM, "memory");
        s->name = strdup(name);
        s->input = -1;
        list_append(&services, &s->link);
        must(sd_bus_path_encode(PATH "/unit", name, &s->path), "path");
        must(sd_bus_message_enter_container(m, 'a', "(sv)"), "properties");
        while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
                read_property(s, m);
                must(sd_bus_message_exit_container(m), "properties");
        }
        s->active = true;
        run(s);
        must(sd_bus_reply_method_return(m, "o", PATH "/job/1"), "reply");
        announce(s, NAME ".Unit", append_unit);
        announce(s, NAME ".Service", append_service);
        return 1;
}

static int list_units(sd_bus_message *m)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        must(sd_bus_message_new_method_return(m, &reply), "reply");
        must(sd_bus_message_open_container(reply, 'a', "(ssssssouso)"), "reply");
        list_foreach (i, &services) {
                const Service *s = CONTAINER_OF(i, Service, link);

                must(sd_bus_message_append(reply, "(ssssssouso)", s->name, s->description, "loaded",
                                           s->active ? "active" : "inactive", "running", "",
                                           s->path, 0, "", "/"),
                     "reply");
        }
        must(sd_bus_message_close_container(reply), "reply");
        return sd_bus_send(bus, reply, NULL);
}

static int get_all(sd_bus_message *m)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Service *s = find(NULL, sd_bus_message_get_path(m));

        must(sd_bus_message_new_method_return(m, &reply), "reply");
        must(sd_bus_message_open_container(reply, 'a', "{sv}"), "reply");
        append_unit(reply, s);
        append_service(reply, s);
        must(sd_bus_message_append(reply, "{sv}{sv}", "CPUUsageNSec", "t", UINT64_C(4321000), "Id",
                                   "s", "x"),
             "reply");
        must(sd_bus_message_close_container(reply), "reply");
        return sd_bus_send(bus, reply, NULL);
}

static int introspect(sd_bus_message *m)
{
        return sd_bus_reply_method_return(
                m, "s",
                "<node><interface name=\"" NAME ".Service\">\n"
                " <property name=\"PrivateTmp\" type=\"b\" access=\"read\"></property>\n"
                " <property name=\"MemoryMax\" type=\"t\" access=\"read\"/>\n"
                " <property name=\"RuntimeMaxUSec\" type=\"t\" access=\"read\"/>\n"
                "</interface></node>\n");
}

static int by_name(sd_bus_message *m, void (*function)(Service *s, sd_bus_message *m))
{
        const char *name;
        Service *s;

        must(sd_bus_message_read(m, "s", &name), "name");
        s = find(name, NULL);
        if (s)
                function(s, m);
        return 1;
}

static void service_stop(Service *s, sd_bus_message *m)
{
        stop(s);
}

static void service_kill(Service *s, sd_bus_message *m)
{
        const char *whom;
        int number;

        must(sd_bus_message_read(m, "si", &whom, &number), "KillUnit");
        if (strcmp(whom, "main") == 0 && s->pid > 0)
                (void)kill(s->pid, number);
        else if (strcmp(whom, "all") == 0)
                (void)kill(-s->group, number);
}

static void service_ref(Service *s, sd_bus_message *m)
{
        s->referenced = true;
}

static void service_unref(Service *s, sd_bus_message *m)
{
        s->referenced = false;
        collect(s);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        static const struct {
                const char *member;
                void (*function)(Service *s, sd_bus_message *m);
        } functions[] = {
                { "StopUnit", service_stop },
                { "KillUnit", service_kill },
                { "RefUnit", service_ref },
                { "UnrefUnit", service_unref },
        };
        uint8_t type;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        if (strcmp(fault, "silent") == 0)
                return 1;
        if (sd_bus_message_is_method_call(m, NULL, "StartTransientUnit"))
                return start(m);
        if (sd_bus_message_is_method_call(m, NULL, "ListUnitsByPatterns"))
                return list_units(m);
        if (sd_bus_message_is_method_call(m, NULL, "GetAll"))
                return get_all(m);
        if (sd_bus_message_is_method_call(m, NULL, "Introspect") && strcmp(fault, "vague") != 0)
                return introspect(m);
        for (size_t i = 0; i < ELEMENTSOF(functions); i++)
                if (sd_bus_message_is_method_call(m, NULL, functions[i].member))
                        return by_name(m, functions[i].function);
        return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        list_foreach (i, &services)
                (void)kill(-CONTAINER_OF(i, Service, link)->group, SIGKILL);
        return sd_event_exit(event, 0);
}

static int connect_bus(void);

/* It comes back where it was, as PID 1 does; nobody holds references any more. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        list_foreach_safe (i, &services) {
                Service *s = CONTAINER_OF(i, Service, link);

                s->referenced = false;
                collect(s);
        }
        return sd_event_source_set_enabled(reconnect, SD_EVENT_ONESHOT);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void)sd_bus_detach_event(bus);
        bus = sd_bus_close_unref(bus);
        if (connect_bus() >= 0)
                return 0;
        must(sd_event_source_set_time(reconnect, now() + 10000), "timer");
        return sd_event_source_set_enabled(reconnect, SD_EVENT_ONESHOT);
}

static int connect_bus(void)
{
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, NULL);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local",
                                        "Disconnected", on_disconnected, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, NAME, 0);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}

int main(int argc, char **argv)
{
        sigset_t set;

        fault = argc > 1 ? argv[1] : "";
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        (void)sigaddset(&set, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0, "subreaper");
        must(sd_event_default(&event), "event");
        must(sd_event_add_signal(event, NULL, SIGCHLD, on_child, NULL), "signal");
        must(sd_event_add_signal(event, NULL, SIGTERM, on_end, NULL), "signal");
        must(sd_event_add_time(event, &timer, CLOCK_MONOTONIC, 0, 1, on_timer, NULL), "timer");
        must(sd_event_add_time(event, &reconnect, CLOCK_MONOTONIC, 0, 1, on_again, NULL), "timer");
        must(sd_event_source_set_enabled(reconnect, SD_EVENT_OFF), "timer");
        must(connect_bus(), "bus");
        printf("%d\n", (int)getpid());
        (void)fflush(stdout);
        return sd_event_loop(event);
}
