/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vm_sockets.h>

#include "base/text.h"
#include "io/cids.h"
#include "io/problem.h"
#include "io/vsock.h"

/* No caller has VMADDR_CID_ANY: the last CID that a set can hold is the one before it. */
#define CID_LAST (VMADDR_CID_ANY - 1U)

static int cid_set_add(CidSet *s, uint32_t first, uint32_t last)
{
        CidRange *ranges;

        ranges = reallocarray(s->ranges, s->n + 1, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;
        s->ranges = ranges;
        s->ranges[s->n++] = (CidRange){ .first = first, .last = last };
        return 0;
}

static int entry_refuse(const char *entry, const char *why, char **ret_problem)
{
        _cleanup_free_ char *shown = text_show(entry, strlen(entry), 60);

        if (!shown)
                return -ENOMEM;
        return problem_take(ret_problem, text_format("'%s' %s", shown, why), -EINVAL);
}

/* dash: the one in entry, which is cut in two there. */
static int cid_set_parse_range(CidSet *s, char *entry, char *dash, char **ret_problem)
{
        uint32_t first, last;
        int r, q;

        *dash = '\0';
        r = text_to_u32(text_strip(entry), &first);
        q = text_to_u32(text_strip(dash + 1), &last);
        *dash = '-';
        if (r < 0 || q < 0)
                return entry_refuse(entry, "is not a range of CIDs: write it as 5-99", ret_problem);
        if (first > last)
                return entry_refuse(entry, "is a range that ends before it begins: swap its ends",
                                    ret_problem);
        if (last > CID_LAST)
                return entry_refuse(entry,
                                    "holds 4294967295, which is nobody's CID: end the range at "
                                    "4294967294, or write any",
                                    ret_problem);
        return cid_set_add(s, first, last);
}

static int cid_set_parse_entry(CidSet *s, char *entry, char **ret_problem)
{
        uint32_t cid;
        char *dash;
        int r;

        if (strcmp(entry, "any") == 0)
                return cid_set_add(s, 0, CID_LAST);
        if (*entry == '\0')
                return problem_take(ret_problem,
                                    text_format("an entry between commas is empty: write CIDs as "
                                                "in 'host, 5-99'"),
                                    -EINVAL);
        dash = strchr(entry, '-');
        if (dash)
                return cid_set_parse_range(s, entry, dash, ret_problem);
        r = vsock_cid_from_text(entry, &cid);
        if (r == -ERANGE)
                return entry_refuse(entry, "is too large for a CID: the last is 4294967294",
                                    ret_problem);
        if (r < 0)
                return entry_refuse(entry,
                                    "is no CID: write host, local, any, a number or a range such "
                                    "as 5-99",
                                    ret_problem);
        if (cid > CID_LAST)
                return entry_refuse(entry, "is nobody's CID: to let in everybody write any",
                                    ret_problem);
        if (cid == VMADDR_CID_LOCAL)
                s->names_local = true;
        return cid_set_add(s, cid, cid);
}

int cid_set_parse(const char *text, CidSet *ret, char **ret_problem)
{
        _cleanup_cid_set_ CidSet s = CID_SET_NULL;
        _cleanup_free_ char *copy = strdup(text);
        char *rest, *entry;
        int r;

        if (!copy)
                return -ENOMEM;
        rest = text_strip(copy);
        if (*rest == '\0')
                rest = NULL;
        while ((entry = strsep(&rest, ","))) {
                r = cid_set_parse_entry(&s, text_strip(entry), ret_problem);
                if (r < 0)
                        return r;
        }
        *ret = s;
        s = CID_SET_NULL;
        return 0;
}

static char *range_to_text(const CidSet *s, const CidRange *range)
{
        const char *name;

        if (range->first == 0 && range->last == CID_LAST)
                return strdup("any");
        /* "1-1" lets CID 1 in and does not name it, as peer_is_root() wants it named. */
        if (range->first != range->last || (range->first == VMADDR_CID_LOCAL && !s->names_local))
                return text_format("%" PRIu32 "-%" PRIu32, range->first, range->last);
        name = vsock_cid_name(range->first);
        return name ? strdup(name) : text_format("%" PRIu32, range->first);
}

char *cid_set_to_text(const CidSet *s)
{
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && i < s->n; i++) {
                _cleanup_free_ char *before = TAKE_PTR(text);
                _cleanup_free_ char *range = range_to_text(s, &s->ranges[i]);

                if (range)
                        text = text_format("%s%s%s", before, i > 0 ? ", " : "", range);
        }
        return TAKE_PTR(text);
}

bool cid_set_has(const CidSet *s, uint32_t cid)
{
        for (size_t i = 0; i < s->n; i++)
                if (cid >= s->ranges[i].first && cid <= s->ranges[i].last)
                        return true;
        return false;
}

bool cid_set_is_wider_than_host(const CidSet *s)
{
        for (size_t i = 0; i < s->n; i++) {
                uint32_t first = MAX_OF(s->ranges[i].first, (uint32_t)VMADDR_CID_LOCAL);
                uint32_t last = s->ranges[i].last;

                if (first <= last && (first != VMADDR_CID_HOST || last != VMADDR_CID_HOST))
                        return true;
        }
        return false;
}

void cid_set_done(CidSet *s)
{
        free(s->ranges);
        *s = CID_SET_NULL;
}
