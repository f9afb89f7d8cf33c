/* SPDX-License-Identifier: MIT */
#pragma once

#include <systemd/sd-bus.h>

#include "base/macros.h"

/*
 * Properties of transient units as people write them in unit files, NAME=VALUE, into what systemd
 * takes over D-Bus. Which there are, and of what type, is what the running systemd says of itself.
 */
typedef struct UnitTypes UnitTypes;

/* From the XML of org.freedesktop.DBus.Introspectable. 0 or -ENOMEM. */
int unit_types_new(const char *xml, UnitTypes **ret);
UnitTypes *unit_types_free(UnitTypes *t);
DEFINE_CLEANUP(UnitTypes, unit_types_free)

/* Appends one as "(sv)". 0; -EINVAL with *ret_problem a sentence (allocated); -errno. */
int unit_property_append(sd_bus_message *m, const UnitTypes *t, const char *assignment,
                         char **ret_problem);
