/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "config/config.h"
#include "config/problems.h"
#include "config/table.h"

/*
 * A configuration in the making: files are given to it one after the other, a later one's
 * sections merging with those before key by key.
 */
typedef struct ConfigOrigin ConfigOrigin;
typedef struct ConfigSection ConfigSection;
typedef struct ConfigMerge ConfigMerge;

/* Where a key was written last. line 0: nowhere. */
struct ConfigOrigin {
        size_t file;
        unsigned line;
        bool set;   /* to a value of its own, not back to the preset */
        bool bad;   /* to something that was refused */
        char *text; /* the value as it was written, where it is set */
};

struct ConfigSection {
        ConfigSectionKind kind;
        char *name;             /* as it is printed: "agent", "port 1000", "method a.b" */
        ConfigOrigin header;    /* its last mention */
        ConfigOrigin *origins;  /* one a row of config_options, of a key its first row's */
        ListenSettings *listen; /* owned until they are in the configuration; else NULL */
        MethodSettings *method; /* the same */
        unsigned handler;       /* mask of one, once it is settled */
        bool broken;            /* its header was refused: read for its errors only */
};

struct ConfigMerge {
        Config *config;
        ConfigSection **sections;
        size_t n_sections;
        ConfigSection *current; /* NULL: of no kind that is known */
        Problems problems;
        size_t file; /* the one being read */
        int error;
};

/* 0 or -ENOMEM. */
int config_merge_init(ConfigMerge *m);
/* Reads one file's text. 0 (errors are in m->problems) or -ENOMEM. */
int config_merge_text(ConfigMerge *m, const char *name, const char *text, size_t n);
/* Notes that a file or folder cannot be read. */
void _printf_(3, 4) config_merge_refuse(ConfigMerge *m, const char *name, const char *format, ...);
/* Checks what no line shows alone; then as config_load(). */
int config_merge_finish(ConfigMerge *m, Config **ret, ConfigErrors *errors);
void config_merge_done(ConfigMerge *m);
#define _cleanup_config_merge_ _cleanup_(config_merge_done)

/* The origin of a row's key in a section that takes it. */
ConfigOrigin *config_section_origin(const ConfigSection *s, const ConfigOption *o);

/* settle.c: fills a section's settings from its values and the presets. 0 or -errno. */
int config_settle(ConfigMerge *m, ConfigSection *s);

/* check.c: what sections say against themselves and each other, into m->problems. */
void config_check(ConfigMerge *m);
