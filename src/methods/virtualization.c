/* SPDX-License-Identifier: MIT */
#include "methods/virtualization.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "base/macros.h"
#include "methods/facts.h"

#define SIGNATURE_LENGTH 12U
#define OTHER_VM "vm-other"

typedef struct Word Word;

/* What a source says, and systemd-detect-virt's word for it. */
struct Word {
        const char *text;
        const char *word;
};

static const Word containers[] = {
        { "lxc", "lxc" },
        { "lxc-libvirt", "lxc-libvirt" },
        { "systemd-nspawn", "systemd-nspawn" },
        { "docker", "docker" },
        { "podman", "podman" },
        { "rkt", "rkt" },
        { "wsl", "wsl" },
        { "proot", "proot" },
        { "pouch", "pouch" },
};

static const Word signatures[] = {
        { "XenVMMXenVMM", "xen" },   { "KVMKVMKVM", "kvm" },       { "Linux KVM Hv", "kvm" },
        { "TCGTCGTCGTCG", "qemu" },  { "VMwareVMware", "vmware" }, { "Microsoft Hv", "microsoft" },
        { "bhyve bhyve ", "bhyve" }, { "QNXQVMBSQG", "qnx" },      { "ACRNACRNACRN", "acrn" },
        { "SRESRESRESRE", "sre" },   { "Apple VZ", "apple" },      { " lrpepyh  vr", "parallels" },
};

/* In systemd's order: KVM before QEMU, since QEMU with KVM names both. Prefixes. */
static const Word dmi_vendors[] = {
        { "KVM", "kvm" },
        { "OpenStack", "kvm" },
        { "KubeVirt", "kvm" },
        { "Amazon EC2", "amazon" },
        { "QEMU", "qemu" },
        { "VMware", "vmware" },
        { "VMW", "vmware" },
        { "innotek GmbH", "oracle" },
        { "VirtualBox", "oracle" },
        { "Oracle Corporation", "oracle" },
        { "Xen", "xen" },
        { "Bochs", "bochs" },
        { "Parallels", "parallels" },
        { "BHYVE", "bhyve" },
        { "Hyper-V", "microsoft" },
        { "Apple Virtualization", "apple" },
        { "Google Compute Engine", "google" },
};

static const char *const dmi_files[] = {
        "/sys/class/dmi/id/product_name",    "/sys/class/dmi/id/sys_vendor",
        "/sys/class/dmi/id/board_vendor",    "/sys/class/dmi/id/bios_vendor",
        "/sys/class/dmi/id/product_version",
};

/*
 * Only the container manager's own word: a /.dockerenv proves nothing, since the root file
 * systems of VMs are often made from container images.
 */
static const char *judge_container(const char *root)
{
        char text[64];

        if (facts_read(root, "/run/systemd/container", text, sizeof text) <= 0)
                return NULL;
        text[strcspn(text, "\n")] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(containers); i++)
                if (strcmp(text, containers[i].text) == 0)
                        return containers[i].word;
        return text[0] != '\0' ? "container-other" : NULL;
}

/* User-mode Linux passes the real CPU's flags on, so that it has to be asked before the CPU. */
static bool judge_uml(const char *root)
{
        char text[512];

        return facts_read(root, "/proc/cpuinfo", text, sizeof text) > 0 &&
               strstr(text, "\nvendor_id\t: User Mode Linux\n");
}

static const char *judge_signature(const char *hypervisor)
{
        if (!hypervisor)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(signatures); i++)
                if (strncmp(hypervisor, signatures[i].text, SIGNATURE_LENGTH) == 0)
                        return signatures[i].word;
        return OTHER_VM;
}

static const char *judge_dmi(const char *root)
{
        for (size_t i = 0; i < ELEMENTSOF(dmi_files); i++) {
                char text[256];

                if (facts_read(root, dmi_files[i], text, sizeof text) <= 0)
                        continue;
                text[strcspn(text, "\n")] = '\0';
                /* EC2's bare metal carries the vendor's name as its VMs do. */
                if (i == 0 && strlen(text) > 6 && strcmp(text + strlen(text) - 6, ".metal") == 0)
                        return NULL;
                for (size_t j = 0; j < ELEMENTSOF(dmi_vendors); j++)
                        if (strncmp(text, dmi_vendors[j].text, strlen(dmi_vendors[j].text)) == 0)
                                return dmi_vendors[j].word;
        }
        return NULL;
}

/* Arm, POWER and RISC-V guests have no CPUID, and often no DMI. */
static const char *judge_device_tree(const char *root)
{
        char text[256];

        if (facts_read(root, "/proc/device-tree/hypervisor/compatible", text, sizeof text) > 0) {
                if (strcmp(text, "linux,kvm") == 0)
                        return "kvm";
                if (strstr(text, "xen"))
                        return "xen";
                if (strstr(text, "vmware"))
                        return "vmware";
                return OTHER_VM;
        }
        if (facts_read(root, "/proc/device-tree/compatible", text, sizeof text) > 0 &&
            (strcmp(text, "qemu,pseries") == 0 || strcmp(text, "linux,dummy-virt") == 0))
                return "qemu";
        return NULL;
}

/* The first domain of Xen is the host itself, though it runs on the hypervisor. */
static bool judge_is_xen_dom0(const char *root)
{
        char text[256];

        return facts_read(root, "/proc/xen/capabilities", text, sizeof text) > 0 &&
               strstr(text, "control_d");
}

static const char *judge_vm(const char *root, const char *hypervisor)
{
        /* These speak through KVM's or another's CPU signature; only DMI tells them apart. */
        static const char *const by_dmi_first[] = { "oracle", "xen", "amazon", "parallels" };
        const char *dmi = judge_dmi(root);
        const char *word;

        for (size_t i = 0; dmi && i < ELEMENTSOF(by_dmi_first); i++)
                if (strcmp(dmi, by_dmi_first[i]) == 0)
                        return dmi;
        if (judge_uml(root))
                return "uml";
        word = judge_signature(hypervisor);
        if (word && strcmp(word, OTHER_VM) != 0)
                return word;
        if (dmi)
                return dmi;
        if (word)
                return word;
        return judge_device_tree(root);
}

const char *virtualization_judge(const char *root, const char *hypervisor)
{
        const char *word = judge_container(root);

        if (!word)
                word = judge_vm(root, hypervisor);
        if (word && strcmp(word, "xen") == 0 && judge_is_xen_dom0(root))
                word = NULL;
        return word ?: "none";
}

/* Fills ret (SIGNATURE_LENGTH + 1) and returns it; NULL where the CPU shows no hypervisor. */
static const char *cpu_hypervisor(char *ret)
{
#if defined(__x86_64__) || defined(__i386__)
        unsigned eax, ebx, ecx, edx;

        /* CPUID leaf 1, ECX bit 31: "a hypervisor is present"; its signature is at 0x40000000. */
        if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & (1U << 31)))
                return NULL;
        __cpuid(0x40000000U, eax, ebx, ecx, edx);
        memcpy(ret, &ebx, 4);
        memcpy(ret + 4, &ecx, 4);
        memcpy(ret + 8, &edx, 4);
        ret[SIGNATURE_LENGTH] = '\0';
        return ret;
#else
        return NULL;
#endif
}

const char *virtualization_detect(void)
{
        static const char *word;
        char signature[SIGNATURE_LENGTH + 1];

        if (!word)
                word = virtualization_judge("", cpu_hypervisor(signature));
        return word;
}
