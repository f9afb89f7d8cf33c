/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Setting the clock, which the daemon itself may not do: a process of our own binary does it,
 * outside of the sandbox, `guestwired --internal-clock step|slew MICROSECONDS yes|no`: how far, and
 * whether the hardware clock is set, too.
 */
#define CLOCK_OPTION "--internal-clock"
#define CLOCK_ARGUMENTS 3

/* Its exit status: 0, this one, or an errno. */
#define CLOCK_WITHOUT_RTC 200 /* the clock is set; the hardware clock is not there, or will not */
#define CLOCK_USAGE 201

/* The process: its arguments behind CLOCK_OPTION. Returns its exit status. */
int clock_main(char *const *arguments);
