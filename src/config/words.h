/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A line of words as systemd splits ExecStart= and Environment=: by white space, with quotes of
 * both kinds and escapes as in systemd.syntax(7), and nothing else. No shell has a part in it:
 * `$`, `%`, `*`, `~`, `|` and `>` are plain characters.
 */

/*
 * 0 with the words, NULL-terminated (text_list_free()); -EINVAL with *ret_problem a sentence
 * (allocated); -ENOMEM. An empty text has no words.
 */
int words_split(const char *text, char ***ret, char **ret_problem);

/* The text that words_split() splits into these; NULL without memory. */
char *words_join(char *const *words);
