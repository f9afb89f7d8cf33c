/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Our own terminal, handed over to a program far away: its keys go there as they are typed, and
 * what is shown is what that program writes. As it was before it is again when we end, whatever of.
 */

/* fd: the terminal, open until terminal_raw_end(). Once at a time. 0 or -errno. */
int terminal_raw_begin(int fd);
/* As it was. Without a terminal_raw_begin() it does nothing. */
void terminal_raw_end(void);
/* Raw again, after we had been stopped and somebody may have put it right for himself. */
void terminal_raw_again(void);

/* The size of the first of the n that is a terminal. 0, or -ENOTTY: then nothing is changed. */
int terminal_get_size(const int *fds, unsigned n, unsigned *ret_rows, unsigned *ret_columns);
