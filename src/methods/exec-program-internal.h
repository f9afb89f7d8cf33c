/* SPDX-License-Identifier: MIT */
#pragma once

#include <systemd/sd-event.h>

#include "methods/exec-input.h"
#include "methods/exec-program.h"
#include "proc/account.h"

/* What exec-program.c (its life) and exec-launch.c (its start) share, and nobody else. */
typedef struct Output Output;

struct Output {
        Program *program;
        int fd; /* negative: ended */
        sd_event_source *source;
        bool paused;
        bool closed; /* of a terminal: no program has it open now */
        bool over;   /* all is read: its end is told when its owner is done with what he read */
        size_t left; /* to be read, once the program has ended */
};

struct Program {
        Exec *exec; /* NULL once it has ended */
        sd_event *event;
        const ProgramOwner *owner;
        void *userdata;
        ExecSettings settings; /* until it is started */
        char *identity;
        bool terminal;
        AccountLookup *lookup;
        sd_event_source *lookup_source;
        Spawn *spawn;
        ExecInput *input;
        Output outputs[PROGRAM_STREAM_MAX];
        sd_event_source *timer;
        sd_event_source *later;
        bool has_ended;
        ProgramEnd end;
};

/* Starts it, as this user; NULL: the agent's own. Its settings are used up. 0 or -errno. */
int program_launch(Program *p, const Account *account);
int program_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata);
void program_on_start(Spawn *spawn, void *userdata);
void program_on_end(Spawn *spawn, const SpawnEnd *end, void *userdata);
