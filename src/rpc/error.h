/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ways a call can fail. The list of reasons is closed: adding one is a change of
 * docs/protocol.md.
 */
typedef enum Reason {
        REASON_NOT_ALLOWED,
        REASON_NOT_PRIVILEGED,
        REASON_UNSUPPORTED,
        REASON_NOT_READY,
        REASON_UNAVAILABLE,
        REASON_BUSY,
        REASON_LIMIT,
        REASON_TIMEOUT,
        REASON_CANCELLED,
        REASON_NOT_FOUND,
        REASON_EXISTS,
        REASON_FAILED,
        REASON_MAX,
} Reason;

/* Errors of the protocol itself, JSON-RPC 2.0 section 5.1. */
typedef enum RpcCode {
        RPC_PARSE_ERROR,      /* -32700 */
        RPC_INVALID_REQUEST,  /* -32600 */
        RPC_METHOD_NOT_FOUND, /* -32601 */
        RPC_INVALID_PARAMS,   /* -32602 */
        RPC_INTERNAL_ERROR,   /* -32603 */
        RPC_CODE_MAX,
} RpcCode;

#define RPC_APPLICATION_ERROR (-32000)

/* "not-allowed" and so on. Constant strings. */
const char *reason_to_text(Reason r);
/* The number on the wire, and a key for statistics ("parse_error"). */
int rpc_code_to_number(RpcCode c);
const char *rpc_code_to_text(RpcCode c);
