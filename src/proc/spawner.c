/* SPDX-License-Identifier: MIT */

/*
 * The trees of the programs, and their ends.
 *
 * The daemon is the subreaper of its programs, and each program is made the subreaper of its own
 * descendants (the setting outlives the exec). So, as long as a program runs, all of its tree
 * descends from it, also who has called setsid(), forked twice or wiped its environment; and when
 * it has ended, what is left of the tree comes to us. Hence a rule without exception or guess: a
 * child of ours that is not a running program is what an ended one has left, and is to end. A mark
 * in the environment would need a /proc that lets us read it, and is lost with the first
 * clearenv(). The price: a program whose descendants are orphaned while it runs gets their SIGCHLD,
 * as PID 1 of a container does.
 *
 * Nothing tells us of forks, so that a tree that is ending is looked at again and again: TERM once
 * to each process, after kill-timeout KILL, until none is left.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "proc/bus.h"
#include "proc/spawn-internal.h"
#include "proc/unit.h"

/* Between looks: while there is grace, when there is none, and when that has not helped. */
#define SWEEP_USEC UINT64_C(50000)
#define SWEEP_KILL_USEC UINT64_C(10000)
#define SWEEP_HOPELESS_USEC UINT64_C(1000000)
/* KILL has not helped for so long: it waits for a disk, or is not ours to kill. */
#define HOPELESS_USEC UINT64_C(5000000)
/* For what is no program's of which we know. */
#define REST_USEC UINT64_C(5000000)
/* Processes in one look; more of them are for the next. */
#define SWEEP_MAX ((size_t)4096)
/* What is left at the end of the daemon gets so long to die of SIGKILL. */
#define LAST_USEC UINT64_C(2000000)

typedef struct Sweep Sweep;

/* One look at all trees that are ending. */
struct Sweep {
        const Spawner *spawner;
        uint64_t now;
        uint64_t rest_kill_at; /* of what is new and no program's */
        Tree tree;
        PidList pids; /* children of the one that is looked at */
        Process *found;
        size_t n_found;
        bool again; /* there was more than one look can see */
};

static int process_compare(const void *a, const void *b)
{
        const Process *x = a, *y = b;

        return (x->pid > y->pid) - (x->pid < y->pid);
}

static const Process *spawner_find_ending(const Spawner *s, pid_t pid, uint64_t started)
{
        const Process key = { .pid = pid }, *p;

        if (s->n_ending == 0)
                return NULL;
        p = bsearch(&key, s->ending, s->n_ending, sizeof(key), process_compare);
        return p && p->started == started ? p : NULL;
}

static Spawn *spawner_find_running(const Spawner *s, pid_t pid)
{
        list_foreach (i, &s->running) {
                Spawn *p = CONTAINER_OF(i, Spawn, link);

                if (p->pid == pid)
                        return p;
        }
        return NULL;
}

static bool spawner_is_stranger(const Spawner *s, pid_t pid)
{
        for (size_t i = 0; i < s->strangers.n; i++)
                if (s->strangers.list[i] == pid)
                        return true;
        return false;
}

static void send_signals(const TreeProcess *t, bool ours, int pidfd, int number)
{
        /* Who is ours is not reaped but by us, and his number is his until then. */
        if (ours || pidfd < 0)
                (void)kill(t->pid, number);
        else
                (void)pidfd_send_signal(pidfd, number, NULL, 0);
}

static void end_process(const Sweep *w, const TreeProcess *t, int pidfd, bool first, bool now)
{
        bool ours = t->parent == getpid();

        if (now) {
                /* A whole group at once, so that none of it can fork on: fork(2) looks for signals
                 * under the same lock. Never one of the session that we are in ourselves. */
                if (ours && t->group > 1 && t->session != w->spawner->session)
                        (void)kill(-t->group, SIGKILL);
                send_signals(t, ours, pidfd, SIGKILL);
        } else if (first) {
                send_signals(t, ours, pidfd, SIGTERM);
                /* Who is stopped would not get it. */
                send_signals(t, ours, pidfd, SIGCONT);
        }
}

/*
 * One process that is to end. The pid was listed as a child of `parent`: if it is that no longer,
 * it is ours by now and found at the next look, or it is a stranger with a number used again.
 */
static void sweep_process(Sweep *w, pid_t pid, pid_t parent, uint64_t kill_at)
{
        _cleanup_close_ int pidfd = -EBADF;
        const Process *known;
        TreeProcess t;
        int r = 0;

        if (parent != getpid() && w->spawner->has_pidfds) {
                pidfd = pidfd_open(pid, 0);
                r = pidfd < 0 ? -errno : 0;
        }
        if (r >= 0)
                r = tree_read(pid, &t);
        if (r < 0 && parent == getpid())
                t = (TreeProcess){ .pid = pid, .parent = parent };
        else if (r < 0 || t.parent != parent) {
                w->again = true;
                return;
        }
        known = spawner_find_ending(w->spawner, pid, t.started);
        if (known)
                kill_at = MIN_OF(known->kill_at, kill_at);
        w->found[w->n_found++] = (Process){
                .pid = pid,
                .started = t.started,
                .kill_at = kill_at,
        };
        end_process(w, &t, pidfd, !known, w->now >= kill_at);
}

/* All that descends from one child of ours, breadth first, itself included. */
static void sweep_tree(Sweep *w, pid_t root, uint64_t kill_at)
{
        size_t begin = w->n_found;

        if (w->n_found < SWEEP_MAX)
                sweep_process(w, root, getpid(), kill_at);
        for (size_t i = begin; i < w->n_found; i++) {
                const Process parent = w->found[i];

                w->pids.n = 0;
                if (tree_children(&w->tree, parent.pid, SWEEP_MAX - w->n_found, &w->pids) < 0)
                        w->again = true;
                for (size_t j = 0; j < w->pids.n; j++)
                        sweep_process(w, w->pids.list[j], parent.pid, parent.kill_at);
        }
        w->again = w->again || w->n_found == SWEEP_MAX;
}

/* When what is found for the first time, and is no running program's, is to be killed. */
static uint64_t rest_kill_at(const Spawner *s, uint64_t now)
{
        if (s->rest_kill_at > 0)
                return s->rest_kill_at;
        /* It was forked since the last look by one that we knew, and that has ended since. */
        return s->earliest_kill_at > 0 ? s->earliest_kill_at : now + REST_USEC;
}

static int sweep_children(Sweep *w)
{
        _cleanup_pid_list_ PidList children = PID_LIST_NULL;
        const Spawner *s = w->spawner;
        int r;

        r = tree_children(&w->tree, getpid(), SIZE_MAX, &children);
        if (r < 0)
                return r;
        for (size_t i = 0; i < children.n; i++) {
                pid_t pid = children.list[i];
                const Spawn *p = spawner_find_running(s, pid);
                siginfo_t info = { 0 };

                if (p && p->kill_at > 0)
                        sweep_tree(w, pid, p->kill_at);
                if (p || spawner_is_stranger(s, pid))
                        continue;
                if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
                        sweep_tree(w, pid, w->rest_kill_at);
                else
                        w->again = true; /* what it left is ours since, and not in the list */
        }
        return 0;
}

/* Without /proc: what we know of ourselves. */
static void sweep_blindly(const Sweep *w)
{
        list_foreach (i, &w->spawner->running) {
                const Spawn *p = CONTAINER_OF(i, Spawn, link);

                if (p->kill_at > 0)
                        (void)kill(-p->pid, w->now >= p->kill_at ? SIGKILL : SIGTERM);
        }
}

/* Whatever a program forks meanwhile. */
static void kill_groups(const Spawner *s, uint64_t now)
{
        list_foreach (i, &s->running) {
                const Spawn *p = CONTAINER_OF(i, Spawn, link);

                if (p->cgroup && p->kill_at > 0 && now >= p->kill_at)
                        cgroup_kill(p->cgroup);
        }
}

/* When the first of what there is is to be killed; 0: there is nothing. */
static uint64_t sweep_earliest(const Sweep *w)
{
        uint64_t earliest = UINT64_MAX;

        for (size_t i = 0; i < w->n_found; i++)
                earliest = MIN_OF(earliest, w->found[i].kill_at);
        if (w->n_found > 0)
                return earliest;
        /* Who forks and ends may have been missed by a hair: its time goes on. */
        return w->again ? w->rest_kill_at : 0;
}

static void spawner_arm(Spawner *s, uint64_t now)
{
        uint64_t wait;
        int r;

        if (s->earliest_kill_at == 0)
                return;
        if (now < s->earliest_kill_at)
                wait = MIN_OF(SWEEP_USEC, s->earliest_kill_at - now);
        else if (now - s->earliest_kill_at < HOPELESS_USEC)
                wait = SWEEP_KILL_USEC;
        else
                wait = SWEEP_HOPELESS_USEC;
        r = sd_event_source_set_time(s->timer, now + wait);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        if (r < 0 && r != -ESTALE) /* the loop has ended: kill_all() needs none */
                log_error("cannot look again for processes that are to end: %s", strerror(-r));
}

static void spawner_sweep(Spawner *s)
{
        uint64_t now = spawn_now();
        Sweep w = { .spawner = s, .now = now, .rest_kill_at = rest_kill_at(s, now) };
        int r = -ENOMEM;

        kill_groups(s, now);
        w.found = malloc(SWEEP_MAX * sizeof(*w.found));
        if (w.found)
                r = sweep_children(&w);
        if (r < 0) {
                log_debug("cannot look for processes that are to end: %s", strerror(-r));
                sweep_blindly(&w);
                w.again = true;
        }
        tree_done(&w.tree);
        pid_list_done(&w.pids);

        s->rest_kill_at = 0;
        s->earliest_kill_at = sweep_earliest(&w);
        if (s->cgroups) {
                uint64_t first = cgroups_sweep(s->cgroups, now);

                if (s->earliest_kill_at == 0 && first < UINT64_MAX)
                        s->earliest_kill_at = MAX_OF(first, UINT64_C(1));
                else
                        s->earliest_kill_at = MIN_OF(s->earliest_kill_at, first);
        }
        spawner_arm(s, now);
        if (w.n_found > 1)
                qsort(w.found, w.n_found, sizeof(*w.found), process_compare);
        if (w.n_found == 0) {
                free(w.found);
                w.found = NULL;
        }
        free(s->ending);
        s->ending = w.found;
        s->n_ending = w.n_found;
}

static int spawner_on_soon(sd_event_source *source, void *userdata)
{
        spawner_sweep(userdata);
        return 0;
}

static int spawner_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        spawner_sweep(userdata);
        return 0;
}

void spawner_sweep_soon(Spawner *s)
{
        int r = sd_event_source_set_enabled(s->soon, SD_EVENT_ONESHOT);

        if (r < 0 && r != -ESTALE) /* as above */
                log_error("cannot end a program's processes: %s", strerror(-r));
}

void spawner_look_for_rest(Spawner *s, uint64_t kill_at)
{
        siginfo_t info = { 0 };

        /* The common case costs no more than this: there is no child at all. */
        if ((!s->cgroups || cgroups_count(s->cgroups) == 0) && s->n_running == 0 &&
            waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
                return;
        s->rest_kill_at = MAX_OF(s->rest_kill_at, kill_at);
        spawner_sweep_soon(s);
}

size_t spawner_count(const Spawner *s)
{
        size_t n = s->n_running;

        n += s->cgroups ? cgroups_count(s->cgroups) : 0;
        n += s->units ? units_count(s->units) : 0;

        /* Something is to be looked for, and may be there. */
        if (s->n_ending == 0 && (s->rest_kill_at > 0 || s->earliest_kill_at > 0))
                n++;
        for (size_t i = 0; i < s->n_ending; i++)
                n += !spawner_find_running(s, s->ending[i].pid);
        return n;
}

static void note_ignored(Spawner *s)
{
        struct sigaction now;

        for (int i = 1; i < _NSIG; i++)
                if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
                        s->ignored[s->n_ignored++] = i;
}

/* Without them a program's end is told by SIGCHLD, which then must be blocked. */
static int look_for_pidfds(Spawner *s)
{
        _cleanup_close_ int pidfd = pidfd_open(getpid(), 0);
        sigset_t set;

        s->has_pidfds = s->has_clone = pidfd >= 0;
        if (s->has_pidfds)
                return 0;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* It goes without them as well. */
static int spawner_find_cgroups(Spawner *s)
{
        int r = cgroups_new(&s->cgroups);

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_debug("programs go without control groups: %s", strerror(-r));
        return 0;
}

ProgramScope spawner_scope(const Spawner *s, ProgramScope asked)
{
        if (asked == SCOPE_AUTO)
                return s->units ? SCOPE_UNIT : SCOPE_AGENT;
        return asked;
}

int spawner_new(sd_event *event, Spawner **ret)
{
        _cleanup_(spawner_freep) Spawner *s = NULL;
        _cleanup_tree_ Tree tree = TREE_NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        list_init(&s->running);
        list_init(&s->in_units);
        s->session = getsid(0);
        note_ignored(s);
        r = look_for_pidfds(s);
        if (r < 0)
                return r;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return -errno;
        r = tree_children(&tree, getpid(), SIZE_MAX, &s->strangers);
        if (r < 0)
                return r;
        r = spawner_find_cgroups(s);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &s->soon, spawner_on_soon, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->soon, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000,
                                      spawner_on_timer, s);
        if (r < 0)
                return r;
        if (s->cgroups && cgroups_count(s->cgroups) > 0)
                spawner_sweep_soon(s);
        if (bus_is_possible()) {
                r = bus_new(event, &s->bus);
                if (r < 0)
                        return r;
        }
        if (s->bus && units_are_possible()) {
                r = units_new(event, s->bus, &s->units);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

Bus *spawner_bus(const Spawner *s)
{
        return s->bus;
}

/* Reaps the programs that have ended; nobody hears of it any more. */
static void reap_running(Spawner *s)
{
        list_foreach_safe (i, &s->running) {
                Spawn *p = CONTAINER_OF(i, Spawn, link);
                siginfo_t info = { 0 };

                if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
                        continue;
                list_remove(&p->link);
                s->n_running--;
                p->spawner = NULL;
                p->source = sd_event_source_disable_unref(p->source);
                p->pidfd = fd_close(p->pidfd);
                p->job = spawn_job_free(p->job, s);
                if (p->cgroup)
                        (void)cgroup_end(TAKE_PTR(p->cgroup), 0);
                if (!p->ended)
                        (void)spawn_destroy(p);
        }
}

/* The daemon ends, and so may wait: for what SIGKILL takes, no longer. */
static void kill_all(Spawner *s)
{
        const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };
        uint64_t until = spawn_now() + LAST_USEC;

        list_foreach (i, &s->running)
                CONTAINER_OF(i, Spawn, link)->kill_at = 1;
        spawner_look_for_rest(s, 1);
        while (spawner_count(s) > 0 && spawn_now() < until) {
                for (size_t i = 0; i < s->n_ending; i++)
                        s->ending[i].kill_at = 1;
                s->rest_kill_at = 1;
                reap_running(s);
                spawner_sweep(s);
                if (s->cgroups)
                        (void)cgroups_sweep(s->cgroups, UINT64_MAX);
                if (spawner_count(s) > 0)
                        (void)nanosleep(&pause, NULL);
        }
        if (spawner_count(s) > 0)
                log_warning("%zu processes of programs are left: they do not die",
                            spawner_count(s));
        list_foreach_safe (i, &s->running) {
                Spawn *p = CONTAINER_OF(i, Spawn, link);

                list_remove(&p->link);
                p->spawner = NULL;
                if (p->cgroup)
                        (void)cgroup_end(TAKE_PTR(p->cgroup), 0);
                if (!p->ended)
                        (void)spawn_destroy(p);
        }
}

Spawner *spawner_free(Spawner *s)
{
        if (!s)
                return NULL;
        spawn_abandon_units(s);
        s->units = units_free(s->units);
        s->bus = bus_free(s->bus);
        if (s->timer)
                kill_all(s);
        sd_event_source_disable_unref(s->soon);
        sd_event_source_disable_unref(s->timer);
        pid_list_done(&s->strangers);
        (void)cgroups_free(s->cgroups);
        (void)spawn_area_free(s->spare_area);
        free(s->ending);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
