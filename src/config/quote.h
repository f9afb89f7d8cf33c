/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

#include "base/macros.h"

/*
 * Values in double quotes, both ways. Inside the quotes stand C's escapes: \a \b \f \n \r \t \v
 * \\ \" \' \? \xNN (two hex digits) and \N, \NN, \NNN (octal). A backslash at the end of a line
 * that is continued joins the next one without a space (the reader sees to that).
 */

/*
 * text: a whole value that begins with a double quote. 0 with what it means in *ret (allocated);
 * -EINVAL with *ret_problem a sentence (allocated); -ENOMEM.
 */
int quote_undo(const char *text, char **ret, char **ret_problem);

/*
 * Writes `key = value` so that config_reader_run() reads the same value back, whatever bytes
 * (valid UTF-8, no NUL) it holds: quoted where it must be, continued where it is long.
 */
void quote_print(FILE *f, const char *key, const char *value);

/* The same for a text that words_join() made, which is not put into quotes as a whole. */
void quote_print_words(FILE *f, const char *key, const char *text);
