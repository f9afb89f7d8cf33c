/* SPDX-License-Identifier: MIT */
#include "daemon/activation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/notify.h"
#include "daemon/stranger.h"
#include "handlers/events.h"

/* What is ours in the store begins so; a socket unit's are named after the unit. */
#define STORED "guestwire-listener-"

typedef struct PassedSocket PassedSocket;

struct PassedSocket {
        int fd;     /* negative: taken, or closed */
        int number; /* as it was passed, for the log */
        char *name; /* NULL: it was given away with the socket */
        ino_t inode;
        Address address;
        bool wanted; /* a section has its address, but could not take it this time */
        bool taken;
        bool refused;
        Stranger *stranger; /* refused, and its callers are turned away */
};

struct Activation {
        sd_event *event;
        PassedSocket *sockets;
        size_t n;
        size_t store_max;
        size_t n_stored;
        bool full;     /* that has been said */
        char **forget; /* names that the manager could not be told yet */
};

static bool passed_is_stored(const PassedSocket *p)
{
        return p->name && strncmp(p->name, STORED, strlen(STORED)) == 0;
}

static void passed_close(PassedSocket *p)
{
        p->stranger = stranger_free(p->stranger);
        p->fd = fd_close(p->fd);
}

static void passed_done(PassedSocket *p)
{
        passed_close(p);
        free(p->name);
        address_done(&p->address);
}

/* The same socket can be passed twice, and its callers have then come to both. */
static bool passed_is_double(const Activation *a, const PassedSocket *p)
{
        for (size_t i = 0; i < a->n; i++) {
                const PassedSocket *other = &a->sockets[i];

                if (other != p && other->inode == p->inode && (other->taken || other->fd >= 0))
                        return true;
        }
        return false;
}

/* Nobody is left waiting there, where that can be helped. */
static void passed_turn_away(Activation *a, PassedSocket *p)
{
        _cleanup_free_ char *address = NULL, *name = NULL;
        int r;

        p->refused = true;
        if (passed_is_double(a, p)) {
                passed_close(p);
                return;
        }
        address = address_to_text(&p->address);
        name = text_format("passed fd %d (%s), %s", p->number, p->name ?: "?",
                           address && *address ? address : "of no address that a section has");
        r = stranger_new(a->event, p->fd, name ?: "a passed socket", &p->stranger);
        if (r < 0)
                passed_close(p);
        if (r < 0 && r != -EINVAL)
                log_warning("callers of passed fd %d will wait and not be answered: %s", p->number,
                            strerror(-r));
}

static void passed_refuse(Activation *a, PassedSocket *p, const char *why)
{
        log_record(LOG_ERR, EVENT_LISTEN_FAILED, NULL, "passed fd %d (%s) is refused: %s",
                   p->number, p->name ?: "?", why);
        passed_turn_away(a, p);
}

/* Of the store: it was of a section that is gone, which is no fault of anybody's. */
static void passed_drop(Activation *a, PassedSocket *p)
{
        p->fd = fd_close(p->fd);
        activation_forget(a, TAKE_PTR(p->name));
}

static int activation_add(Activation *a, int fd, char *name)
{
        PassedSocket *p = &a->sockets[a->n];
        struct stat st;
        int r;

        *p = (PassedSocket){ .fd = fd, .number = fd, .name = name };
        if (!name)
                return -ENOMEM;
        a->n++;
        if (fstat(fd, &st) < 0)
                return -errno;
        p->inode = st.st_ino;
        if (passed_is_stored(p))
                a->n_stored++;
        r = listen_address(fd, &p->address);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOTSOCK || r == -EPROTOTYPE)
                passed_refuse(a, p,
                              "it is not a stream socket that listens: use ListenStream= and "
                              "Accept=no in the socket unit");
        else if (r < 0)
                passed_refuse(a, p,
                              "it listens on no kind of address that a section can have: use "
                              "ListenStream= with vsock::PORT, a path or an address of loopback");
        return 0;
}

static void activation_read_store(Activation *a)
{
        const char *text = getenv("FDSTORE");
        uint64_t max;

        if (text && getenv("NOTIFY_SOCKET") && text_to_u64(text, &max) >= 0)
                a->store_max = (size_t)MIN_OF(max, (uint64_t)SIZE_MAX);
}

int activation_new(sd_event *event, Activation **ret)
{
        _cleanup_(activation_freep) Activation *a = NULL;
        char **names = NULL;
        int n, r = 0;

        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->event = sd_event_ref(event);
        activation_read_store(a);
        n = sd_listen_fds_with_names(true, &names);
        if (n < 0) {
                log_record(LOG_ERR, EVENT_LISTEN_FAILED, NULL,
                           "the sockets that $LISTEN_FDS speaks of cannot be had, and all are "
                           "bound anew: %s",
                           strerror(-n));
                n = 0;
        }
        if (n > 0) {
                a->sockets = calloc((size_t)n, sizeof(*a->sockets));
                r = a->sockets ? 0 : -ENOMEM;
        }
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = activation_add(a, SD_LISTEN_FDS_START + i, names[i]);
                else
                        free(names[i]);
        }
        free(names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

/*
 * A Unix socket is had by its file, of which the kernel does not say where it is now. Somebody may
 * have removed it since, and start us again to have it back.
 */
static bool passed_has_its_file(const PassedSocket *p)
{
        _cleanup_free_ char *name = NULL;
        struct stat st;
        int r;

        if (p->address.kind != ADDRESS_UNIX)
                return true;
        r = listen_file_stat(&p->address, &st);
        if (!passed_is_stored(p))
                return r != -ENOENT;
        if (r < 0)
                return false;
        name = text_format(STORED "%ju-%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        return name && strcmp(p->name, name) == 0;
}

static void passed_lose_file(Activation *a, PassedSocket *p)
{
        if (passed_is_stored(p))
                passed_drop(a, p);
        else if (!p->stranger)
                passed_refuse(a, p,
                              "its file is gone, and one is made anew, which the socket unit knows "
                              "nothing of: stop guestwired.service, and start that unit again");
}

void activation_begin(Activation *a)
{
        for (size_t i = 0; i < a->n; i++)
                a->sockets[i].wanted = false;
}

/* By its address, however that is written: systemd makes /run of /var/run, and one slash of two. */
static bool passed_is_at(const PassedSocket *p, const Address *address)
{
        return address_equal(&p->address, address) || listen_same_file(&p->address, address);
}

int activation_take(Activation *a, const Address *address, const ListenFile *file,
                    SocketKeeper *ret_keeper, char **ret_name, char **ret_problem)
{
        for (size_t i = 0; i < a->n; i++) {
                PassedSocket *p = &a->sockets[i];
                bool stored;
                int r;

                if (p->fd < 0 || !passed_is_at(p, address))
                        continue;
                if (!passed_has_its_file(p)) {
                        passed_lose_file(a, p);
                        continue;
                }
                stored = passed_is_stored(p);
                r = listen_adopt(p->fd, address, file, ret_problem);
                p->wanted = r < 0;
                if (r < 0)
                        return r;
                p->taken = true;
                p->refused = false;
                p->stranger = stranger_free(p->stranger);
                *ret_keeper = stored ? KEEPER_STORE : KEEPER_UNIT;
                *ret_name = stored ? TAKE_PTR(p->name) : NULL;
                return TAKE_FD(p->fd);
        }
        return -ENOENT;
}

void activation_refuse_rest(Activation *a)
{
        for (size_t i = 0; i < a->n; i++) {
                _cleanup_free_ char *address = NULL, *why = NULL;
                PassedSocket *p = &a->sockets[i];

                if (p->fd < 0 || p->wanted || p->stranger)
                        continue;
                if (passed_is_stored(p)) {
                        passed_drop(a, p);
                        continue;
                }
                address = address_to_text(&p->address);
                why = text_format("it listens on %s, which is the address of no section, or of one "
                                  "that has its socket already: write a [port] or [listen] for it, "
                                  "or take it out of the socket unit",
                                  address ?: "?");
                passed_refuse(a, p, why ?: "no section has its address");
        }
}

bool activation_give_back(Activation *a, int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return false;
        for (size_t i = 0; i < a->n; i++) {
                PassedSocket *p = &a->sockets[i];

                if (!p->taken || p->inode != st.st_ino)
                        continue;
                p->taken = false;
                p->fd = fd;
                passed_turn_away(a, p);
                return true;
        }
        return false;
}

size_t activation_refused(const Activation *a)
{
        size_t n = 0;

        for (size_t i = 0; i < a->n; i++)
                n += a->sockets[i].refused;
        return n;
}

size_t activation_unanswered(const Activation *a)
{
        size_t n = 0;

        for (size_t i = 0; i < a->n; i++) {
                const PassedSocket *p = &a->sockets[i];

                n += p->refused && !p->stranger && !passed_is_double(a, p);
        }
        return n;
}

bool activation_has_store(const Activation *a)
{
        return a->store_max > 0;
}

/* The names are told apart by inodes: of the socket's file, if it has one, else of itself. */
static char *store_name(int fd, const Address *address)
{
        struct stat st;

        if (address->kind == ADDRESS_UNIX ? listen_file_stat(address, &st) < 0 : fstat(fd, &st) < 0)
                return NULL;
        return text_format(STORED "%ju-%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
}

int activation_store(Activation *a, int fd, const Address *address, char **ret_name)
{
        _cleanup_free_ char *name = NULL, *message = NULL;
        int r;

        if (a->n_stored >= a->store_max) {
                if (!a->full)
                        log_notice("the file descriptor store is full: raise "
                                   "FileDescriptorStoreMax= of the unit, so that no listener is "
                                   "lost in a restart");
                a->full = true;
                return -ENOSPC;
        }
        /* A name that is to be forgotten may be the new one's too: inodes are used again. */
        if (!activation_flush(a))
                return -EAGAIN;
        name = store_name(fd, address);
        if (!name)
                return -ENOENT;
        message = text_format("FDSTORE=1\nFDNAME=%s", name);
        if (!message)
                return -ENOMEM;
        r = notify_send(message, fd);
        if (r < 0) {
                if (r != -EAGAIN)
                        log_warning("cannot put a listener into the file descriptor store: %s",
                                    strerror(-r));
                return r;
        }
        a->n_stored++;
        *ret_name = TAKE_PTR(name);
        return 0;
}

void activation_forget(Activation *a, char *name)
{
        a->n_stored--;
        a->full = false;
        /* Without memory the next guestwired drops it. */
        if (text_list_take(&a->forget, name) >= 0)
                (void)activation_flush(a);
}

bool activation_flush(Activation *a)
{
        size_t n = text_list_length(a->forget);

        while (n > 0) {
                _cleanup_free_ char *message = NULL;

                message = text_format("FDSTOREREMOVE=1\nFDNAME=%s", a->forget[n - 1]);
                if (!message || notify_send(message, -1) == -EAGAIN)
                        return false;
                free(a->forget[--n]);
                a->forget[n] = NULL;
        }
        return true;
}

Activation *activation_free(Activation *a)
{
        if (!a)
                return NULL;
        for (size_t i = 0; i < a->n; i++)
                passed_done(&a->sockets[i]);
        free(a->sockets);
        text_list_free(a->forget);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}
