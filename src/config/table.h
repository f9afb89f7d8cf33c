/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/value.h"

/* The kinds of sections: `[agent]`, `[port N]`, `[listen NAME]`, `[method NAME]`. */
typedef enum ConfigSectionKind {
        CONFIG_SECTION_AGENT = 1 << 0,
        CONFIG_SECTION_PORT = 1 << 1,
        CONFIG_SECTION_LISTEN = 1 << 2,
        CONFIG_SECTION_METHOD = 1 << 3,
} ConfigSectionKind;

/* What a method is: in the place of a port's handler. */
typedef enum ConfigMethodKind {
        CONFIG_METHOD_PROGRAM, /* [method NAME], with `command` */
        CONFIG_METHOD_SERVER,  /* [method PREFIX.*], with `to` */
        CONFIG_METHOD_KIND_MAX,
} ConfigMethodKind;

#define CONFIG_HANDLERS_ALL ((1U << HANDLER_KIND_MAX) - 1)

/*
 * All facts of a key. A key that is another thing, or has another preset, for other handlers has
 * a row for each; they may write to one field.
 */
struct ConfigOption {
        const char *key;
        const ConfigType *type;
        unsigned sections;  /* mask of ConfigSectionKind, all of one settings' struct */
        unsigned handlers;  /* mask of 1 << HandlerKind, of methods 1 << ConfigMethodKind */
        unsigned addresses; /* mask of 1 << AddressKind that it is for; 0: any */
        const char *preset; /* what an absent or empty key means, as text; "": nothing */
        size_t offset;      /* in AgentSettings, ListenSettings or MethodSettings */
        uint64_t min;       /* of counts, sizes and times */
        uint64_t max;
        const char *help; /* one line, without a full stop */
};

/* Ends with a row whose key is NULL. */
extern const ConfigOption config_options[];
size_t config_options_count(void);

/* The first row of a key in a kind of section, or NULL. */
const ConfigOption *config_option_find(const char *key, ConfigSectionKind kind);
/* The first row in any kind of section but this one, or NULL: for the error that says where it
 * goes. */
const ConfigOption *config_option_elsewhere(const char *key, ConfigSectionKind kind);
/* The kinds of sections that have the key. */
unsigned config_option_sections(const char *key);
/* Whether a section of that kind, handler (a mask of one) and kind of address takes the row. */
bool config_option_is_for(const ConfigOption *o, ConfigSectionKind kind, unsigned handler,
                          AddressKind address);

/* Whether a row's field is in the settings of that kind of section, taken there or not. */
bool config_option_has_field(const ConfigOption *o, ConfigSectionKind kind);

/* The mask of one that a method's name makes it. */
unsigned config_method_kind(const char *name);

/* How kinds of sections are written: "[agent]", "[port N] and [listen NAME]". Returns buffer. */
#define CONFIG_FORM_MAX 64
const char *config_section_form(unsigned kinds, char buffer[static CONFIG_FORM_MAX]);

/*
 * For "did you mean": the key of that kind of section, the key of another kind (which must be
 * nearer to be meant), and the section's word, nearest to what was written. NULL where none is
 * near.
 */
const char *config_key_near(const char *key, ConfigSectionKind kind);
const char *config_key_near_elsewhere(const char *key, ConfigSectionKind kind);
const char *config_section_near(const char *word);
