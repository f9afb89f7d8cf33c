/* SPDX-License-Identifier: MIT */
#include "cli/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/vsock.h"

#define SERVICES_KEY                                                        \
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Virtualization\\" \
        "GuestCommunicationServices"

/* The next character of valid UTF-8, which `*p` goes past. 0 at the end. */
static uint32_t next_character(const char **p)
{
        const unsigned char *s = (const unsigned char *)*p;
        unsigned more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
        uint32_t code = more == 0 ? s[0] : s[0] & (0x3fU >> more);

        if (s[0] == 0)
                return 0;
        for (unsigned i = 1; i <= more; i++)
                code = code << 6 | (s[i] & 0x3fU);
        *p += more + 1;
        return code;
}

/* One or two units of UTF-16. */
static size_t to_units(uint32_t code, uint16_t ret[static 2])
{
        if (code < 0x10000) {
                ret[0] = (uint16_t)code;
                return 1;
        }
        code -= 0x10000;
        ret[0] = (uint16_t)(0xd800 | code >> 10);
        ret[1] = (uint16_t)(0xdc00 | (code & 0x3ff));
        return 2;
}

/* At most so many units, by whole characters. */
static void cut(char *name)
{
        const char *p = name, *begin = name;
        uint16_t units[2];
        size_t n = 0;
        uint32_t code;

        while ((code = next_character(&p)) != 0) {
                n += to_units(code, units);
                if (n > SERVICE_NAME_UNITS_MAX) {
                        name[begin - name] = 0;
                        return;
                }
                begin = p;
        }
}

int service_set_name(Service *s, const char *description, size_t n)
{
        char *name;

        /* A unit is at most three bytes, so nothing that fits is lost here. */
        name = n > 0 ? text_show(description, n, (size_t)SERVICE_NAME_UNITS_MAX * 3)
                     : text_format("guestwire, port %" PRIu32, s->port);
        if (!name)
                return -ENOMEM;
        cut(name);
        free(s->name);
        s->name = name;
        return 0;
}

void service_done(Service *s)
{
        free(s->name);
        *s = (Service){};
}

/*
 * 'text' in PowerShell, where '' within single quotes is a quote and nothing else means anything.
 * PowerShell takes U+2018 to U+201B for single quotes too; these, like all that is not ASCII, go
 * beside the quotes as numbers.
 */
static void write_powershell_string(FILE *f, const char *text)
{
        bool plain = true;
        uint16_t units[2];
        uint32_t code;
        size_t n;

        for (const char *p = text; *p; p++)
                plain = plain && (unsigned char)*p < 0x80;
        fputs(plain ? "'" : "('", f);
        while ((code = next_character(&text)) != 0) {
                if (code == '\'') {
                        fputs("''", f);
                        continue;
                }
                if (code >= 0x20 && code < 0x7f) {
                        fputc((int)code, f);
                        continue;
                }
                n = to_units(code, units);
                fputc('\'', f);
                for (size_t i = 0; i < n; i++)
                        fprintf(f, " + [char]0x%04x", units[i]);
                fputs(" + '", f);
        }
        fputs(plain ? "'" : "')", f);
}

static void write_powershell_removal(FILE *f, const char *prefix, const Service *services, size_t n)
{
        char guid[VSOCK_GUID_LENGTH + 1];

        for (size_t i = 0; i < n; i++) {
                vsock_guid_from_port(guid, services[i].port);
                fprintf(f, "%sRemove-Item -LiteralPath \"$services\\%s\"\n", prefix, guid);
        }
}

void registry_write_powershell(FILE *f, const Service *services, size_t n, bool unregister)
{
        char guid[VSOCK_GUID_LENGTH + 1];

        fprintf(f,
                "# %s vsock ports of a guest %s this Hyper-V host. Run as administrator.\n"
                "$ErrorActionPreference = 'Stop'\n"
                "$services = 'HKLM:\\" SERVICES_KEY "'\n",
                unregister ? "Removes the" : "Registers the", unregister ? "from" : "with");
        if (unregister) {
                fputc('\n', f);
                write_powershell_removal(f, "", services, n);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                vsock_guid_from_port(guid, services[i].port);
                fprintf(f,
                        "\n# vsock port %" PRIu32 "\n"
                        "$key = \"$services\\%s\"\n"
                        "if (-not (Test-Path -LiteralPath $key)) { New-Item -Path $key | Out-Null "
                        "}\n"
                        "New-ItemProperty -LiteralPath $key -Name 'ElementName' -PropertyType "
                        "String -Force -Value ",
                        services[i].port, guid);
                write_powershell_string(f, services[i].name);
                fputs(" | Out-Null\n", f);
        }
        fputs("\n# To unregister them (or: guestwire hyperv --unregister):\n", f);
        write_powershell_removal(f, "# ", services, n);
}

static void write_units(FILE *f, uint32_t code)
{
        uint16_t units[2];
        size_t n = to_units(code, units);

        for (size_t i = 0; i < n; i++) {
                fputc(units[i] & 0xff, f);
                fputc(units[i] >> 8, f);
        }
}

/* UTF-8 to UTF-16LE, "\n" to CR LF. */
static void write_wide(FILE *f, const char *text)
{
        uint32_t code;

        while ((code = next_character(&text)) != 0) {
                if (code == '\n')
                        write_units(f, '\r');
                write_units(f, code);
        }
}

/* "text" for regedit, which knows two escapes. */
static void write_reg_string(FILE *f, const char *text)
{
        uint32_t code;

        write_units(f, '"');
        while ((code = next_character(&text)) != 0) {
                if (code == '"' || code == '\\')
                        write_units(f, '\\');
                write_units(f, code);
        }
        write_units(f, '"');
}

static void write_reg_key(FILE *f, const char *before, uint32_t port)
{
        char guid[VSOCK_GUID_LENGTH + 1];

        vsock_guid_from_port(guid, port);
        write_wide(f, before);
        write_wide(f, "HKEY_LOCAL_MACHINE\\" SERVICES_KEY "\\");
        write_wide(f, guid);
        write_wide(f, "]\n");
}

void registry_write_reg(FILE *f, const Service *services, size_t n, bool unregister)
{
        write_units(f, 0xfeff);
        write_wide(f, "Windows Registry Editor Version 5.00\n\n");
        if (unregister) {
                for (size_t i = 0; i < n; i++)
                        write_reg_key(f, "[-", services[i].port);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                write_reg_key(f, "[", services[i].port);
                write_wide(f, "\"ElementName\"=");
                write_reg_string(f, services[i].name);
                write_wide(f, "\n\n");
        }
        write_wide(f, "; To unregister them (or: guestwire hyperv --reg --unregister):\n");
        for (size_t i = 0; i < n; i++)
                write_reg_key(f, "; [-", services[i].port);
}
