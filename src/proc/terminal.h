/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

/*
 * A new terminal for a program: what a person would sit at is the master, the program's three
 * descriptors are the slave (SpawnSettings.fds, with .terminal set). The slave belongs to the user,
 * as login(1) leaves it. The master is non-blocking; read() says EIO once no program has the
 * slave open. rows and columns are at most 65535; 0 is "not known". 0, or -errno: ENOSPC where
 * the system has no terminal left.
 */
int terminal_open(unsigned rows, unsigned columns, uid_t uid, gid_t gid, int *ret_master,
                  int *ret_slave);

/* What is in the foreground there is sent SIGWINCH. 0; -ERANGE; -errno. */
int terminal_resize(int master, unsigned rows, unsigned columns);
