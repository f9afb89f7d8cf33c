/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/list.h"
#include "config/user.h"
#include "methods/exec-program.h"
#include "methods/exec.h"

/* What exec.c (the rows), exec-run.c (programs of a call), exec-job.c (programs of their own) and
 * exec-program.c share, and nobody else. */
typedef struct Job Job;

struct Exec {
        AgentContext *context;
        User own;          /* whom the agent runs as; no name where /etc/passwd has none */
        size_t n_programs; /* that have been begun and have not ended */
        void (*stopped)(void *userdata); /* when there is none any more; or NULL */
        void *stopped_userdata;
        ListLink runs;
        ListLink jobs; /* in the order of their start */
        size_t n_jobs;
        uint64_t last_job;
        sd_event_source *job_timer; /* for the finished job whose time is over first */
};

/* MethodFunctions */
void exec_run(Call *call, json_object *params, void *userdata);
void exec_start(Call *call, json_object *params, void *userdata);
void exec_attach(Call *call, json_object *params, void *userdata);
void exec_wait(Call *call, json_object *params, void *userdata);
void exec_list(Call *call, json_object *params, void *userdata);
void exec_remove(Call *call, json_object *params, void *userdata);

/* The running program of another call of the same connection; NULL where that call runs none. */
Program *run_program_of(const Call *call);
/* NULL once it has ended. */
Program *job_program(const Job *job);

/* A program or a job has gone: says so to the agent where it was the last of all. */
void exec_settle(Exec *e);

/* As the agent ends. */
void runs_stop(Exec *e);
void jobs_stop(Exec *e);
void runs_free(Exec *e);
void jobs_free(Exec *e);

/* The id of a call as a JSON value, digit by digit as it came. NULL without memory. */
json_object *exec_call_id(const Call *call);
/* Ends a call whose program could not be made: error is -errno. */
void exec_fail_start(Call *call, const char *what, int error);
/* How a program ended, for results. NULL without memory. */
json_object *exec_end_to_json(const ProgramEnd *end);
/* A piece of output as a notification's parameters: `to` already names the call or job. Taken over;
 * NULL without memory. */
json_object *exec_output_to_json(json_object *to, ProgramStream stream, const char *data, size_t n);

/* One for all that is read and passed on at once: there is one thread. */
#define EXEC_SCRATCH_SIZE ((size_t)64 * 1024)
extern char exec_scratch[EXEC_SCRATCH_SIZE];
