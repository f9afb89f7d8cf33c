/* SPDX-License-Identifier: MIT */
#pragma once

#include "daemon/agent.h"

/*
 * `exit-on-idle`: the agent ends where nobody has needed it for so long and whoever needs it again
 * starts it by calling, since a socket unit holds every one of its sockets.
 */

/* The configuration or the listeners may be others: whether it may be now, and if not, why not. The
 * time goes on where nothing has changed. */
void idle_configure(Agent *a);

/* Somebody has come or gone, or the last program or job has ended: the time begins anew. */
void idle_changed(Agent *a);
