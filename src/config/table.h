/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/value.h"

/* The kinds of sections: `[agent]`, `[port N]`, `[listen NAME]`. */
typedef enum ConfigSectionKind {
        CONFIG_SECTION_AGENT = 1 << 0,
        CONFIG_SECTION_PORT = 1 << 1,
        CONFIG_SECTION_LISTEN = 1 << 2,
} ConfigSectionKind;

#define CONFIG_HANDLERS_ALL ((1U << HANDLER_KIND_MAX) - 1)

/* All facts of a key. */
struct ConfigOption {
        const char *key;
        const ConfigType *type;
        unsigned sections;  /* mask of ConfigSectionKind */
        unsigned handlers;  /* mask of 1 << HandlerKind: who takes it; of no meaning in [agent] */
        unsigned addresses; /* mask of 1 << AddressKind that it is for; 0: any */
        const char *preset; /* what an absent or empty key means, as text; "": nothing */
        size_t offset;      /* in AgentSettings or ListenSettings */
        uint64_t min;       /* of counts, sizes and times */
        uint64_t max;
        const char *help; /* one line, without a full stop */
};

/* Ends with a row whose key is NULL. */
extern const ConfigOption config_options[];
size_t config_options_count(void);

/* The row of a key in a kind of section, or NULL. */
const ConfigOption *config_option_find(const char *key, ConfigSectionKind kind);
/* The row in any kind of section but this one, or NULL: for the error that says where it goes. */
const ConfigOption *config_option_elsewhere(const char *key, ConfigSectionKind kind);

/* How a kind of section is written: "[agent]", "[port N]", "[listen NAME]". */
const char *config_section_form(unsigned kinds);

/*
 * For "did you mean": the key of those kinds of sections, and the section's word, nearest to what
 * was written. NULL where none is near.
 */
const char *config_key_near(const char *key, unsigned kinds);
const char *config_section_near(const char *word);
