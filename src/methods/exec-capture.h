/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "methods/exec-program.h"
#include "rpc/octets.h"

/*
 * What exec.run captures of a program's stream: a chain of blocks, so that it is never copied to
 * grow, and given up block by block as it becomes a reply.
 */
typedef struct Capture Capture;
typedef struct CaptureBlock CaptureBlock;

struct Capture {
        CaptureBlock *first;
        CaptureBlock *last;
        size_t size;    /* bytes captured */
        uint64_t total; /* bytes written by the program */
        OctetsCheck check;
};

void capture_done(Capture *c);
/* Reads once from the program, and keeps what is within the limit (bytes of the whole). */
void capture_read(Capture *c, Program *p, ProgramStream stream, size_t limit);
/* No more will come: the character that the limit has cut, of what is text, is left out. */
void capture_finish(Capture *c);
/* How much capture_write() will append. */
size_t capture_length(const Capture *c, const OctetsKeys *keys);
/* Appends ,"KEY":"VALUE" and gives up what was captured. 0 or -ENOMEM. */
int capture_write(Capture *c, const OctetsKeys *keys, Buffer *json);
