/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/registry.h"
#include "cli/target.h"
#include "config/config.h"
#include "io/vsock.h"

typedef struct Services Services;

struct Services {
        Service *list;
        size_t n;
};

static void services_done(Services *s)
{
        for (size_t i = 0; i < s->n; i++)
                service_done(&s->list[i]);
        free(s->list);
}

/* 0 or -ENOMEM. Room for it was made. */
static int services_add(Services *s, uint32_t port, const char *description, size_t n)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->list[i].port == port)
                        return 0;
        s->list[s->n] = (Service){ .port = port };
        return service_set_name(&s->list[s->n++], description, n);
}

/* One of agent.info's `ports`. The guest is not trusted: the GUID goes into a path of the host's
 * registry, so it is ours, made of a number, and the guest's only has to be the same. 0; -EBADMSG
 * for what makes no sense; -ENOMEM. */
static int add_from_json(Services *s, json_object *row)
{
        json_object *port = NULL, *guid = NULL, *description = NULL;
        char expected[VSOCK_GUID_LENGTH + 1];
        int64_t number;

        if (!json_object_is_type(row, json_type_object) ||
            !json_object_object_get_ex(row, "port", &port) ||
            !json_object_is_type(port, json_type_int))
                return -EBADMSG;
        number = json_object_get_int64(port);
        if (number < 0 || number >= UINT32_MAX)
                return -EBADMSG;
        vsock_guid_from_port(expected, (uint32_t)number);
        if (json_object_object_get_ex(row, "guid", &guid) &&
            (!json_object_is_type(guid, json_type_string) ||
             strcmp(json_object_get_string(guid), expected) != 0))
                return -EBADMSG;
        if (!json_object_object_get_ex(row, "description", &description) || !description)
                return services_add(s, (uint32_t)number, "", 0);
        if (!json_object_is_type(description, json_type_string))
                return -EBADMSG;
        return services_add(s, (uint32_t)number, json_object_get_string(description),
                            (size_t)json_object_get_string_len(description));
}

static int from_target(const char *target, const Settings *settings, Services *ret)
{
        _cleanup_json_ json_object *info = NULL;
        _cleanup_(client_freep) Client *c = NULL;
        json_object *ports = NULL;
        int r;

        r = target_open(target, settings, &c);
        if (r == EXIT_OK)
                r = target_call(c, settings, "agent.info", NULL, &info);
        if (r != EXIT_OK)
                return r;
        r = -EBADMSG;
        if (json_object_is_type(info, json_type_object) &&
            json_object_object_get_ex(info, "ports", &ports) &&
            json_object_is_type(ports, json_type_array)) {
                ret->list = calloc(json_object_array_length(ports) + 1, sizeof(*ret->list));
                r = ret->list ? 0 : -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < json_object_array_length(ports); i++)
                r = add_from_json(ret, json_object_array_get_idx(ports, i));
        if (r == -EBADMSG)
                output_error("what answers at %s does not tell its ports as guestwired does",
                             target);
        else if (r < 0)
                output_error("%s", strerror(-r));
        return r == -EBADMSG ? EXIT_CONNECTION : r < 0 ? EXIT_REFUSED : EXIT_OK;
}

/* Line 0 is the file as a whole, which here is the only one there is. */
static void complain(const char *file, const char *error)
{
        size_t n = strlen(file);

        if (strncmp(error, file, n) == 0 && strncmp(error + n, ":0:", 3) == 0)
                output_error("%s%s", file, error + n + 2);
        else
                output_error("%s", error);
}

static int from_config(const char *file, Services *ret)
{
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_config_ Config *config = NULL;
        int r;

        r = config_load(file, &config, &errors);
        if (r < 0) {
                for (char **e = errors.list; e && *e; e++)
                        complain(file, *e);
                if (!errors.list)
                        output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        ret->list = calloc(config->n_listens + 1, sizeof(*ret->list));
        r = ret->list ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < config->n_listens; i++) {
                const ListenSettings *l = config->listens[i];
                const char *description = l->description ?: "";

                if (l->address.kind == ADDRESS_VSOCK)
                        r = services_add(ret, l->address.port, description, strlen(description));
        }
        if (r < 0)
                output_error("%s", strerror(-r));
        return r < 0 ? EXIT_REFUSED : EXIT_OK;
}

int verb_hyperv(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(services_done) Services services = {};
        int r;

        if ((n == 1) == (s->config != NULL)) {
                output_error("hyperv needs either a TARGET, to ask it, or --config FILE");
                return EXIT_USAGE;
        }
        r = s->config ? from_config(s->config, &services) : from_target(args[0], s, &services);
        if (r != EXIT_OK)
                return r;
        if (services.n == 0) {
                output_error("there are no vsock ports to register");
                return EXIT_REFUSED;
        }
        (s->reg ? registry_write_reg : registry_write_powershell)(stdout, services.list, services.n,
                                                                  s->unregister);
        return EXIT_OK;
}
