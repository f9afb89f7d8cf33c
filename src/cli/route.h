/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/address.h"

/* One LOCAL:REMOTE of `guestwire forward`: where it listens and what is behind it. */
typedef struct Route Route;

struct Route {
        Address local;
        Address remote;
        char *local_text;
        char *remote_text;
        uint64_t connections; /* taken so far */
        uint64_t current;
        uint64_t failed;   /* that did not reach the remote side */
        uint64_t to_guest; /* bytes */
        uint64_t from_guest;
};

/*
 * LOCAL:REMOTE, as PORT:REMOTE (on 127.0.0.1), ADDRESS:PORT:REMOTE, [V6]:PORT:REMOTE or
 * PATH:REMOTE, and the TARGET whose port REMOTE is to be. An ExitCode: but for EXIT_OK, the
 * reason has been printed.
 */
int route_parse(const char *text, const char *target, Route *ret);
void route_done(Route *r);
