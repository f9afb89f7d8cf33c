/* SPDX-License-Identifier: MIT */

/* system.shutdown: the guest's end, or its sleep, by logind, which knows who must be asked first.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "methods/members.h"
#include "methods/order.h"

#define MANAGER "org.freedesktop.login1.Manager"
#define LOGIND(m)                                                                       \
        {                                                                               \
                .service = "org.freedesktop.login1", .path = "/org/freedesktop/login1", \
                .interface = MANAGER, .member = (m)                                     \
        }

typedef struct PowerMode PowerMode;

struct PowerMode {
        const char *name;
        bool ends; /* the guest: who is logged in may be told */
        BusMethod can;
        BusMethod enter;
};

static const PowerMode modes[] = {
        { "poweroff", true, LOGIND("CanPowerOff"), LOGIND("PowerOff") },
        { "reboot", true, LOGIND("CanReboot"), LOGIND("Reboot") },
        { "halt", true, LOGIND("CanHalt"), LOGIND("Halt") },
        { "suspend", false, LOGIND("CanSuspend"), LOGIND("Suspend") },
        { "hibernate", false, LOGIND("CanHibernate"), LOGIND("Hibernate") },
};

static const BusMethod set_wall_message = LOGIND("SetWallMessage");
static const BusMethod list_inhibitors = LOGIND("ListInhibitors");
static const BusMethod get_property = {
        .service = "org.freedesktop.login1",
        .path = "/org/freedesktop/login1",
        .interface = "org.freedesktop.DBus.Properties",
        .member = "Get",
};

/* The caller was told that the guest goes: what becomes of it is for the journal. */
static void power_on_entered(const BusAnswer *answer, void *userdata)
{
        const PowerMode *mode = userdata;

        if (answer->error < 0 && answer->error != -ECANCELED)
                log_error("logind has answered %s() with an error: %s", mode->enter.member,
                          answer->problem);
}

/*
 * First the reply, then the order: the guest may be gone before anything else is written. logind
 * has said that it can.
 */
static void power_enter(Order *o)
{
        const PowerMode *mode = o->subject;
        BusCall *call;
        Members m;
        int r;

        r = bus_call_later(spawner_bus(o->context->spawner), &mode->enter, order_usec,
                           power_on_entered, (void *)mode, &call, "b", 0);
        if (r < 0) {
                call_fail(TAKE_PTR(o->call), REASON_UNAVAILABLE, -r,
                          "The system bus cannot be used: %s", strerror(-r));
                (void)order_free(o);
                return;
        }
        log_notice("the guest %s, as %s asks", mode->ends ? "goes down" : "goes to sleep",
                   call_peer(o->call)->text);
        members_init(&m);
        members_add_text(&m, "mode", mode->name);
        order_reply(o, members_take(&m));
}

static void power_on_message(Order *o, const BusAnswer *answer)
{
        if (answer->error < 0)
                order_fail(o, &set_wall_message, answer);
        else
                power_enter(o);
}

static void power_tell(Order *o)
{
        const PowerMode *mode = o->subject;

        if (o->text && mode->ends)
                order_ask(o, &set_wall_message, power_on_message, "sb", o->text, 1);
        else
                power_enter(o);
}

/* Whether a colon separates `word` from the rest of `list`. */
static bool list_has(const char *list, const char *word)
{
        size_t n = strlen(word);

        for (const char *s = list; (s = strstr(s, word)); s += n)
                if ((s == list || s[-1] == ':') && (s[n] == ':' || s[n] == '\0'))
                        return true;
        return false;
}

static void power_inhibited(Order *o, const char *who, const char *why, uint32_t pid)
{
        _cleanup_free_ char *shown_who = text_show(who, strlen(who), 64),
                            *shown_why = text_show(why, strlen(why), 200);

        call_fail(TAKE_PTR(o->call), REASON_FAILED, EBUSY,
                  "%s (pid %" PRIu32 ") inhibits that, and logind heeds it: %s", shown_who ?: "?",
                  pid, shown_why ?: "?");
        (void)order_free(o);
}

static void power_on_inhibitors(Order *o, const BusAnswer *answer)
{
        const PowerMode *mode = o->subject;
        const char *what, *who, *why, *kind;
        uint32_t uid, pid;
        int r;

        if (answer->error < 0) {
                order_fail(o, &list_inhibitors, answer);
                return;
        }
        r = sd_bus_message_enter_container(answer->message, 'a', "(ssssuu)");
        while (r > 0) {
                r = sd_bus_message_read(answer->message, "(ssssuu)", &what, &who, &why, &kind, &uid,
                                        &pid);
                if (r > 0 && strcmp(kind, "block") == 0 &&
                    list_has(what, mode->ends ? "shutdown" : "sleep")) {
                        power_inhibited(o, who, why, pid);
                        return;
                }
        }
        power_tell(o);
}

/*
 * Before systemd 257 root, which we are, was not held up by those who inhibit a shutdown; since
 * then it is, unless they do so weakly, and logind would refuse what it has just said it can. That
 * there is a weak way is how to know.
 */
static void power_on_weak(Order *o, const BusAnswer *answer)
{
        if (answer->error >= 0)
                order_ask(o, &list_inhibitors, power_on_inhibitors, NULL);
        else if (answer->error == -ECONNRESET || !answer->name)
                order_fail(o, &get_property, answer);
        else
                power_tell(o);
}

/* "na": this machine cannot. "no", "challenge": we must not. All else ("yes", and that somebody
 * delays it) is for logind to deal with. */
static void power_on_can(Order *o, const BusAnswer *answer)
{
        const PowerMode *mode = o->subject;
        const char *can = NULL;

        if (answer->error < 0 || sd_bus_message_read(answer->message, "s", &can) < 0) {
                order_fail(o, &mode->can,
                           answer->error < 0
                                   ? answer
                                   : &(BusAnswer){ .error = -EBADMSG, .problem = "no word" });
                return;
        }
        if (strcmp(can, "na") == 0) {
                call_fail(TAKE_PTR(o->call), REASON_UNSUPPORTED, 0,
                          "logind says that this guest cannot %s", mode->name);
                (void)order_free(o);
        } else if (strcmp(can, "no") == 0 || strcmp(can, "challenge") == 0) {
                call_fail(TAKE_PTR(o->call), REASON_FAILED, EACCES,
                          "logind does not let the agent %s the guest", mode->name);
                (void)order_free(o);
        } else
                order_ask(o, &get_property, power_on_weak, "ss", MANAGER, "BlockWeakInhibited");
}

static const PowerMode *power_find(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (strcmp(modes[i].name, name) == 0)
                        return &modes[i];
        return NULL;
}

static void power_shutdown(Call *call, json_object *params, void *userdata)
{
        json_object *message = json_object_object_get(params, "message");
        const PowerMode *mode;
        Order *o;

        mode = power_find(json_object_get_string(json_object_object_get(params, "mode")));
        if (!mode) {
                call_fail_params(call, "Parameter \"mode\" must be poweroff, reboot, halt, suspend "
                                       "or hibernate");
                return;
        }
        o = order_new(call, userdata);
        if (!o)
                return;
        o->subject = mode;
        if (message) {
                o->text = strdup(json_object_get_string(message));
                if (!o->text) {
                        order_reply(o, NULL);
                        return;
                }
        }
        order_ask(o, &mode->can, power_on_can, NULL);
}

static const Field shutdown_params[] = {
        { "mode", FIELD_STRING, 0, "poweroff, reboot, halt, suspend or hibernate", NULL },
        { "message", FIELD_STRING, FIELD_OPTIONAL,
          "What those who are logged in are told, unless the guest only sleeps", NULL },
        {},
};

static const Field shutdown_result[] = {
        { "mode", FIELD_STRING, 0, "What the guest goes into, right after this reply", NULL },
        {},
};

const Method power_methods[] = {
        { .name = "system.shutdown",
          .run = power_shutdown,
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Turns the guest off, reboots it or puts it to sleep",
          .params = shutdown_params,
          .result = shutdown_result,
          .reasons = 1U << REASON_CANCELLED | 1U << REASON_FAILED | 1U << REASON_TIMEOUT |
                     1U << REASON_UNAVAILABLE | 1U << REASON_UNSUPPORTED },
        {},
};
