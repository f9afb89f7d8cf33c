/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "proc/spawn-internal.h"

/*
 * Programs as transient units of systemd's, `guestwire-IDENTITY-N.service` in guestwire.slice: it
 * runs them outside of our own sandbox, under its own control groups and journal identity, and
 * tells us over the system bus what becomes of them. No call here waits for it.
 */
/* The program has ended, or could not be started; never called from within unit_start(). What is
 * left of the unit is ended by systemd. The Unit is not to be touched any more. */
typedef void (*UnitFunction)(const SpawnEnd *end, void *userdata);

/* Whether systemd is PID 1 here and we may ask it for units. */
bool units_are_possible(void);
/* The bus must outlive it. 0 or -errno. */
int units_new(sd_event *event, struct Bus *bus, Units **ret);
/* Kills what is left, and waits for that a moment. No function is called any more. */
Units *units_free(Units *s);
DEFINE_CLEANUP(Units, units_free)
/* How many are not gone yet. */
size_t units_count(const Units *s);

/* The job is borrowed until the end, or until unit_forget(). 0 or -errno; that systemd cannot be
 * reached or does not want to is told by `ended`. */
int unit_start(Units *s, const SpawnJob *job, UnitFunction ended, void *userdata, Unit **ret);
const char *unit_name(const Unit *u);
/* Once the job's sign has ended: whether that was by its program's exec, as can be told of one that
 * has not been stopped. */
bool unit_is_executed(const Unit *u);
/* 0 until it has started. */
pid_t unit_pid(const Unit *u);
/* To the program itself. 0; -ESRCH; -errno. */
int unit_signal(Unit *u, int number);
/* TERM to all of it, and after its kill-timeout KILL. */
void unit_stop(Unit *u);
/* `ended` is not called any more; it is stopped. */
void unit_forget(Unit *u);
