/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>

#include "cli/client.h"
#include "cli/verb.h"

/* What the verbs that talk to a guest share: to connect, to call, and to say what went wrong. */

/*
 * Connects to a TARGET as the settings say: privileged if we are root, waiting if asked to, and
 * proving the token if there is one. The client's deadline is set for the rest of the verb. EXIT_OK
 * with *ret owned by the caller, or another ExitCode: then the reason has been printed.
 */
int target_open(const char *text, const Settings *s, Client **ret);

/*
 * The same for a connection that no call is made by: without a privileged port, to what need not
 * be an agent. client_take_fd() has the socket.
 */
int target_connect(const Address *target, const Settings *s, Client **ret);

/* Prints why a TARGET (and a PORT, which goes before that of the TARGET; NULL for none) makes no
 * address, and returns EXIT_USAGE; or EXIT_OK with *ret, the caller's to address_done(). */
int target_parse(const char *text, const char *port, Address *ret);

/*
 * One call. EXIT_OK with *ret_result owned by the caller (NULL: null), or another ExitCode: then
 * the reason has been printed; a guest's error with --json also on stdout, {"error": ...}.
 */
int target_call(Client *c, const Settings *s, const char *method, json_object *params,
                json_object **ret_result);

/* The same, in its parts: prints why a function of client.h failed, or what the guest said. */
int target_failed(const Client *c, int error);
int target_refused(const Client *c, const Settings *s, const char *method, json_object *error);
