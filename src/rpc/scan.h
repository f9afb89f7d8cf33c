/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "rpc/scan-number.h"

/*
 * A single pass over JSON text as it arrives: checks RFC 8259 and UTF-8 (RFC 3629) to the
 * letter, counts nesting and values before anything is built, finds where the text ends,
 * and marks where the members of its envelope lie. It keeps no pointer to the bytes: the
 * marks are offsets from the text's first byte, and a text may come in any pieces.
 */
typedef struct Scan Scan;
typedef struct ScanKeys ScanKeys;
typedef struct ScanLimits ScanLimits;
typedef struct ScanName ScanName;
typedef struct ScanSpan ScanSpan;
typedef struct ScanEnvelope ScanEnvelope;

#define SCAN_KEYS_MAX 8U
#define SCAN_KEY_LENGTH_MAX 16U /* of a name in ScanKeys */
#define SCAN_DEPTH_MAX 32U

/* The members to mark: names of a dialect's envelope, by index. The key at `params` has the
 * numbers inside it judged and its own members counted. */
struct ScanKeys {
        const char *names[SCAN_KEYS_MAX]; /* ASCII; NULL at the end if fewer */
        unsigned params;                  /* index into names; SCAN_KEYS_MAX: none */
};

struct ScanLimits {
        size_t bytes;   /* of one text; fits 32 bits */
        size_t values;  /* objects, arrays and scalars; keys do not count */
        unsigned depth; /* nesting of arrays and objects, <= SCAN_DEPTH_MAX */
};

struct ScanSpan {
        uint32_t offset;
        uint32_t length; /* 0: absent (no JSON value has length 0) */
};

typedef enum ScanFlags {
        SCAN_IS_OBJECT = 1 << 0,   /* the envelope is an object at all */
        SCAN_DOUBLED_KEY = 1 << 1, /* a marked member comes twice; the first one is marked */
        SCAN_NUL_IN_KEY = 1 << 2,  /* a key anywhere in it holds \u0000: json-c would cut it */
        SCAN_NUMBER_TOO_LARGE =
                1 << 3, /* in params: an integer past 64 bits, or a double past its range */
} ScanFlags;

/* One request-like object: the text itself, or each element of an array at the top. */
struct ScanEnvelope {
        ScanSpan text;
        ScanSpan members[SCAN_KEYS_MAX]; /* values, by index into ScanKeys.names */
        uint32_t params_members; /* how many members the params object has, doubles counted */
        unsigned flags;          /* ScanFlags */
};

typedef enum ScanResult {
        SCAN_MORE, /* all bytes used, the text goes on */
        SCAN_DONE, /* the text is whole: scan_length() bytes of it */
        /* What follows ends the scan. */
        SCAN_BAD_SYNTAX,
        SCAN_BAD_UTF8,
        SCAN_TOO_LONG,
        SCAN_TOO_MANY_VALUES,
        SCAN_TOO_DEEP,
        SCAN_NO_MEMORY,
} ScanResult;

/* A name in the form in which keys are compared with it: its bytes as two numbers. */
struct ScanName {
        uint64_t words[2];
        size_t length;
};

/* Holds no memory but for batches: the array of envelopes grows only past the first. */
struct Scan {
        const ScanKeys *keys;
        ScanLimits limits;
        /* private */
        uint8_t state;
        int8_t level;      /* of nesting, 0 where the members of envelopes lie */
        int8_t top;        /* the level of the text itself */
        uint8_t position;  /* in a literal's name or among the four digits of \uXXXX */
        uint8_t literal;   /* which of true, false, null */
        uint8_t utf8_need; /* continuation bytes still to come, and the next one's bounds */
        uint8_t utf8_low;
        uint8_t utf8_high;
        bool begun;
        bool in_key; /* the string being read is a key */
        bool in_params;
        bool low_surrogate; /* the \uXXXX being read must be a low surrogate */
        uint16_t escape;    /* its value so far */
        int8_t member;      /* which marked member's value comes or is being read, or -1 */
        uint8_t n_keys;
        uint8_t key_length; /* of key, past SCAN_KEY_LENGTH_MAX: none of the names */
        unsigned char key[SCAN_KEY_LENGTH_MAX];
        ScanName names[SCAN_KEYS_MAX]; /* what the keys are compared with */
        uint32_t objects; /* a bit for each level, the innermost lowest: 1 for an object */
        uint32_t offset;  /* bytes of the text consumed by earlier feeds */
        uint32_t values_left;
        ScanNumber number; /* being read inside params */
        size_t n_envelopes;
        size_t envelopes_capacity;
        ScanEnvelope *envelope; /* the one being read */
        ScanEnvelope first;
        ScanEnvelope *more; /* all of them, where there are two or more; else NULL */
};

/* keys and its strings must outlive the scan. */
void scan_init(Scan *s, const ScanKeys *keys, const ScanLimits *limits);
/* For the next text; keeps keys and limits. */
void scan_reset(Scan *s);
void scan_done(Scan *s);

/*
 * Goes on with the next n bytes. *ret_used: how many were consumed. White space before
 * the text counts as consumed and not as part of it (scan_begun() tells when it has begun).
 * On SCAN_DONE *ret_used ends right after the text's last byte, but for a number at the top,
 * whose end only the following byte shows (that byte is not consumed). On an error *ret_used
 * is the index of the offending byte, which is not consumed.
 */
ScanResult scan_feed(Scan *s, const char *data, size_t n, size_t *ret_used);

/* At the end of input: SCAN_DONE where a number at the top is complete, SCAN_BAD_SYNTAX where
 * a text was cut, SCAN_MORE where none had begun. */
ScanResult scan_finish(Scan *s);

bool scan_begun(const Scan *s);
/* Bytes from the first byte of the text to its end, or to where it has got. */
size_t scan_length(const Scan *s);

/* After SCAN_DONE: an array at the top. */
bool scan_is_batch(const Scan *s);
/* After SCAN_DONE: the envelopes; 1 unless the text is an array, then its length (0 and up).
 * Valid until scan_reset() or scan_done(). */
const ScanEnvelope *scan_envelopes(const Scan *s, size_t *ret_n);

/* "nested deeper than 32", ... A constant string without the limits' numbers. */
const char *scan_result_to_text(ScanResult r);
