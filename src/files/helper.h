/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * `guestwired --internal-files`: a process of its own that works on files for one caller, as the
 * user that he names. It may block, and be ended, without anybody else's harm. Standard input is
 * its socket to the daemon (helper-wire.h).
 */
_Noreturn void helper_main(void);
