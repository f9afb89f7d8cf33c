/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

/*
 * os-release(5) as a JSON object: every assignment, its name in lower case. `id`, `name` and
 * `pretty_name` have the defaults that os-release(5) gives them, `version_id` is null where
 * absent. Lines that are no assignments are passed over, and so is all past a fixed number of
 * them. NULL without memory.
 */
json_object *os_release_parse(const char *text);

/* From /etc/os-release, or /usr/lib/os-release where there is none; below root ("" for the
 * real one). */
json_object *os_release_read(const char *root);
