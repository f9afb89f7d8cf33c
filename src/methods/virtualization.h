/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What this machine runs in, in systemd-detect-virt(1)'s words ("kvm", "qemu", "microsoft",
 * "vmware", "oracle", "xen", "uml", "docker", ...), "none" on bare metal. Found out once,
 * from /run/systemd/container, the CPU's hypervisor leaf, DMI and the device tree. A constant
 * string.
 */
const char *virtualization_detect(void);

/*
 * The judgement behind it, for tests: files are looked for below `root` ("" for the real one);
 * `hypervisor` is the CPU's hypervisor signature of 12 characters, "" where the CPU has the
 * leaf's bit but nothing to say, NULL where there is no hypervisor bit.
 */
const char *virtualization_judge(const char *root, const char *hypervisor);
