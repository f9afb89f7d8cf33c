/* SPDX-License-Identifier: MIT */
#include "daemon/idle.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "methods/exec.h"

/* A job that has finished is kept for whoever asks for its end. */
static bool idle_is_busy(const Agent *a)
{
        return a->stats.connections_current > 0 || a->stats.calls_running > 0 ||
               exec_count(a->context.exec) > 0 || exec_jobs(a->context.exec) > 0;
}

static int idle_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Agent *a = userdata;

        /* A call whose caller has left ends without a word. */
        if (idle_is_busy(a)) {
                idle_changed(a);
                return 0;
        }
        log_info("nobody has needed the agent for the time of exit-on-idle");
        agent_stop(a);
        return 0;
}

void idle_changed(Agent *a)
{
        int r;

        if (!a->idle_timer)
                return;
        r = sd_event_source_set_time_relative(a->idle_timer, a->config->agent.exit_on_idle);
        if (r >= 0)
                r = sd_event_source_set_enabled(a->idle_timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("exit-on-idle has no effect any more");
}

/* Why nobody would start the agent again; NULL: a caller of any of its ports would. */
static const char *idle_obstacle(const Agent *a)
{
        if (list_is_empty(&a->listeners))
                return "there is no port";
        list_foreach (i, &a->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->keeper != KEEPER_UNIT)
                        return l->settings->section;
        }
        return activation_unanswered(a->activation) > 0 ? "a passed socket that was refused" : NULL;
}

/* Said once, not at each reload or try. */
static void idle_say_obstacle(Agent *a, const char *obstacle)
{
        if (a->idle_obstacle && strcmp(a->idle_obstacle, obstacle) == 0)
                return;
        free(a->idle_obstacle);
        a->idle_obstacle = strdup(obstacle);
        log_notice("exit-on-idle has no effect: no socket unit starts the agent for callers of %s",
                   obstacle);
}

void idle_configure(Agent *a)
{
        uint64_t limit = a->stopping ? 0 : a->config->agent.exit_on_idle;
        const char *obstacle = limit > 0 ? idle_obstacle(a) : NULL;

        if (obstacle) {
                idle_say_obstacle(a, obstacle);
        } else {
                free(a->idle_obstacle);
                a->idle_obstacle = NULL;
        }
        if (limit == 0 || obstacle) {
                a->idle_timer = sd_event_source_disable_unref(a->idle_timer);
                return;
        }
        if (a->idle_timer && a->idle_limit == limit)
                return;
        a->idle_timer = sd_event_source_disable_unref(a->idle_timer);
        a->idle_limit = limit;
        if (sd_event_add_time_relative(a->event, &a->idle_timer, CLOCK_MONOTONIC, limit, 0,
                                       idle_on_timer, a) < 0)
                log_error("exit-on-idle has no effect: there is no timer for it");
}
