/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * One record to the journal, in its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL). Not by
 * sd_journal_sendv(), whose socket blocks: a journal that does not read would stop the loop.
 *
 * fields: "NAME=value" each, not more than JOURNAL_FIELDS_MAX; a value may hold line breaks. 0;
 * -EAGAIN where the journal does not keep up: the record is lost, and the next one that gets
 * through says how many were; -errno where there is no journal.
 */
#define JOURNAL_FIELDS_MAX 20U

int journal_send(const char *const *fields, size_t n);
