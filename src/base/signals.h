/* SPDX-License-Identifier: MIT */
#pragma once

/* Signals by their names: "SIGTERM", "SIGRTMIN+3", "SIG77" for one that has none. NULL without
 * memory; the caller frees. */
char *signal_to_text(int number);
/* The same back, with or without SIG, or a number as text. The signal, or -EINVAL. */
int signal_from_text(const char *text);
