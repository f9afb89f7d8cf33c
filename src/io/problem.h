/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

/*
 * Ends a function whose errors come with a sentence for people: hands `text` (taken over, as
 * text_format() gives it) to the caller who asked for one. Returns error (negative), or
 * -ENOMEM where there was no memory for the sentence.
 */
static inline int problem_take(char **ret, char *text, int error)
{
        if (!text)
                return -ENOMEM;
        if (ret)
                *ret = text;
        else
                free(text);
        return error;
}
