/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * What is printed. People get aligned text, with colours on a terminal; scripts get JSON. Text
 * that came from a guest passes through output_shown() or output_json(): a terminal obeys what
 * it is sent, and the guest must not command it.
 */
typedef enum Style {
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_WARN,
        STYLE_BAD,
        STYLE_OFF,
} Style;

/* The sequence that turns a style on, "" where stdout is no terminal that takes colours, where
 * NO_COLOR is set, or TERM is "dumb". A constant string. */
const char *output_style(Style s);

/* "guestwire: ..." and a newline on stderr. */
void output_error(const char *format, ...) _printf_(1, 2);

/* One JSON value and a newline on stdout: a line, or indented on a terminal where `indent`. What a
 * terminal would obey is written as \uXXXX, which means the same. */
void output_json(json_object *value, bool indent);

/* What an untrusted text looks like, bounded; "?" without memory. The caller frees with free(). */
char *output_shown(const char *text);

/* "  key    value", the value in the column `width` + 4. value is shown as it is. */
void output_pair(int width, const char *key, const char *value);

/* Flushes stdout. 0, or -errno where something that was printed has not got out. */
int output_finish(void);
