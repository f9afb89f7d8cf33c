/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What this machine runs in, in systemd-detect-virt(1)'s words ("kvm", "qemu", "microsoft",
 * "vmware", "oracle", "xen", "uml", "docker", ...), "none" on bare metal. Found out once,
 * from /run/systemd/container, the CPU's hypervisor leaf, DMI and the device tree. A constant
 * string.
 */
const char *virtualization_detect(void);
