/* SPDX-License-Identifier: MIT */
#pragma once

#include "daemon/agent.h"

/*
 * What the service manager is told. The text names the ports, those that do not work with the
 * reason, the connections and the calls. None of these waits for a manager that does not read.
 */
void status_ready(Agent *a);
void status_reloading(Agent *a);
void status_stopping(Agent *a);
/* Something it names has changed: it is told within a second or so, however often it changes. */
void status_changed(Agent *a);

/* The text itself; NULL without memory. The caller frees. */
char *status_text(const Agent *a);
