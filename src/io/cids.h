/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* A set of CIDs as `peers` names it: "host", "local", "any", numbers and ranges "5-99". */
typedef struct CidSet CidSet;
typedef struct CidRange CidRange;

struct CidRange {
        uint32_t first;
        uint32_t last;
};

struct CidSet {
        CidRange *ranges;
        size_t n;
        bool names_local; /* `local` (or CID 1 alone) is an entry of its own, not covered by a range
                           */
};

#define CID_SET_NULL ((CidSet){ 0 })

/*
 * Comma-separated entries; an empty text is the empty set, which lets nobody in. 0, -ENOMEM,
 * or -EINVAL with *ret_problem a sentence (allocated).
 */
int cid_set_parse(const char *text, CidSet *ret, char **ret_problem);
/* In the form that cid_set_parse() reads. NULL without memory; the caller frees. */
char *cid_set_to_text(const CidSet *s);
/* 4294967295 (VMADDR_CID_ANY) is nobody's CID: no set has it, "any" neither. */
bool cid_set_has(const CidSet *s, uint32_t cid);
/* Whether it lets in anybody beside the host (CID 2) and the hypervisor (CID 0). */
bool cid_set_is_wider_than_host(const CidSet *s);
void cid_set_done(CidSet *s);
#define _cleanup_cid_set_ _cleanup_(cid_set_done)
