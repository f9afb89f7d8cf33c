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
        /* Its name is "PREFIX.*": it takes every method of that prefix that has no row of its
         * own, and whatever parameters by name; call_name() tells which was called. */
        METHOD_PREFIX = 1 << 2,
        /* Its result is no object that `result` could describe: a string, or whatever JSON. */
        METHOD_RESULT_STRING = 1 << 3,
        METHOD_RESULT_ANY = 1 << 4,
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
        const void *data;    /* the function's own: what sets this row apart from its like */
};

/*
 * A set of rows from several tables, looked up by name. The tables must outlive it. It is shared:
 * a call holds a reference, so that the row it runs stays though a reload brings another set.
 */
int method_set_new(void *userdata, MethodSet **ret);
/* Adds a table. 0, -ENOMEM, -EEXIST for a name that is there already. */
int method_set_add(MethodSet *s, const Method *table);
/* name need not end in NUL. Its own row, else the longest prefix's. NULL: no such method. */
const Method *method_set_find(const MethodSet *s, const char *name, size_t length);
/* The rows in the order of their names. */
const Method *const *method_set_list(const MethodSet *s, size_t *ret_n);
void *method_set_userdata(const MethodSet *s);
/* Called with owner when the last reference goes: for tables that live no longer than the set. */
void method_set_set_owner(MethodSet *s, void (*release)(void *owner), void *owner);
MethodSet *method_set_ref(MethodSet *s);
MethodSet *method_set_unref(MethodSet *s);
DEFINE_CLEANUP(MethodSet, method_set_unref)
