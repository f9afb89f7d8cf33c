/* SPDX-License-Identifier: MIT */
#include "handlers/handler.h"

#include <assert.h>

const Handler *handler_get(HandlerKind kind)
{
        static const Handler *const handlers[HANDLER_KIND_MAX] = {
                [HANDLER_RPC] = &handler_rpc,
                [HANDLER_ECHO] = &handler_echo,
                [HANDLER_FORWARD] = &handler_forward,
                [HANDLER_EXEC] = &handler_exec,
        };

        assert(kind < HANDLER_KIND_MAX);
        return handlers[kind];
}
