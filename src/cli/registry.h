/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * How a Hyper-V host is told of vsock ports: its registry has a key for each service GUID, with
 * the name that people are to see. Descriptions come from a guest and an administrator runs what
 * is made of them: each writer lets nothing out of its quotes.
 */
typedef struct Service Service;

struct Service {
        uint32_t port;
        char *name; /* UTF-8 without control characters: service_set_name() */
};

/* Microsoft's advice for values of the registry is 2,048 bytes at most, of UTF-16 with its NUL. */
#define SERVICE_NAME_UNITS_MAX 1023U

/*
 * What people are to see: the description as text_show() has it, or a name of ours where it is
 * empty, cut to SERVICE_NAME_UNITS_MAX. n bytes of any kind. 0 or -ENOMEM.
 */
int service_set_name(Service *s, const char *description, size_t n);
void service_done(Service *s);

/*
 * A PowerShell script that registers the services, or removes them again. ASCII throughout:
 * Windows PowerShell reads a file without a byte order mark in the system's code page, where
 * parts of other characters may be quotes.
 */
void registry_write_powershell(FILE *f, const Service *services, size_t n, bool unregister);
/* The same as a file for regedit: UTF-16LE with a byte order mark, lines ending in CR LF. */
void registry_write_reg(FILE *f, const Service *services, size_t n, bool unregister);
