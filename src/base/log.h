/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

#include "base/macros.h"

/*
 * One log for a program. Where stderr is the journal's stream (JOURNAL_STREAM names
 * its device and inode) records go to the journal with their fields; elsewhere the
 * message alone is a line on stderr. Levels are syslog's LOG_ERR .. LOG_DEBUG.
 */
#define LOG_FIELDS_MAX 12

/* A record under construction: the fields beside its message. */
typedef struct LogFields LogFields;

struct LogFields {
        size_t n;
        char text[LOG_FIELDS_MAX][160]; /* "NAME=value"; a longer value is cut */
};

/* Picks the destination from the environment. Until then records go to stderr. */
void log_open(void);
void log_set_level(int level);
int log_get_level(void);

/* "error", "warning", "notice", "info", "debug" and syslog's number; -EINVAL otherwise. */
int log_level_from_text(const char *text, int *ret);
const char *log_level_to_text(int level);

/* Adds "NAME=value". Beyond LOG_FIELDS_MAX a field is dropped. */
void log_fields_add(LogFields *f, const char *name, const char *format, ...) _printf_(3, 4);

/* One record; fields may be NULL. message_id is 32 hex digits (sd-id128) or NULL. */
void log_record(int level, const char *message_id, const LogFields *fields, const char *format, ...)
        _printf_(4, 5);

#define log_error(...) log_record(LOG_ERR, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_record(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_notice(...) log_record(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_record(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...)                                                  \
        do {                                                            \
                if (log_get_level() >= LOG_DEBUG)                       \
                        log_record(LOG_DEBUG, NULL, NULL, __VA_ARGS__); \
        } while (0)
