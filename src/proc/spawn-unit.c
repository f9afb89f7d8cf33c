/* SPDX-License-Identifier: MIT */

/* A program that is a unit of systemd's, to those who start programs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "proc/spawn-internal.h"
#include "proc/unit.h"

DEFINE_CLEANUP(Spawn, spawn_destroy)

/* There is no child that could still be at its job. */
static void spawn_leave_unit(Spawn *p)
{
        p->unit = NULL;
        p->job = spawn_job_free(p->job, p->spawner);
        p->spawner = NULL;
        list_remove(&p->link);
}

static void spawn_on_unit_end(const SpawnEnd *end, void *userdata)
{
        Spawn *p = userdata;

        p->unit_name = strdup(unit_name(p->unit));
        spawn_leave_unit(p);
        p->ended(p, end, p->userdata);
}

int spawn_start_unit(Spawner *s, const SpawnSettings *settings, SpawnFunction ended, void *userdata,
                     Spawn **ret)
{
        _cleanup_(spawn_destroyp) Spawn *p = NULL;
        _cleanup_close_ int sign = -EBADF;
        int r;

        if (!s->units)
                return -EOPNOTSUPP;
        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        list_init(&p->link);
        p->pidfd = p->sign = -EBADF;
        p->ended = ended;
        p->userdata = userdata;
        r = spawn_job_new(s, settings, &p->job);
        if (r < 0)
                return r;
        r = spawn_open_sign(p, s->event, settings->started, &sign);
        p->job->sign = sign;
        if (r >= 0)
                r = unit_start(s->units, p->job, spawn_on_unit_end, p, &p->unit);
        if (r < 0) {
                p->job = spawn_job_free(p->job, s);
                return r;
        }
        p->spawner = s;
        list_append(&s->in_units, &p->link);
        *ret = TAKE_PTR(p);
        return 0;
}

void spawn_forget_unit(Spawn *p)
{
        unit_forget(p->unit);
        spawn_leave_unit(p);
}

void spawn_abandon_units(Spawner *s)
{
        list_foreach_safe (i, &s->in_units)
                spawn_forget_unit(CONTAINER_OF(i, Spawn, link));
}
