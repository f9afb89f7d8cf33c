/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "methods/context.h"
#include "methods/members.h"
#include "methods/netlink.h"
#include "rpc/call.h"

/* A table that changes under each of so many dumps is shown as it is. */
#define DUMPS_MAX 3U

typedef struct Link Link;
typedef struct Links Links;

struct Link {
        int index;
        Members members;
        json_object *addresses; /* owned by members */
};

/* All interfaces, in the order of their indexes once the first dump is through. */
struct Links {
        Link *list;
        size_t n;
        size_t capacity;
};

/* RFC 2863, and the kernel's operstates[] in net/core/net-sysfs.c. */
static const char *const states[] = { "unknown", "notpresent", "down", "lowerlayerdown",
                                      "testing", "dormant",    "up" };

static const struct {
        unsigned bit;
        const char *name;
} flag_names[] = {
        { IFF_UP, "up" },
        { IFF_BROADCAST, "broadcast" },
        { IFF_LOOPBACK, "loopback" },
        { IFF_POINTOPOINT, "pointopoint" },
        { IFF_RUNNING, "running" },
        { IFF_NOARP, "noarp" },
        { IFF_PROMISC, "promisc" },
        { IFF_MASTER, "master" },
        { IFF_SLAVE, "slave" },
        { IFF_MULTICAST, "multicast" },
};

static void links_done(Links *l)
{
        for (size_t i = 0; i < l->n; i++)
                members_done(&l->list[i].members);
        free(l->list);
        *l = (Links){};
}

static Link *links_add(Links *l)
{
        if (l->n == l->capacity) {
                size_t capacity = l->capacity > 0 ? l->capacity * 2 : 8;
                Link *list = reallocarray(l->list, capacity, sizeof *list);

                if (!list)
                        return NULL;
                l->list = list;
                l->capacity = capacity;
        }
        l->list[l->n] = (Link){};
        return &l->list[l->n++];
}

static int link_compare(const void *a, const void *b)
{
        const Link *x = a, *y = b;

        return (x->index > y->index) - (x->index < y->index);
}

static uint32_t attribute_u32(const struct rtattr *a)
{
        uint32_t value = 0;

        if (a && RTA_PAYLOAD(a) >= sizeof value)
                memcpy(&value, RTA_DATA(a), sizeof value);
        return value;
}

/* Sorts the attributes into table[0 .. max] by type. */
static void attributes_sort(const struct rtattr *first, size_t length, const struct rtattr **table,
                            unsigned max)
{
        unsigned left = (unsigned)length;

        for (const struct rtattr *a = first; RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (a->rta_type <= max)
                        table[a->rta_type] = a;
}

static void link_add_name(Link *l, const struct rtattr *name)
{
        const char *text = name ? RTA_DATA(name) : "";

        members_add_value(&l->members, "name",
                          members_text(text, name ? strnlen(text, RTA_PAYLOAD(name)) : 0));
}

/* As sysfs writes it; null where the interface has none, or a tunnel's end instead. */
static void link_add_mac(Link *l, const struct rtattr *address)
{
        enum { SHORTEST = 6, LONGEST = 32 };
        size_t n = address ? RTA_PAYLOAD(address) : 0;
        const unsigned char *bytes = address ? RTA_DATA(address) : NULL;
        char text[3 * LONGEST + 1];

        if (n < SHORTEST || n > LONGEST) {
                members_add_null(&l->members, "mac");
                return;
        }
        for (size_t i = 0; i < n; i++)
                (void)snprintf(text + 3 * i, 4, "%02x%s", bytes[i], i + 1 < n ? ":" : "");
        members_add_text(&l->members, "mac", text);
}

static void link_add_flags(Link *l, unsigned flags)
{
        _cleanup_json_ json_object *array = json_object_new_array();

        for (size_t i = 0; i < ELEMENTSOF(flag_names); i++)
                if ((flags & flag_names[i].bit) &&
                    members_array_take(array, json_object_new_string(flag_names[i].name)) < 0) {
                        l->members.failed = true;
                        return;
                }
        members_add_value(&l->members, "flags", TAKE_PTR(array));
}

static void link_add_counters(Link *l, const struct rtattr *stats)
{
        struct rtnl_link_stats64 s = {};
        Members m;

        /* Newer kernels append members, older ones have fewer. */
        if (stats)
                memcpy(&s, RTA_DATA(stats), MIN_OF((size_t)RTA_PAYLOAD(stats), sizeof s));
        members_init(&m);
        members_add_unsigned(&m, "rx_bytes", s.rx_bytes);
        members_add_unsigned(&m, "tx_bytes", s.tx_bytes);
        members_add_unsigned(&m, "rx_packets", s.rx_packets);
        members_add_unsigned(&m, "tx_packets", s.tx_packets);
        members_add_unsigned(&m, "rx_errors", s.rx_errors);
        members_add_unsigned(&m, "tx_errors", s.tx_errors);
        members_add_unsigned(&m, "rx_dropped", s.rx_dropped);
        members_add_unsigned(&m, "tx_dropped", s.tx_dropped);
        members_add_members(&l->members, "counters", &m);
}

static int links_on_link(const struct nlmsghdr *message, void *userdata)
{
        const struct rtattr *table[IFLA_MAX + 1] = {};
        const struct ifinfomsg *info = NLMSG_DATA(message);
        const struct rtattr *state;
        unsigned char operstate = IF_OPER_UNKNOWN;
        Link *l;

        if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof *info))
                return 0;
        l = links_add(userdata);
        if (!l)
                return -ENOMEM;
        attributes_sort(IFLA_RTA(info), IFLA_PAYLOAD(message), table, IFLA_MAX);
        l->index = info->ifi_index;
        members_init(&l->members);
        link_add_name(l, table[IFLA_IFNAME]);
        members_add_unsigned(&l->members, "index", (uint64_t)MAX_OF(info->ifi_index, 0));
        link_add_mac(l, table[IFLA_ADDRESS]);
        state = table[IFLA_OPERSTATE];
        if (state && RTA_PAYLOAD(state) >= sizeof operstate)
                operstate = *(const unsigned char *)RTA_DATA(state);
        members_add_text(&l->members, "state",
                         states[operstate < ELEMENTSOF(states) ? operstate : IF_OPER_UNKNOWN]);
        link_add_flags(l, info->ifi_flags);
        members_add_unsigned(&l->members, "mtu", attribute_u32(table[IFLA_MTU]));
        l->addresses = json_object_new_array();
        members_add_value(&l->members, "addresses", l->addresses);
        link_add_counters(l, table[IFLA_STATS64]);
        return l->members.failed ? -ENOMEM : 0;
}

static int links_on_address(const struct nlmsghdr *message, void *userdata)
{
        const struct rtattr *table[IFA_MAX + 1] = {};
        const struct ifaddrmsg *info = NLMSG_DATA(message);
        const struct rtattr *address;
        char text[INET6_ADDRSTRLEN];
        Links *links = userdata;
        Link *l;
        Members m;

        if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof *info))
                return 0;
        if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
                return 0;
        l = bsearch(&(Link){ .index = (int)info->ifa_index }, links->list, links->n, sizeof *l,
                    link_compare);
        attributes_sort(IFA_RTA(info), IFA_PAYLOAD(message), table, IFA_MAX);
        /* On a link between two points IFA_ADDRESS is the other one's. */
        address = table[IFA_LOCAL] ?: table[IFA_ADDRESS];
        if (!l || !address ||
            RTA_PAYLOAD(address) < (info->ifa_family == AF_INET ? sizeof(struct in_addr)
                                                                : sizeof(struct in6_addr)))
                return 0;
        if (!inet_ntop(info->ifa_family, RTA_DATA(address), text, sizeof text))
                return 0;
        members_init(&m);
        members_add_text(&m, "family", info->ifa_family == AF_INET ? "inet" : "inet6");
        members_add_text(&m, "address", text);
        members_add_unsigned(&m, "prefix", info->ifa_prefixlen);
        return members_array_take(l->addresses, members_take(&m));
}

/* 0; -EAGAIN: complete, but the tables changed while they were read; -errno. */
static int links_read(int fd, Links *l)
{
        int torn, r;

        torn = netlink_dump(fd, RTM_GETLINK, links_on_link, l);
        if (torn < 0 && torn != -EAGAIN)
                return torn;
        if (l->n > 0)
                qsort(l->list, l->n, sizeof *l->list, link_compare);
        r = netlink_dump(fd, RTM_GETADDR, links_on_address, l);
        return r < 0 ? r : torn;
}

static json_object *links_take(Links *l)
{
        _cleanup_json_ json_object *array = json_object_new_array();
        Members m;

        for (size_t i = 0; i < l->n; i++)
                if (members_array_take(array, members_take(&l->list[i].members)) < 0)
                        return NULL;
        members_init(&m);
        members_add_value(&m, "interfaces", TAKE_PTR(array));
        return members_take(&m);
}

static void system_network(Call *call, json_object *params, void *userdata)
{
        _cleanup_close_ int fd = netlink_open();
        _cleanup_(links_done) Links links = {};
        int r = fd;

        if (fd >= 0)
                r = -EAGAIN;
        for (unsigned i = 0; r == -EAGAIN && i < DUMPS_MAX; i++) {
                links_done(&links);
                r = links_read(fd, &links);
        }
        if (r == -ENOMEM)
                call_reply(call, NULL);
        else if (r < 0 && r != -EAGAIN)
                call_fail(call, REASON_UNAVAILABLE, -r,
                          "The kernel does not list its interfaces: %s", strerror(-r));
        else
                call_reply(call, links_take(&links));
}

static const Field address_fields[] = {
        { "family", FIELD_STRING, 0, "inet or inet6", NULL },
        { "address", FIELD_STRING, 0, "The address as text", NULL },
        { "prefix", FIELD_INTEGER, 0, "Length of the network's prefix, in bits", NULL },
        {},
};

static const Field counters_fields[] = {
        { "rx_bytes", FIELD_INTEGER, 0, "Bytes received", NULL },
        { "tx_bytes", FIELD_INTEGER, 0, "Bytes sent", NULL },
        { "rx_packets", FIELD_INTEGER, 0, "Packets received", NULL },
        { "tx_packets", FIELD_INTEGER, 0, "Packets sent", NULL },
        { "rx_errors", FIELD_INTEGER, 0, "Packets received in error", NULL },
        { "tx_errors", FIELD_INTEGER, 0, "Packets that could not be sent", NULL },
        { "rx_dropped", FIELD_INTEGER, 0, "Packets received and dropped", NULL },
        { "tx_dropped", FIELD_INTEGER, 0, "Packets dropped on their way out", NULL },
        {},
};

static const Field interface_fields[] = {
        { "name", FIELD_STRING, 0, "The interface's name", NULL },
        { "index", FIELD_INTEGER, 0, "Its number in the kernel", NULL },
        { "mac", FIELD_STRING, FIELD_NULLABLE, "Its hardware address; null where it has none",
          NULL },
        { "state", FIELD_STRING, 0,
          "up, down, unknown, dormant, testing, lowerlayerdown or notpresent", NULL },
        { "flags", FIELD_ARRAY, 0, "up, loopback, running and the like, as ip-link(8) names them",
          NULL },
        { "mtu", FIELD_INTEGER, 0, "Largest packet, in bytes", NULL },
        { "addresses", FIELD_ARRAY, 0, "Its addresses", address_fields },
        { "counters", FIELD_OBJECT, 0, "Since the interface came up", counters_fields },
        {},
};

static const Field network_fields[] = {
        { "interfaces", FIELD_ARRAY, 0, "In the order of their indexes", interface_fields },
        {},
};

const Method network_methods[] = {
        { .name = "system.network",
          .run = system_network,
          .summary = "Lists the network interfaces with addresses, state and counters",
          .result = network_fields,
          .reasons = 1U << REASON_UNAVAILABLE },
        {},
};
