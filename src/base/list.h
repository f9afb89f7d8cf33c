/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/*
 * An intrusive, circular, doubly linked list. A ListLink is the head of a list
 * or a member of one; a link that points at itself is an empty head or a member
 * of nothing. Removing is O(1) and safe to repeat.
 */
typedef struct ListLink ListLink;

struct ListLink {
        ListLink *next;
        ListLink *prev;
};

#define LIST_INIT(link)                          \
        {                                        \
                .next = &(link), .prev = &(link) \
        }

static inline void list_init(ListLink *l)
{
        l->next = l;
        l->prev = l;
}

static inline bool list_is_empty(const ListLink *l)
{
        return l->next == l;
}

static inline void list_append(ListLink *head, ListLink *l)
{
        l->prev = head->prev;
        l->next = head;
        head->prev->next = l;
        head->prev = l;
}

static inline void list_remove(ListLink *l)
{
        l->prev->next = l->next;
        l->next->prev = l->prev;
        list_init(l);
}

/* Walk the links; in the _safe form the current link may be removed by the body. */
#define list_foreach(i, head) for (ListLink *i = (head)->next; i != (head); i = i->next)
#define list_foreach_safe(i, head)                                         \
        for (ListLink *i = (head)->next, *i##_next = i->next; i != (head); \
             i = i##_next, i##_next = i->next)
