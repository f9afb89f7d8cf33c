/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* Facts of AF_VSOCK in this kernel: the CID, the transports, Hyper-V's names for ports. */
#define VSOCK_GUID_LENGTH 36U /* 8-4-4-4-12, without the NUL */

/* What to tell people where socket(AF_VSOCK) fails with EAFNOSUPPORT. */
#define VSOCK_UNSUPPORTED_TEXT                                        \
        "no AF_VSOCK in this kernel: modprobe vsock and a transport " \
        "(vmw_vsock_virtio_transport, hv_sock or vsock_loopback), "   \
        "or build the kernel with CONFIG_VSOCKETS"

/*
 * Asks /dev/vsock with IOCTL_VM_SOCKETS_GET_LOCAL_CID, anew each time: the answer changes
 * when a VM is restored or migrated. 0; -errno where there is no device (-ENOENT) or it may
 * not be opened.
 */
int vsock_get_cid(uint32_t *ret);

/* Whether a CID that the kernel reported is a guest's own (3 and up, not 4294967295). */
bool vsock_cid_is_guest(uint32_t cid);

/* One sentence that explains a CID as vsock_get_cid() gives it. A constant string. */
const char *vsock_cid_meaning(uint32_t cid);

/* "any", "hypervisor", "local", "host" for the well-known ones, else NULL. A constant string. */
const char *vsock_cid_name(uint32_t cid);
/* A number or a name (any, hypervisor, local, loopback, lo, host, parent). 0 or -EINVAL/-ERANGE. */
int vsock_cid_from_text(const char *text, uint32_t *ret);

/* The Hyper-V service GUID of a port, in lower case, and back (-EINVAL for any other GUID). */
void vsock_guid_from_port(char ret[static VSOCK_GUID_LENGTH + 1], uint32_t port);
int vsock_guid_to_port(const char *guid, uint32_t *ret);

typedef enum VsockTransport {
        VSOCK_TRANSPORT_VIRTIO = 1 << 0,   /* guest of QEMU, Firecracker, Cloud Hypervisor */
        VSOCK_TRANSPORT_HYPERV = 1 << 1,   /* guest of Hyper-V (hv_sock) */
        VSOCK_TRANSPORT_VMCI = 1 << 2,     /* guest of VMware */
        VSOCK_TRANSPORT_LOOPBACK = 1 << 3, /* CID 1 */
        VSOCK_TRANSPORT_VHOST = 1 << 4,    /* this machine is itself a host */
        VSOCK_TRANSPORT_UNKNOWN = 1 << 5,  /* sysfs cannot be read: any of them may be there */
} VsockTransport;

/*
 * The transports that the kernel has loaded, as seen under sysfs (/sys/module/X, or the
 * driver's folder on its bus where it is built in); nothing is connected or loaded to find
 * out. A mask of VsockTransport. A vsock_loopback that is built in leaves no trace in sysfs:
 * it shows only where no other transport hides it, by a CID that reads 1.
 */
unsigned vsock_transports(void);
/* The kernel module of one transport: "vmw_vsock_virtio_transport"; NULL for UNKNOWN. */
const char *vsock_transport_module(VsockTransport t);

/* Whether the kernel has AF_VSOCK by now, as far as sysfs tells; loads nothing. */
bool vsock_is_there(void);

/* Whether socket(AF_VSOCK) works in this kernel: 0 or -errno (-EAFNOSUPPORT). May load vsock.ko. */
int vsock_supported(void);
