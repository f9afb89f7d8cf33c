/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/vsock.h"

/* All of Hyper-V's template for vsock ports but its first field, which is the port in hex. */
#define GUID_TAIL "-facb-11e6-bd58-64006a7986d3"

typedef struct CidName CidName;
typedef struct TransportFact TransportFact;

struct CidName {
        const char *name;
        uint32_t cid;
};

/* The first name of a CID is the one it is printed with. */
static const CidName cid_names[] = {
        { "any", VMADDR_CID_ANY },     { "hypervisor", VMADDR_CID_HYPERVISOR },
        { "local", VMADDR_CID_LOCAL }, { "loopback", VMADDR_CID_LOCAL },
        { "lo", VMADDR_CID_LOCAL },    { "host", VMADDR_CID_HOST },
        { "parent", VMADDR_CID_HOST },
};

struct TransportFact {
        VsockTransport transport;
        const char *module;
        const char *built_in; /* what registers itself in sysfs without a module, or NULL */
};

static const TransportFact transports[] = {
        { VSOCK_TRANSPORT_VIRTIO, "vmw_vsock_virtio_transport",
          "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport" },
        { VSOCK_TRANSPORT_HYPERV, "hv_sock", "/sys/bus/vmbus/drivers/hv_sock" },
        /* It has a MODULE_VERSION, which gives it a folder in /sys/module either way. */
        { VSOCK_TRANSPORT_VMCI, "vmw_vsock_vmci_transport", NULL },
        { VSOCK_TRANSPORT_LOOPBACK, "vsock_loopback", NULL },
        { VSOCK_TRANSPORT_VHOST, "vhost_vsock", "/sys/class/misc/vhost-vsock" },
};

int vsock_get_cid(uint32_t *ret)
{
        _cleanup_close_ int fd = -EBADF;
        unsigned cid = VMADDR_CID_ANY;

        fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
                return -errno;

        *ret = cid;
        return 0;
}

bool vsock_cid_is_guest(uint32_t cid)
{
        return cid > VMADDR_CID_HOST && cid != VMADDR_CID_ANY;
}

const char *vsock_cid_meaning(uint32_t cid)
{
        switch (cid) {
        case VMADDR_CID_ANY:
                return "the kernel knows no CID of this machine: no transport is loaded, the VM "
                       "has no vsock device, or it runs on Hyper-V, where guests have none";
        case VMADDR_CID_HYPERVISOR:
                return "the hypervisor's own CID";
        case VMADDR_CID_LOCAL:
                return "loopback: only vsock_loopback is there, so callers can come from this "
                       "machine alone";
        case VMADDR_CID_HOST:
                return "host: vhost_vsock is loaded, this machine can have guests and no CID "
                       "of a guest's own is known";
        default:
                return "this guest's own CID, by which its host calls it";
        }
}

const char *vsock_cid_name(uint32_t cid)
{
        for (size_t i = 0; i < ELEMENTSOF(cid_names); i++)
                if (cid_names[i].cid == cid)
                        return cid_names[i].name;
        return NULL;
}

int vsock_cid_from_text(const char *text, uint32_t *ret)
{
        for (size_t i = 0; i < ELEMENTSOF(cid_names); i++)
                if (strcmp(cid_names[i].name, text) == 0) {
                        *ret = cid_names[i].cid;
                        return 0;
                }
        return text_to_u32(text, ret);
}

void vsock_guid_from_port(char ret[static VSOCK_GUID_LENGTH + 1], uint32_t port)
{
        (void)snprintf(ret, VSOCK_GUID_LENGTH + 1, "%08" PRIx32 GUID_TAIL, port);
}

int vsock_guid_to_port(const char *guid, uint32_t *ret)
{
        static const char digits[] = "0123456789abcdefABCDEF";
        char hex[2 + 8 + 1] = "0x";

        if (strlen(guid) != VSOCK_GUID_LENGTH || strspn(guid, digits) != 8 ||
            strcasecmp(guid + 8, GUID_TAIL) != 0)
                return -EINVAL;
        memcpy(hex + 2, guid, 8);
        return text_to_u32(hex, ret);
}

static bool exists(const char *path)
{
        return access(path, F_OK) == 0;
}

bool vsock_is_there(void)
{
        return exists("/sys/module/vsock") || !exists("/sys/module");
}

unsigned vsock_transports(void)
{
        unsigned mask = 0;
        uint32_t cid;

        if (!exists("/sys/module"))
                mask |= VSOCK_TRANSPORT_UNKNOWN;
        for (size_t i = 0; i < ELEMENTSOF(transports); i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/sys/module/%s", transports[i].module);
                if (exists(path) || (transports[i].built_in && exists(transports[i].built_in)))
                        mask |= transports[i].transport;
        }
        /* The kernel answers 1 only for a registered loopback transport. */
        if (!(mask & VSOCK_TRANSPORT_LOOPBACK) && vsock_get_cid(&cid) == 0 &&
            cid == VMADDR_CID_LOCAL)
                mask |= VSOCK_TRANSPORT_LOOPBACK;
        return mask;
}

const char *vsock_transport_module(VsockTransport t)
{
        for (size_t i = 0; i < ELEMENTSOF(transports); i++)
                if (transports[i].transport == t)
                        return transports[i].module;
        return NULL;
}

int vsock_supported(void)
{
        _cleanup_close_ int fd = -EBADF;

        fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return fd < 0 ? -errno : 0;
}
