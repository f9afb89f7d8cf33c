/* SPDX-License-Identifier: MIT */

/*
 * system.set_time and system.set_timezone. timedated sets clock and hardware clock in one go, but
 * not while a service of NTP is in charge, and neither slowly nor one without the other: what it
 * does not do a process of our own does.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "methods/facts.h"
#include "methods/members.h"
#include "methods/order.h"
#include "proc/clock.h"

#define TIMEDATED(m)                                                                          \
        {                                                                                     \
                .service = "org.freedesktop.timedate1", .path = "/org/freedesktop/timedate1", \
                .interface = "org.freedesktop.timedate1", .member = (m)                       \
        }

#define NTP_IN_CHARGE "org.freedesktop.timedate1.AutomaticTimeSyncEnabled"
#define KILL_TIMEOUT UINT64_C(5000000)
/* adjtime(3) takes no more. */
#define SLEW_MAX_USEC INT64_C(2145000000)
#define RTC "/sys/class/rtc/rtc0"

static const BusMethod set_time = TIMEDATED("SetTime");
static const BusMethod set_timezone = TIMEDATED("SetTimezone");

static const char step[] = "step", slew[] = "slew";

/* Of an order to set the time: subject is the mode, number how far the clock is off, and flag
 * whether the hardware clock is to be set. */
static void time_reply(Order *o, bool with_rtc)
{
        Members m;

        members_init(&m);
        members_add_text(&m, "mode", o->subject);
        members_add_value(&m, "offset_us", json_object_new_int64(o->number));
        members_add_boolean(&m, "rtc", with_rtc);
        members_add_unsigned(&m, "time_us", facts_now(CLOCK_REALTIME));
        order_reply(o, members_take(&m));
}

/* Where the process that sets the clock runs: as the programs of the port do. */
static ProgramScope time_scope(const Order *o)
{
        const ListenSettings *port = call_port_settings(o->call);

        return port ? port->program.scope : o->context->config->agent.scope;
}

static void time_on_end(Spawn *spawn, const SpawnEnd *end, void *userdata)
{
        Order *o = userdata;
        const char *problem;
        bool sandboxed;

        if (end->outcome == SPAWN_EXITED &&
            (end->status == 0 || end->status == CLOCK_WITHOUT_RTC)) {
                time_reply(o, o->flag && end->status == 0);
                return;
        }
        problem = end->outcome == SPAWN_FAILED ? end->problem
                  : end->outcome == SPAWN_EXITED && end->status < CLOCK_WITHOUT_RTC
                          ? strerror(end->status)
                          : "the process that was to do it was ended";
        /* The shipped unit keeps CAP_SYS_TIME from us and from what runs inside of it. */
        sandboxed = end->outcome == SPAWN_EXITED && end->status == EPERM &&
                    time_scope(o) == SCOPE_AGENT;
        call_fail(TAKE_PTR(o->call), REASON_FAILED,
                  end->outcome == SPAWN_EXITED ? end->status : end->error,
                  "The clock cannot be set: %s%s", problem ? problem : strerror(end->error),
                  sandboxed ? ": with scope = agent the unit must have CAP_SYS_TIME" : "");
        (void)order_free(o);
}

static int time_start(Order *o)
{
        static char option[] = CLOCK_OPTION, yes[] = "yes", no[] = "no";
        char path[PATH_MAX], mode[8], offset[32];
        int r;

        r = spawn_own_path(path, sizeof(path));
        if (r < 0)
                return r;
        (void)snprintf(mode, sizeof(mode), "%s", (const char *)o->subject);
        /* Since it was asked the clock has gone on, and so has the time that it should be. */
        (void)snprintf(offset, sizeof(offset), "%" PRId64, o->number);
        return spawn_start(o->context->spawner,
                           &(SpawnSettings){
                                   .argv = (char *const[]){ path, option, mode, offset,
                                                            o->flag ? yes : no, NULL },
                                   .directory = "/",
                                   .fds = { -EBADF, -EBADF, -EBADF },
                                   .kill_timeout = KILL_TIMEOUT,
                                   .scope = time_scope(o),
                                   .identity = "clock",
                           },
                           time_on_end, o, &o->spawn);
}

static void time_do_it(Order *o)
{
        int r = time_start(o);

        if (r >= 0)
                return;
        call_fail(TAKE_PTR(o->call), REASON_FAILED, -r, "The clock cannot be set: %s",
                  strerror(-r));
        (void)order_free(o);
}

static void time_on_answer(Order *o, const BusAnswer *answer)
{
        if (answer->error >= 0)
                /* It sets the hardware clock where there is one, and does not tell. */
                time_reply(o, access(RTC, F_OK) == 0);
        else if (order_lacks_service(answer) ||
                 (answer->name && strcmp(answer->name, NTP_IN_CHARGE) == 0))
                time_do_it(o);
        else
                order_fail(o, &set_time, answer);
}

/* What `mode`, or the flag named after it, says; NULL: the call is ended. */
static const char *time_mode(Call *call, json_object *params)
{
        const char *mode = json_object_get_string(json_object_object_get(params, "mode"));
        bool stepped = json_object_get_boolean(json_object_object_get(params, step));
        bool slewed = json_object_get_boolean(json_object_object_get(params, slew));
        bool is_step = mode && strcmp(mode, step) == 0, is_slew = mode && strcmp(mode, slew) == 0;

        if (mode && !is_step && !is_slew)
                call_fail_params(call, "Parameter \"mode\" must be step or slew");
        else if ((stepped && (slewed || is_slew)) || (slewed && is_step))
                call_fail_params(call, "The clock can be stepped or slewed, not both");
        else
                return is_slew || slewed ? slew : step;
        return NULL;
}

static void time_set(Call *call, json_object *params, void *userdata)
{
        int64_t time_us = json_object_get_int64(json_object_object_get(params, "time_us"));
        json_object *rtc = json_object_object_get(params, "rtc");
        const char *mode = time_mode(call, params);
        AgentContext *context = userdata;
        int64_t offset;
        Order *o;

        if (!mode)
                return;
        if (time_us <= 0) {
                call_fail_params(call,
                                 "Parameter \"time_us\" must be microseconds since 1970, UTC");
                return;
        }
        /* How far the clock is off is what two would correct twice. */
        if (context->clock_order) {
                call_fail(call, REASON_BUSY, 0, "Another call sets the clock just now");
                return;
        }
        offset = time_us - (int64_t)facts_now(CLOCK_REALTIME);
        if (mode == slew && (offset > SLEW_MAX_USEC || offset < -SLEW_MAX_USEC)) {
                call_fail_params(call,
                                 "The clock is off by more than %" PRId64 " s, which cannot be "
                                 "slewed",
                                 SLEW_MAX_USEC / 1000000);
                return;
        }
        o = order_new(call, context);
        if (!o)
                return;
        context->clock_order = o;
        o->subject = mode;
        o->number = offset;
        o->flag = !rtc || json_object_get_boolean(rtc);
        /* Relative: however long the way to timedated is, the clock will be right. */
        if (mode == step && o->flag)
                order_ask(o, &set_time, time_on_answer, "xbb", offset, 1, 0);
        else
                time_do_it(o);
}

static void timezone_on_answer(Order *o, const BusAnswer *answer)
{
        Members m;

        if (answer->error < 0) {
                order_fail(o, &set_timezone, answer);
                return;
        }
        members_init(&m);
        members_add_text(&m, "timezone", o->text);
        order_reply(o, members_take(&m));
}

static void timezone_set(Call *call, json_object *params, void *userdata)
{
        const char *zone = json_object_get_string(json_object_object_get(params, "timezone"));
        Order *o;

        if (!zone[0]) {
                call_fail_params(call, "Parameter \"timezone\" must be a name, as Europe/Berlin");
                return;
        }
        o = order_new(call, userdata);
        if (!o)
                return;
        o->text = strdup(zone);
        if (!o->text)
                order_reply(o, NULL);
        else
                order_ask(o, &set_timezone, timezone_on_answer, "sb", o->text, 0);
}

static const Field time_params[] = {
        { "time_us", FIELD_INTEGER, 0, "What time it is: microseconds since 1970, UTC", NULL },
        { "mode", FIELD_STRING, FIELD_OPTIONAL,
          "step (unless given): at once; slew: by letting the clock run faster or slower for a "
          "while",
          NULL },
        { "step", FIELD_BOOLEAN, FIELD_OPTIONAL, "The same as mode step", NULL },
        { "slew", FIELD_BOOLEAN, FIELD_OPTIONAL, "The same as mode slew", NULL },
        { "rtc", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Whether the hardware clock is set, too; it is unless this is false", NULL },
        {},
};

static const Field time_result[] = {
        { "mode", FIELD_STRING, 0, "step or slew", NULL },
        { "offset_us", FIELD_INTEGER, 0, "How far the clock was behind; negative: ahead", NULL },
        { "rtc", FIELD_BOOLEAN, 0, "Whether the hardware clock was set", NULL },
        { "time_us", FIELD_INTEGER, 0, "The guest's clock now", NULL },
        {},
};

static const Field timezone_fields[] = {
        { "timezone", FIELD_STRING, 0, "As Europe/Berlin", NULL },
        {},
};

#define REASONS                                                                \
        (1U << REASON_CANCELLED | 1U << REASON_FAILED | 1U << REASON_TIMEOUT | \
         1U << REASON_UNAVAILABLE | 1U << REASON_UNSUPPORTED)

const Method clock_methods[] = {
        { .name = "system.set_time",
          .run = time_set,
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Sets the guest's clock, at once or slowly, and its hardware clock",
          .params = time_params,
          .result = time_result,
          .reasons = REASONS },
        { .name = "system.set_timezone",
          .run = timezone_set,
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Sets the guest's time zone",
          .params = timezone_fields,
          .result = timezone_fields,
          .reasons = REASONS },
        {},
};
