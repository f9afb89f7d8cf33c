/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * Text to values and back. The parsers take the whole string (no surrounding
 * space), leave *ret alone on failure and return -EINVAL for what is no such value,
 * -ERANGE for one that does not fit.
 */
#define TEXT_INFINITY UINT64_MAX

/* Decimal, or hex after "0x". No sign, no space, nothing after the digits. */
int text_to_u32(const char *text, uint32_t *ret);
int text_to_u64(const char *text, uint64_t *ret);
/* yes/no, true/false, on/off, 1/0, in any case. */
int text_to_boolean(const char *text, bool *ret);
/* Octal permission bits, 0 to 07777. */
int text_to_mode(const char *text, unsigned *ret);

/* Bytes: a decimal number, or one followed by K, M or G (powers of 1024). */
int text_to_size(const char *text, uint64_t *ret);
/* The shortest exact form: "1M", "64K", "200". */
void text_from_size(char ret[static 32], uint64_t size);

/*
 * Microseconds, in systemd.time(7)'s units, added up: "500ms", "10s", "2min", "1h 30min",
 * "1.5s". A number without a unit must stand alone and is seconds. "infinity" is TEXT_INFINITY.
 */
int text_to_usec(const char *text, uint64_t *ret);
/*
 * The exact form that text_to_usec() reads back, in as few and as large units as there are
 * from weeks down: "1min 30s", "500ms", "0", "infinity".
 */
void text_from_usec(char ret[static 64], uint64_t usec);

/* In place: without the white space at both ends. Returns the new beginning. */
char *text_strip(char *text);

/*
 * What an untrusted byte string looks like in a log line or an error: printable ASCII and
 * valid UTF-8 stay, the rest (control characters, line separators and text direction marks
 * too) becomes \xNN. Of more than max bytes at most max are shown, then "...". NULL without
 * memory. The caller frees.
 */
char *text_show(const char *data, size_t n, size_t max);

/* Whether the n bytes at data are valid UTF-8 (RFC 3629: no surrogates, nothing overlong). */
bool text_is_utf8(const char *data, size_t n);

/* "ENOENT"; "E<number>" where the C library knows no name (valid until the next call). */
const char *text_errno_name(int error);

/* printf to a new string; NULL without memory. */
char *text_format(const char *format, ...) _printf_(1, 2);

/* A list of strings, NULL at its end. */
void text_list_free(char **list);
/* Adds string (taken over; freed on failure) to *list. 0 or -ENOMEM. */
int text_list_take(char ***list, char *string);
size_t text_list_length(char *const *list);
DEFINE_CLEANUP(char *, text_list_free)
#define _cleanup_text_list_ _cleanup_(text_list_freep)
