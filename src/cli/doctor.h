/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* An examination of this machine: each check says what it found, and what to do about it. */
typedef struct Doctor Doctor;

typedef enum DoctorStatus {
        DOCTOR_OK,
        DOCTOR_WARN,
        DOCTOR_FAIL,
} DoctorStatus;

struct Doctor {
        json_object *list; /* with --json: what was said; else NULL */
        bool failed;       /* something was DOCTOR_FAIL */
        unsigned transports;
};

/* todo: what to do, or NULL. */
void doctor_say(Doctor *d, const char *check, DoctorStatus status, const char *todo,
                const char *format, ...) _printf_(5, 6);

/* doctor-kernel.c: what the kernel and its devices can do. */
void doctor_check_kernel(Doctor *d);
void doctor_check_transports(Doctor *d);
void doctor_check_devices(Doctor *d);
void doctor_check_cid(Doctor *d);
/* doctor-ports.c: who could call, the configuration, who listens. */
void doctor_check_callers(Doctor *d);
void doctor_check_ports(Doctor *d);
