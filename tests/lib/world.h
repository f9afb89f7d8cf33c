/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "config/config.h"
#include "methods/context.h"
#include "methods/members.h"
#include "rpc/session.h"

#define SECOND UINT64_C(1000000)

/* A guest's whole inside but for the listeners: the loop, all methods, and one caller. */
typedef struct World World;

struct World {
        sd_event *event;
        Config config;
        Stats stats;
        MethodSet *methods;
        AgentContext context;
        Session *session;
        int caller; /* -EBADF once it has left */
        bool ended;
        unsigned privileged_calls;
        unsigned proofs[2]; /* that did not hold, and that did: these make the caller privileged */
        /* What came, and how much of it was given out as a line. */
        char input[262144];
        size_t input_size;
        size_t line_size;

        /* The reload that the context offers. */
        int reload_result;
        const char *reload_errors[3];
        bool reload_closes; /* the caller's connection */
        unsigned reloads;
};

extern const Peer root_peer;
extern const Peer vsock_peer; /* root on the host */

World *world_new(const Peer *peer, bool privileged);
World *world_free(World *w);
DEFINE_CLEANUP(World, world_free)

/* What the caller's port is like, for methods that ask. Borrowed. */
void world_set_port(World *w, const ListenSettings *port);
void world_send(World *w, const char *text);
/* Runs the loop until the next line has come. It stays valid until the next one is asked for. */
const char *world_receive(World *w);
/* All that is to be done without anything new coming in. */
void world_settle(World *w);
/* The result of a call without parameters; the caller's. */
json_object *world_call(World *w, const char *method);

/* A result has all the members that its row declares, of their types, and no others. */
void assert_as_declared(const World *w, const char *method, json_object *result);

/* A member that must be there: its value, its text (NULL for null), its number. */
json_object *member(json_object *o, const char *key);
const char *member_text(json_object *o, const char *key);
uint64_t member_unsigned(json_object *o, const char *key);
