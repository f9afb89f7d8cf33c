/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "rpc/error.h"

/* The agent's counters, since its start. One struct for all ports; plain additions, no lock:
 * there is one thread. */
typedef struct Stats Stats;

struct Stats {
        uint64_t connections_accepted; /* let in: none of those turned away */
        uint64_t connections_current;
        uint64_t connections_refused; /* by `peers`, or with an address that made no sense */
        uint64_t connections_full;    /* turned away at a limit */
        uint64_t connections_evicted; /* closed to make room */
        uint64_t calls_total;
        uint64_t calls_running;
        uint64_t bytes_received;
        uint64_t bytes_sent;
        uint64_t errors_protocol[RPC_CODE_MAX]; /* -32700 .. -32603 */
        uint64_t errors_reason[REASON_MAX];
};
