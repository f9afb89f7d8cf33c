/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/macros.h"
#include "config/config.h"
#include "io/peer.h"

/*
 * The clean environment of a program: PATH, HOME, USER, LOGNAME, LANG, then the settings' own,
 * then `extra` (NAME=VALUE, NULL-terminated, or NULL), later ones replacing earlier ones of the
 * same name; nothing of the daemon's own but LANG. NULL without memory; the caller frees with
 * text_list_free().
 */
char **environment_new(const ProgramSettings *settings, const char *const *extra);

/* For `extra`: who calls, as GUESTWIRE_PEER_CID, GUESTWIRE_PEER_PORT and GUESTWIRE_PORT, which are
 * empty where that is not by vsock. 0 or -ENOMEM. */
int environment_add_peer(char ***list, const Peer *peer);
