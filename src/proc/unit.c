/* SPDX-License-Identifier: MIT */

/* The life of one unit, from the order to start it until systemd is done with what it left. */
#include "proc/unit.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "proc/unit-internal.h"

/* A name is taken: by what an earlier guestwired has left, or by one beside us. */
#define NAME_TRIES 20U
#define NAME_EXISTS SYSTEMD_NAME ".UnitExists"
#define IDENTITY_MAX 100

Unit *unit_free(Unit *u)
{
        if (!u)
                return NULL;
        if (!list_is_empty(&u->link)) {
                list_remove(&u->link);
                u->units->n--;
        }
        sd_bus_slot_unref(u->match);
        sd_bus_slot_unref(u->call);
        sd_bus_slot_unref(u->query);
        sd_event_source_disable_unref(u->timer);
        (void)fd_close(u->socket);
        (void)launch_free(u->launch);
        free(u->name);
        free(u->path);
        free(u->identity);
        text_list_free(u->properties);
        free(u->problem);
        free(u);
        return NULL;
}
DEFINE_CLEANUP(Unit, unit_free)

/* It is inactive: we need it no more, and systemd may forget it. */
static void unit_let_go(Unit *u)
{
        if (u->state == UNIT_STARTED)
                units_tell(u->units, "UnrefUnit", "s", u->name);
        (void)unit_free(u);
}

static bool unit_is_over(const Unit *u)
{
        return u->state == UNIT_ENDED || (u->facts.inactive && u->facts.job == 0);
}

/* Once; the owner may start others, and end this one, within. */
static void unit_tell(Unit *u, const SpawnEnd *end)
{
        UnitFunction ended = u->ended;

        u->job = NULL;
        u->ended = NULL;
        u->socket = fd_close(u->socket);
        if (ended)
                ended(end, u->userdata);
        if (unit_is_over(u))
                unit_let_go(u);
}

static void describe_failure(const Unit *u, SpawnEnd *end, char **ret_problem)
{
        const UnitFacts *f = &u->facts;

        end->outcome = SPAWN_FAILED;
        end->error = EIO;
        if (f->code == CLD_EXITED)
                *ret_problem = text_format("systemd cannot set up %s: exit status %d, of which "
                                           "systemd.exec(5) tells",
                                           u->name, f->status);
        else if (f->result[0] && strcmp(f->result, "success") != 0)
                *ret_problem = text_format("systemd has not run %s: %s", u->name, f->result);
        else
                *ret_problem = text_format("what became of %s is not known to systemd", u->name);
}

static SpawnEnd unit_end(const Unit *u, char **ret_problem)
{
        const SpawnReport report = launch_report(u->launch);
        const UnitFacts *f = &u->facts;
        SpawnEnd end = {
                .duration = spawn_now() - u->started,
                .cpu = f->cpu,
                .memory_peak = f->memory_peak,
        };

        if (report.error > 0) {
                u->job->area->report = report;
                end.outcome = SPAWN_FAILED;
                end.error = report.error;
                *ret_problem = spawn_job_problem(u->job);
        } else if (f->code == CLD_EXITED && launch_has_begun(u->launch)) {
                end.outcome = SPAWN_EXITED;
                end.status = f->status;
        } else if (f->code == CLD_KILLED || f->code == CLD_DUMPED) {
                end.outcome = SPAWN_SIGNALED;
                end.status = f->status;
        } else if (u->stop_wanted) {
                end.outcome = SPAWN_SIGNALED;
                end.status = SIGTERM;
        } else
                describe_failure(u, &end, ret_problem);
        return end;
}

static void unit_tell_end(Unit *u)
{
        _cleanup_free_ char *problem = NULL;
        SpawnEnd end = unit_end(u, &problem);

        end.problem = end.outcome == SPAWN_FAILED && !problem ? "without memory" : problem;
        unit_tell(u, &end);
}

static void unit_tell_failure(Unit *u)
{
        _cleanup_free_ char *problem = TAKE_PTR(u->problem);
        const SpawnEnd end = {
                .outcome = SPAWN_FAILED,
                .error = u->error,
                .problem = problem ? problem : "without memory",
                .duration = spawn_now() - u->started,
                .cpu = UINT64_MAX,
                .memory_peak = UINT64_MAX,
        };

        unit_tell(u, &end);
}

/* In a turn of its own: the owner may not have it yet, or have others beside it. */
static void unit_tell_soon(Unit *u)
{
        u->state = UNIT_ENDED;
        (void)sd_event_source_set_time(u->timer, 0);
        (void)sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

/* It is not, and will not be. Takes over problem; NULL is for want of memory. */
static void unit_fail(Unit *u, int error, char *problem)
{
        u->error = error;
        u->problem = problem;
        unit_tell_soon(u);
}

static int unit_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Unit *u = userdata;

        if (u->state != UNIT_ENDED) {
                if (launch_has_begun(u->launch))
                        return 0;
                u->error = ETIMEDOUT;
                u->problem = text_format("systemd has not started %s within %u seconds", u->name,
                                         (unsigned)(UNIT_START_USEC / 1000000U));
                unit_stop(u);
        }
        if (!u->job)
                unit_let_go(u);
        else if (u->error > 0)
                unit_tell_failure(u);
        else
                unit_tell_end(u);
        return 0;
}

static void unit_look(Unit *u);

/* systemd itself says that there is none, and not a bus that systemd is not on just now. */
static bool says_gone(const sd_bus_error *e)
{
        return sd_bus_error_has_names(e, SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_UNKNOWN_METHOD,
                                      SD_BUS_ERROR_UNKNOWN_INTERFACE, SYSTEMD_NAME ".NoSuchUnit");
}

static int unit_on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Unit *u = userdata;

        u->query = sd_bus_slot_unref(u->query);
        if (!e && unit_facts_read(&u->facts, m) < 0)
                log_warning("systemd tells of %s what cannot be read", u->name);
        if (e && says_gone(e))
                u->state = UNIT_ENDED;
        else if (e && u->facts.code == 0) {
                units_resume_later(u->units);
                return 0;
        } else if (u->facts.code == 0 && !unit_is_over(u))
                return 0;
        if (u->job)
                unit_tell_end(u);
        else if (unit_is_over(u))
                unit_let_go(u);
        return 0;
}

/* What its end was, and what it has used, which no signal tells. */
static void unit_ask(Unit *u)
{
        int r;

        if (u->query || !u->units->bus)
                return;
        r = sd_bus_call_method_async(u->units->bus, &u->query, SYSTEMD_NAME, u->path,
                                     "org.freedesktop.DBus.Properties", "GetAll",
                                     unit_on_properties, u, "s", "");
        if (r < 0)
                log_warning("cannot ask systemd for the end of %s: %s", u->name, strerror(-r));
}

static void unit_look(Unit *u)
{
        if (u->job && (u->facts.code != 0 || unit_is_over(u)))
                unit_ask(u);
        else if (!u->job && unit_is_over(u))
                unit_let_go(u);
}

static int unit_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *interface;
        Unit *u = userdata;

        if (sd_bus_message_read(m, "s", &interface) < 0 || unit_facts_read(&u->facts, m) < 0)
                return 0;
        if (u->state == UNIT_STARTED)
                unit_look(u);
        return 0;
}

/* Its owner has given it up, or the connection is gone: then there is no answer. */
static void unit_refused(Unit *u, sd_bus_message *m, const sd_bus_error *e)
{
        if (sd_bus_is_open(u->units->bus) <= 0) {
                /* Once or twice is chance. A bus that may not carry the launcher's socket closes
                 * the connection over which it comes, each time. */
                if (++u->n_losses >= UNIT_LOSSES)
                        unit_fail(u, ECONNRESET,
                                  text_format("the system bus closes the connection when it is "
                                              "asked for %s: look whether SELinux or AppArmor "
                                              "forbids it to carry our descriptors",
                                              u->name));
                return;
        }
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY)) {
                /* It may yet do what it was asked for. */
                units_tell(u->units, "StopUnit", "ss", u->name, "replace");
                unit_fail(u, ETIMEDOUT,
                          text_format("systemd does not answer: %s is not started", u->name));
                return;
        }
        unit_fail(u, sd_bus_message_get_errno(m),
                  text_format("systemd does not start %s: %s", u->name,
                              e->message ? e->message : e->name));
}

static void unit_begin(Unit *u);
static int unit_name_anew(Unit *u);

static int unit_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Unit *u = userdata;

        u->call = sd_bus_slot_unref(u->call);
        if (e && sd_bus_error_has_name(e, NAME_EXISTS) && u->job && !u->stop_wanted &&
            u->n_names < NAME_TRIES && unit_name_anew(u) >= 0) {
                unit_begin(u);
                return 0;
        }
        if (e) {
                unit_refused(u, m, e);
                return 0;
        }
        u->state = UNIT_STARTED;
        u->socket = fd_close(u->socket);
        unit_look(u);
        return 0;
}

static int unit_watch(Unit *u)
{
        if (u->match)
                return 0;
        return sd_bus_match_signal_async(u->units->bus, &u->match, SYSTEMD_NAME, u->path,
                                         "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                         unit_on_changed, NULL, u);
}

/* Asks systemd for it. Its job is there. */
static void unit_begin(Unit *u)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char *problem = NULL;
        int r;

        if (u->stop_wanted) {
                unit_tell_soon(u);
                return;
        }
        u->state = UNIT_STARTING;
        r = unit_watch(u);
        if (r >= 0)
                r = sd_bus_message_new_method_call(u->units->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH,
                                                   SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = unit_describe(u, m, &problem);
        if (r >= 0)
                r = sd_bus_call_async(u->units->bus, &u->call, m, unit_on_started, u,
                                      UNIT_CALL_USEC);
        if (r >= 0)
                return;
        if (sd_bus_is_open(u->units->bus) <= 0) {
                /* The connection is gone, as is seen only now. */
                u->state = UNIT_WAITING;
                units_resume_later(u->units);
                return;
        }
        unit_fail(u, -r,
                  problem ? problem
                          : text_format("cannot ask systemd for a unit: %s", strerror(-r)));
}

void units_have_types(Units *s, const char *problem)
{
        list_foreach_safe (i, &s->list) {
                Unit *u = CONTAINER_OF(i, Unit, link);

                if (u->state != UNIT_WAITING)
                        continue;
                if (!problem) {
                        unit_begin(u);
                        continue;
                }
                /* It is asked again when the connection is. */
                if (sd_bus_is_open(s->bus) <= 0)
                        continue;
                unit_fail(u, EIO,
                          text_format("systemd does not tell which properties it has: %s",
                                      problem));
        }
}

void units_have_no_bus(Units *s, int error)
{
        list_foreach (i, &s->list) {
                Unit *u = CONTAINER_OF(i, Unit, link);

                if (u->state == UNIT_WAITING)
                        unit_fail(u, error,
                                  text_format("cannot reach systemd over the system bus: %s",
                                              strerror(error)));
        }
}

/* They may have to wait, and are lent for the moment. */
static int unit_add_properties(Unit *u, char *const *list)
{
        int r = 0;

        for (; list && *list && r >= 0; list++) {
                char *copy = strdup(*list);

                r = copy ? text_list_take(&u->properties, copy) : -ENOMEM;
        }
        return r;
}

/* There is a connection. */
static void unit_begin_or_wait(Unit *u)
{
        int r;

        if (u->units->types || !u->properties) {
                unit_begin(u);
                return;
        }
        r = units_get_types(u->units);
        if (r >= 0)
                return;
        unit_fail(u, -r, text_format("cannot ask systemd for its properties: %s", strerror(-r)));
}

void unit_resume(Unit *u)
{
        if (u->state == UNIT_ENDED)
                return;
        if (u->job && !launch_has_begun(u->launch) && u->state != UNIT_STARTED) {
                u->state = UNIT_WAITING;
                if (!u->call)
                        unit_begin_or_wait(u);
                return;
        }
        u->state = UNIT_STARTED;
        units_tell(u->units, "RefUnit", "s", u->name);
        if (unit_watch(u) >= 0)
                unit_ask(u);
        if (u->stop_wanted)
                units_tell(u->units, "StopUnit", "ss", u->name, "replace");
}

/* What is sound in a unit's name and to whoever looks. */
static char *make_identity(const char *identity)
{
        char *text = strndup(identity ? identity : "program", IDENTITY_MAX);

        for (char *p = text; p && *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                        *p = '_';
        return text;
}

/* Numbers grow, and leap where they are taken. */
static int unit_name_anew(Unit *u)
{
        _cleanup_free_ char *name = NULL, *path = NULL;
        Units *s = u->units;
        int r;

        s->n_made += u->n_names > 0 ? s->n_made : 0;
        name = text_format(UNIT_PREFIX "%s-%" PRIu64 ".service", u->identity, ++s->n_made);
        if (!name)
                return -ENOMEM;
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &path);
        if (r < 0)
                return r;
        u->n_names++;
        u->match = sd_bus_slot_unref(u->match);
        free(u->name);
        free(u->path);
        u->name = TAKE_PTR(name);
        u->path = TAKE_PTR(path);
        return 0;
}

int unit_start(Units *s, const SpawnJob *job, UnitFunction ended, void *userdata, Unit **ret)
{
        _cleanup_(unit_freep) Unit *u = NULL;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;
        list_init(&u->link);
        u->units = s;
        u->socket = -EBADF;
        u->job = job;
        u->ended = ended;
        u->userdata = userdata;
        u->facts = (UnitFacts){ .cpu = UINT64_MAX, .memory_peak = UINT64_MAX };
        u->started = spawn_now();
        u->identity = make_identity(job->settings.identity);
        r = u->identity ? unit_name_anew(u) : -ENOMEM;
        if (r >= 0)
                r = unit_add_properties(u, job->settings.common_properties);
        if (r >= 0)
                r = unit_add_properties(u, job->settings.properties);
        if (r >= 0)
                r = launch_new(job, &u->launch, &u->socket);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &u->timer, CLOCK_MONOTONIC,
                                               UNIT_START_USEC, 1000000, unit_on_timer, u);
        if (r < 0)
                return r;
        list_append(&s->list, &u->link);
        s->n++;
        r = units_connect(s);
        if (r >= 0)
                unit_begin_or_wait(u);
        else
                units_have_no_bus(s, -r);
        *ret = TAKE_PTR(u);
        return 0;
}

const char *unit_name(const Unit *u)
{
        return u->name;
}

bool unit_is_executed(const Unit *u)
{
        return launch_has_begun(u->launch) && launch_report(u->launch).error == 0 &&
               !u->stop_wanted;
}

pid_t unit_pid(const Unit *u)
{
        return launch_has_begun(u->launch) ? (pid_t)u->facts.pid : 0;
}

int unit_signal(Unit *u, int number)
{
        if (u->state != UNIT_STARTED || u->facts.code != 0 || unit_pid(u) == 0)
                return -ESRCH;
        if (!u->units->bus)
                return -ENOTCONN;
        units_tell(u->units, "KillUnit", "ssi", u->name, "main", number);
        return 0;
}

void unit_stop(Unit *u)
{
        if (u->stop_wanted)
                return;
        u->stop_wanted = true;
        /* One that waits is not begun. */
        if (u->state == UNIT_STARTING || u->state == UNIT_STARTED)
                units_tell(u->units, "StopUnit", "ss", u->name, "replace");
}

void unit_forget(Unit *u)
{
        UnitState state = u->state;

        u->job = NULL;
        u->ended = NULL;
        unit_stop(u);
        if (state == UNIT_WAITING || unit_is_over(u))
                unit_let_go(u);
}
