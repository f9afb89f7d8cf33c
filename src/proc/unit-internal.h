/* SPDX-License-Identifier: MIT */
#pragma once

#include <systemd/sd-bus.h>

#include "base/list.h"
#include "proc/launch.h"
#include "proc/unit-property.h"
#include "proc/unit.h"

/* What unit.c (the life of one), unit-message.c (what systemd is told of it and tells) and
 * unit-bus.c (the way to systemd) share. */
#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD_NAME ".Manager"
#define SYSTEMD_UNIT SYSTEMD_NAME ".Unit"
#define SYSTEMD_SERVICE SYSTEMD_NAME ".Service"
#define UNIT_PREFIX "guestwire-"
#define UNIT_SLICE "guestwire.slice"

/* systemd has so long to answer a call. */
#define UNIT_CALL_USEC UINT64_C(10000000)
/* So often the bus may be lost while it is asked to start a unit. */
#define UNIT_LOSSES 3U
/* From the order to start to the beginning of the launcher. */
#define UNIT_START_USEC UINT64_C(30000000)

typedef struct UnitFacts UnitFacts;

typedef enum UnitState {
        UNIT_WAITING,  /* for the types of properties */
        UNIT_STARTING, /* systemd has been asked */
        UNIT_STARTED,  /* it has said yes */
        UNIT_ENDED,    /* it is gone, or never was */
} UnitState;

/* What systemd says of a unit. */
struct UnitFacts {
        uint32_t pid;
        int32_t code; /* CLD_EXITED, …; 0: it runs, or never did */
        int32_t status;
        bool inactive;
        uint32_t job; /* that it is waiting for; 0: none */
        uint64_t cpu; /* microseconds; UINT64_MAX: not known */
        uint64_t memory_peak;
        char result[32]; /* "success", "exit-code", … */
};

struct Unit {
        ListLink link; /* in Units.list */
        Units *units;
        const SpawnJob *job; /* NULL once its end is told */
        UnitFunction ended;  /* NULL: nobody cares any more */
        void *userdata;
        UnitState state;
        char *name;
        char *path;
        char *identity;
        char **properties; /* NAME=VALUE; later ones win. NULL: none */
        unsigned n_names;  /* that it has had */
        unsigned n_losses; /* of the bus, while systemd was asked for it */
        uint64_t started;
        UnitFacts facts;
        Launch *launch;
        int socket;             /* for the launcher, until systemd has it */
        bool stop_wanted;       /* before it was there */
        sd_bus_slot *match;     /* of its properties */
        sd_bus_slot *call;      /* to start it */
        sd_bus_slot *query;     /* for its properties */
        sd_event_source *timer; /* how long it may take to start; or the turn that fails it */
        int error;              /* of a failure that is yet to be told */
        char *problem;
};

struct Units {
        sd_event *event;
        struct Bus *way;
        sd_bus *bus; /* by it; NULL: there is no connection */
        sd_bus_slot *lost_match;
        sd_bus_slot *owner_match;
        sd_bus_slot *sweep_call;
        sd_bus_slot *types_call;
        UnitTypes *types; /* NULL: not asked for yet */
        sd_event_source *retry;
        ListLink list;
        size_t n;
        uint64_t n_made;
        char *launcher; /* the path of our own binary */
        char *keeper;   /* the comm of a guestwired, as whose ours are marked */
        bool swept;     /* what an earlier one left */
};

/* Connects, if need be. 0 or -errno. */
int units_connect(Units *s);
/* Asks for the types of properties; units_have_types() is called when they are there, or not. */
int units_get_types(Units *s);
/* There is no connection: those that wait for one wait no more. */
void units_have_no_bus(Units *s, int error);
void units_have_types(Units *s, const char *problem);
/* Looks at the connection, and at all units, in a moment. */
void units_resume_later(Units *s);
/* A call of the manager's, whose answer nobody waits for. */
void units_tell(Units *s, const char *method, const char *types, ...);

/* Appends the message of StartTransientUnit. 0; -EINVAL with *ret_problem; -errno. */
int unit_describe(const Unit *u, sd_bus_message *m, char **ret_problem);
/* Whether a description that unit_describe() made is of a process that is no more. */
bool unit_is_orphan(const Units *s, const char *description);
/* Reads a{sv}. 0 or -errno. */
int unit_facts_read(UnitFacts *f, sd_bus_message *m);

/* The connection is there again: what has become of it? */
void unit_resume(Unit *u);
Unit *unit_free(Unit *u);
