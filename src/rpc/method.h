/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "rpc/params.h"

typedef struct Call Call;
typedef struct Method Method;
typedef struct MethodSet MethodSet;

/*
 * Runs a call whose policy and parameters have been checked. params: the object as given, or
 * NULL; borrowed, valid only during the function. The function ends the call exactly once
 * with call_reply() or call_fail(), now or (METHOD_ASYNC) later. userdata: the method set's.
 */
typedef void (*MethodFunction)(Call *call, json_object *params, void *userdata);

typedef enum MethodFlags {
        METHOD_PRIVILEGED = 1 << 0,
        METHOD_ASYNC = 1 << 1, /* the reply may come later */
} MethodFlags;

/* All facts of a method. A table ends with a row whose name is NULL. */
struct Method {
        const char *name;
        MethodFunction run;
        unsigned flags;
        const char *summary;
        const Field *params; /* NULL: none are taken */
        const Field *result; /* NULL: an empty object */
        unsigned reasons;    /* how it may fail, for discovery: a mask of 1U << Reason */
};

/* A set of rows from several tables, looked up by name. The tables must outlive it. */
int method_set_new(void *userdata, MethodSet **ret);
/* Adds a table. 0, -ENOMEM, -EEXIST for a name that is there already. */
int method_set_add(MethodSet *s, const Method *table);
/* name need not end in NUL. NULL: no such method. */
const Method *method_set_find(const MethodSet *s, const char *name, size_t length);
/* The rows in the order of their names. */
const Method *const *method_set_list(const MethodSet *s, size_t *ret_n);
void *method_set_userdata(const MethodSet *s);
MethodSet *method_set_free(MethodSet *s);
DEFINE_CLEANUP(MethodSet, method_set_free)
