/* SPDX-License-Identifier: MIT */
#include "rpc/error.h"

#include <assert.h>

#include "base/macros.h"

const char *reason_to_text(Reason r)
{
        static const char *const texts[] = {
                [REASON_NOT_ALLOWED] = "not-allowed",
                [REASON_NOT_PRIVILEGED] = "not-privileged",
                [REASON_UNSUPPORTED] = "unsupported",
                [REASON_NOT_READY] = "not-ready",
                [REASON_UNAVAILABLE] = "unavailable",
                [REASON_BUSY] = "busy",
                [REASON_LIMIT] = "limit",
                [REASON_TIMEOUT] = "timeout",
                [REASON_CANCELLED] = "cancelled",
                [REASON_NOT_FOUND] = "not-found",
                [REASON_EXISTS] = "exists",
                [REASON_FAILED] = "failed",
        };
        static_assert(ELEMENTSOF(texts) == REASON_MAX, "a reason without a text");

        assert((unsigned)r < REASON_MAX);
        return texts[r];
}

typedef struct CodeText CodeText;

struct CodeText {
        int number;
        const char *text;
};

static const CodeText codes[] = {
        [RPC_PARSE_ERROR] = { -32700, "parse_error" },
        [RPC_INVALID_REQUEST] = { -32600, "invalid_request" },
        [RPC_METHOD_NOT_FOUND] = { -32601, "method_not_found" },
        [RPC_INVALID_PARAMS] = { -32602, "invalid_params" },
        [RPC_INTERNAL_ERROR] = { -32603, "internal_error" },
};
static_assert(ELEMENTSOF(codes) == RPC_CODE_MAX, "a code without a number");

int rpc_code_to_number(RpcCode c)
{
        assert((unsigned)c < RPC_CODE_MAX);
        return codes[c].number;
}

const char *rpc_code_to_text(RpcCode c)
{
        assert((unsigned)c < RPC_CODE_MAX);
        return codes[c].text;
}
