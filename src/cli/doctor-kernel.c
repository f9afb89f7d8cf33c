/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/doctor.h"
#include "io/vsock.h"

#define TRANSPORTS_GUEST (VSOCK_TRANSPORT_VIRTIO | VSOCK_TRANSPORT_HYPERV | VSOCK_TRANSPORT_VMCI)
#define VIRTIO_DEVICES "/sys/bus/virtio/devices"
#define VIRTIO_ID_VSOCK "0x0013"

void doctor_check_kernel(Doctor *d)
{
        struct utsname name;
        int r;

        if (uname(&name) < 0)
                strcpy(name.release, "?");
        r = vsock_supported();
        if (r >= 0)
                doctor_say(d, "kernel", DOCTOR_OK, NULL, "Linux %s has AF_VSOCK", name.release);
        else if (r == -EPERM || r == -EACCES)
                doctor_say(d, "kernel", DOCTOR_FAIL,
                           "run outside of the container, or let its seccomp filter pass AF_VSOCK "
                           "sockets",
                           "a socket of AF_VSOCK is forbidden here (%s)", text_errno_name(-r));
        else
                doctor_say(d, "kernel", DOCTOR_FAIL, VSOCK_UNSUPPORTED_TEXT,
                           "Linux %s gives no AF_VSOCK socket (%s)", name.release,
                           text_errno_name(-r));
}

/* The first line of a small file in sysfs; "" where it cannot be read. */
static void read_line(const char *path, char *ret, size_t size)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

        ret[n > 0 ? n : 0] = 0;
        ret[strcspn(ret, "\n")] = 0;
}

static bool has_virtio_device(void)
{
        char path[sizeof(VIRTIO_DEVICES) + 280], id[16];
        bool found = false;
        struct dirent *e;
        DIR *dir;

        dir = opendir(VIRTIO_DEVICES);
        if (!dir)
                return false;
        while (!found && (e = readdir(dir))) {
                (void)snprintf(path, sizeof(path), VIRTIO_DEVICES "/%s/device", e->d_name);
                read_line(path, id, sizeof(id));
                found = strcmp(id, VIRTIO_ID_VSOCK) == 0;
        }
        closedir(dir);
        return found;
}

/* The CPU's hypervisor flag: what is one of x86 says whether this is a VM. */
static bool is_virtual_machine(void)
{
        _cleanup_close_ int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
        char text[8192]; /* the first CPU's flags are in it */
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        text[n > 0 ? n : 0] = 0;
        return strstr(text, " hypervisor") != NULL;
}

/* What would connect this machine, by what it is. */
static const char *transport_todo(void)
{
        char vendor[64];

        if (has_virtio_device())
                return "modprobe vmw_vsock_virtio_transport: the VM has a virtio vsock device, its "
                       "driver is not loaded";
        read_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof(vendor));
        if (strcmp(vendor, "Microsoft Corporation") == 0)
                return "modprobe hv_sock";
        if (strcmp(vendor, "VMware, Inc.") == 0)
                return "modprobe vmw_vsock_vmci_transport, and give the VM a vmci device";
        if (is_virtual_machine())
                return "this is a VM without a vsock device: give it one (QEMU: -device "
                       "vhost-vsock-pci,guest-cid=3; libvirt: <vsock model='virtio'>), then "
                       "modprobe vmw_vsock_virtio_transport. If it is to have guests of its own: "
                       "modprobe vhost_vsock";
        return "for a host: modprobe vhost_vsock. For a guest: give the VM a vsock device";
}

void doctor_check_transports(Doctor *d)
{
        static const struct {
                VsockTransport transport;
                const char *meaning;
        } meanings[] = {
                { VSOCK_TRANSPORT_VIRTIO, "to the host (QEMU, Firecracker, Cloud Hypervisor)" },
                { VSOCK_TRANSPORT_HYPERV, "to the host (Hyper-V)" },
                { VSOCK_TRANSPORT_VMCI, "to the host (VMware)" },
                { VSOCK_TRANSPORT_VHOST, "to guests of this machine" },
                { VSOCK_TRANSPORT_LOOPBACK, "to this machine itself" },
        };

        d->transports = vsock_transports();
        for (size_t i = 0; i < ELEMENTSOF(meanings); i++)
                if (d->transports & meanings[i].transport)
                        doctor_say(d, "transport", DOCTOR_OK, NULL, "%s is there: %s",
                                   vsock_transport_module(meanings[i].transport),
                                   meanings[i].meaning);

        if (d->transports & VSOCK_TRANSPORT_UNKNOWN)
                doctor_say(d, "transport", DOCTOR_WARN, "mount sysfs on /sys",
                           "which transports are loaded cannot be seen: there is no /sys/module");
        else if (d->transports == 0)
                doctor_say(d, "transport", DOCTOR_FAIL, transport_todo(),
                           "no vsock transport is loaded: nobody can call, nobody can be called");
        else if (!(d->transports & (TRANSPORTS_GUEST | VSOCK_TRANSPORT_VHOST)))
                doctor_say(d, "transport", DOCTOR_WARN, transport_todo(),
                           "only loopback is loaded: no host and no guest can be reached");
}

void doctor_check_devices(Doctor *d)
{
        struct stat st;
        unsigned mode;

        if (stat("/dev/vsock", &st) < 0)
                doctor_say(d, "device", DOCTOR_FAIL,
                           "modprobe vsock; in a container pass the device in", "/dev/vsock: %s",
                           strerror(errno));
        else if (!S_ISCHR(st.st_mode))
                doctor_say(d, "device", DOCTOR_FAIL,
                           "remove it, and load vsock anew (rmmod, modprobe)",
                           "/dev/vsock is no device");
        else if (mode = st.st_mode & 07777, (mode & 0666) != 0666)
                doctor_say(d, "device", DOCTOR_WARN,
                           "chmod 0666 /dev/vsock; where udev runs it does so by itself",
                           "/dev/vsock has mode %04o: programs that are not root cannot ask for "
                           "the CID",
                           mode);
        else
                doctor_say(d, "device", DOCTOR_OK, NULL, "/dev/vsock has mode %04o", mode);

        if (!(d->transports & VSOCK_TRANSPORT_VHOST))
                return;
        if (stat("/dev/vhost-vsock", &st) < 0)
                doctor_say(d, "device", DOCTOR_FAIL,
                           "modprobe -r vhost_vsock; modprobe vhost_vsock",
                           "/dev/vhost-vsock: %s, though vhost_vsock is loaded", strerror(errno));
        else if (access("/dev/vhost-vsock", R_OK | W_OK) < 0)
                doctor_say(d, "device", DOCTOR_WARN,
                           "start the VMM as root or in the group that owns it (often kvm)",
                           "/dev/vhost-vsock has mode %04o: we could start no guest with vsock",
                           st.st_mode & 07777);
        else
                doctor_say(d, "device", DOCTOR_OK, NULL, "/dev/vhost-vsock can be opened");
}

void doctor_check_cid(Doctor *d)
{
        uint32_t cid;
        int r;

        r = vsock_get_cid(&cid);
        if (r < 0) {
                doctor_say(d, "cid", DOCTOR_WARN, "see to /dev/vsock first",
                           "the CID is not known: /dev/vsock does not answer (%s)",
                           text_errno_name(-r));
                return;
        }
        if (cid == VMADDR_CID_ANY && !(d->transports & VSOCK_TRANSPORT_HYPERV)) {
                doctor_say(d, "cid", DOCTOR_WARN,
                           "load the transport that is missing; a guest's CID is its VMM's to "
                           "give",
                           "CID %" PRIu32 ": %s", cid, vsock_cid_meaning(cid));
                return;
        }
        doctor_say(d, "cid", cid == VMADDR_CID_LOCAL ? DOCTOR_WARN : DOCTOR_OK,
                   cid == VMADDR_CID_LOCAL ? "load a transport to a host or to guests, if there "
                                             "are to be any"
                                           : NULL,
                   "CID %" PRIu32 ": %s", cid, vsock_cid_meaning(cid));
}
