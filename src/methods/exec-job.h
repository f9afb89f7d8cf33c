/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/list.h"
#include "methods/exec-internal.h"
#include "methods/ring.h"

/* A job, as exec-job.c (its life) and exec-attach.c (who reads it) share it, and nobody else. */
struct Job {
        ListLink link; /* in jobs */
        Exec *exec;
        uint64_t id;
        Program *program; /* NULL once it has ended */
        Call *start;      /* of exec.start, until it is answered */
        json_object *argv;
        char *user;
        bool terminal;
        bool has_input;
        struct timespec started; /* CLOCK_REALTIME */
        Ring output[PROGRAM_STREAM_MAX];
        ProgramEnd end;
        uint64_t finished_at; /* CLOCK_MONOTONIC, microseconds; 0: it runs */
        ListLink waiters;
        ListLink readers;
};

/* The job that the parameter `job` names; NULL, and the call is ended. */
Job *job_of_params(Call *call, json_object *params, const Exec *e);
/* Ends a call with what the job came to, and further members (an object, taken over, or NULL). */
void job_answer(const Job *job, Call *call, json_object *more);
/* A reader has left, or has read on: what waited for it goes on. */
void job_left(const Job *job);

/* Of exec-attach.c. There is more output, or the end. */
void job_readers_go_on(Job *job);
void job_readers_want_input(Job *job);
/* Up to where the reader whose link this is has read. */
uint64_t job_reader_cursor(const ListLink *reader, ProgramStream stream);
