/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "rpc/call.h"

/*
 * A program's standard input, as the end that is written to. There are two ways in: bytes that are
 * offered, of which it takes what the program does, and bytes that are kept until the program
 * takes them, which a call waits for. It exists before the program does.
 */
typedef struct ExecInput ExecInput;

/*
 * begin: what is to be written first; taken over, left empty. more: it stays open after that.
 * wanted: called when there is room again after exec_input_offer() took too little.
 */
int exec_input_new(sd_event *event, Buffer *begin, bool more, void (*wanted)(void *userdata),
                   void *userdata, ExecInput **ret);
/* The program is there: from now on it is written. fd is taken over, also on failure; it does not
 * block. */
int exec_input_open(ExecInput *in, int fd, bool terminal);
/* As program_offer(), program_input() and program_close_input(). */
size_t exec_input_offer(ExecInput *in, const char *data, size_t n);
void exec_input_write(ExecInput *in, Call *call, const char *data, size_t n);
void exec_input_close(ExecInput *in);
/* What waits is lost, and calls that wait for it fail. NULL is fine. */
ExecInput *exec_input_free(ExecInput *in);
DEFINE_CLEANUP(ExecInput, exec_input_free)
