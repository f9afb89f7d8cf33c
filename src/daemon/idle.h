/* SPDX-License-Identifier: MIT */
#pragma once

#include "daemon/agent.h"

/*
 * `exit-on-idle`: the agent ends where nobody has needed it for so long and whoever needs it again
 * starts it by calling, since a socket unit holds every one of its sockets.
 */

/* The configuration or the listeners are others: whether it may be now, and if not, why not. */
void idle_configure(Agent *a);

/* Somebody has come or gone: the time begins anew. */
void idle_changed(Agent *a);
