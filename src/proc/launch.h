/* SPDX-License-Identifier: MIT */
#pragma once

#include "proc/spawn-internal.h"

/*
 * A program of a unit is started by our own binary, which systemd runs with a socket as standard
 * input: by it come the program and its descriptors, in memory that the launcher and we share. So
 * nothing of argv or the environment passes systemd's rules of quoting, and what fails is told
 * exactly as for a child of our own.
 */
typedef struct Launch Launch;

#define LAUNCH_OPTION "--internal-launch"

/* *ret_socket is for the launcher; it holds all that it is to be told. 0 or -errno. */
int launch_new(const SpawnJob *job, Launch **ret, int *ret_socket);
Launch *launch_free(Launch *l);
DEFINE_CLEANUP(Launch, launch_free)
/* Whether the launcher has begun. */
bool launch_has_begun(const Launch *l);
/* Why it could not become the program; .error is 0 where it did, or has not tried. */
SpawnReport launch_report(const Launch *l);

/* The launcher: becomes the program, or returns an exit status. */
int launch_main(void);
