/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "methods/exec-settings.h"
#include "methods/exec.h"
#include "proc/spawn.h"
#include "rpc/call.h"

/*
 * A program and its standard streams. Its output is pulled: the owner is told that there is some
 * and reads it, or says "not now", and then the program is what waits.
 */
typedef struct Program Program;
typedef struct ProgramEnd ProgramEnd;
typedef struct ProgramOwner ProgramOwner;

typedef enum ProgramStream {
        PROGRAM_STDOUT, /* of a terminal: all that it shows */
        PROGRAM_STDERR,
        PROGRAM_STREAM_MAX,
} ProgramStream;

struct ProgramEnd {
        SpawnOutcome outcome;
        int status;
        Reason reason; /* of SPAWN_FAILED */
        int error;
        char *problem;
        bool timed_out; /* it was ended, for it had taken too long */
        uint64_t duration;
        uint64_t cpu;
        uint64_t memory_peak;
};

struct ProgramOwner {
        /* It has been executed. Not called where only the end is told, as SpawnStarted says. NULL:
         * nobody asks. */
        void (*started)(Program *p, void *userdata);
        /* There may be output: reads it with program_read() or program_pull(), once or more often,
         * and returns true; or false where it cannot take any before program_resume(). */
        bool (*output)(Program *p, ProgramStream stream, void *userdata);
        /* No more of it will come. May be NULL. */
        void (*output_ended)(Program *p, ProgramStream stream, void *userdata);
        /* There is room for input again, after program_offer() took too little. May be NULL. */
        void (*input_wanted)(Program *p, void *userdata);
        /* The program has ended, and all output of its own has been read; or it could not be
         * started. Called once, never from within a function of this header; the Program is to be
         * freed within. */
        void (*ended)(Program *p, const ProgramEnd *end, void *userdata);
};

/*
 * Starts it, now or once its user is known: settings are taken over, also on failure. identity is
 * copied. 0; -EBUSY where max-programs are running; -EUSERS where too many users are
 * being looked up; -EOPNOTSUPP as spawn_start(); -errno.
 */
int program_new(Exec *e, ExecSettings *settings, const char *identity, const ProgramOwner *owner,
                void *userdata, Program **ret);
/* Lets go of it: whatever still runs is ended. NULL is fine. */
Program *program_free(Program *p);
DEFINE_CLEANUP(Program, program_free)
/* Ends it: TERM, then KILL. What it still writes is read as before. */
void program_stop(Program *p);

/* 0 before the program is there. */
pid_t program_pid(const Program *p);
const char *program_unit(const Program *p);

/* How many bytes were read; 0: there are none now, or no more. */
size_t program_read(Program *p, ProgramStream stream, char *to, size_t n);
/* The same for who takes the bytes out of the descriptor himself: at most n. pull says how many it
 * took, 0 at the end, -errno as read(2). */
typedef ssize_t (*ProgramPull)(int fd, size_t n, void *userdata);
size_t program_pull(Program *p, ProgramStream stream, size_t n, ProgramPull pull, void *userdata);
/* After output() has said "not now". */
void program_resume(Program *p);

/* Writes input as far as the program takes it, and returns how much that was; input_wanted() tells
 * when to go on. Where nobody will read it, it counts as taken. */
size_t program_offer(Program *p, const char *data, size_t n);
/*
 * Writes input or keeps it. The call is answered with {} once little of it waits, so that whoever
 * goes on after the answer goes at the program's pace; it is failed where standard input is
 * closed, and where too much waits already: then nothing is taken.
 */
void program_input(Program *p, Call *call, const char *data, size_t n);
/* Ends the input behind what waits; on a terminal by its end-of-file character. */
void program_close_input(Program *p);

/* 0, or -errno: -ESRCH once it has ended; -ENOTTY. */
int program_signal(Program *p, int number);
int program_resize(Program *p, unsigned rows, unsigned columns);
