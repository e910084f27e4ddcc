// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saving the machine, as QEMU's clients ask for it: "migrate" to a file. It goes on by itself; a client asks how far it
 * is, or has MIGRATION events told (the capability is the client's own, where QEMU has one for all).
 * Source: QEMU's QMP reference, "Migration". Threads: the control thread's.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "control/mon_int.h"

#define NS_PER_MS 1000000u

/* By QEMU's names. */
const char *mon_save_name(enum vm_save_state state)
{
	static const char *const names[] = {
		[VM_NEVER_SAVED] = "none",
		[VM_SAVE_SETUP] = "setup",
		[VM_SAVING] = "active",
		[VM_SAVE_CANCELLING] = "cancelling",
		[VM_SAVED] = "completed",
		[VM_SAVE_FAILED] = "failed",
		[VM_SAVE_CANCELLED] = "cancelled",
	};

	return names[state];
}

int mon_save(struct mon *m, const char *uri, struct lodge_err *err)
{
	static const char scheme[] = "file:";

	if (strncmp(uri, scheme, sizeof(scheme) - 1) || !uri[sizeof(scheme) - 1])
		return err_set(err, -ENOTSUP,
			       "'%.60s': a machine is saved to a file only; write file:PATH", uri);
	return vm_ctl_save(m->vm, uri + sizeof(scheme) - 1, err);
}

COMMAND(migrate)
{
	return mon_save(m, qmp_str(args, "uri"), err);
}

COMMAND(migrate_cancel)
{
	vm_ctl_save_cancel(m->vm);
	return 0;
}

static json_t *ram_json(const struct vm_saved *s)
{
	return json_pack("{s:I, s:I, s:I}", "transferred", (json_int_t)s->data_bytes, "total",
			 (json_int_t)s->memory_bytes, "remaining",
			 (json_int_t)(s->memory_bytes - s->done_bytes));
}

COMMAND(query_migrate)
{
	struct vm_saved s;
	struct lodge_err why;
	enum vm_save_state state = vm_ctl_saved(m->vm, &s, &why);
	json_int_t ms = (json_int_t)(s.total_ns / NS_PER_MS);

	*ret = json_object();
	if (state == VM_NEVER_SAVED)
		return 0;
	json_object_set_new(*ret, "status", json_string(mon_save_name(state)));
	if (state == VM_SAVE_FAILED)
		json_object_set_new(*ret, "error-desc", qmp_text(why.msg, strlen(why.msg)));
	if (state == VM_SAVE_FAILED || state == VM_SAVE_CANCELLED)
		return 0;
	json_object_set_new(*ret, "total-time", json_integer(ms));
	json_object_set_new(*ret, "ram", ram_json(&s));
	/* It stands still from the first moment on. */
	json_object_set_new(*ret, state == VM_SAVED ? "downtime" : "expected-downtime",
			    json_integer(ms));
	json_object_set_new(*ret, "setup-time", json_integer((json_int_t)(s.stop_ns / NS_PER_MS)));
	return 0;
}

/* The one that there is: whether MIGRATION is told. */
#define EVENTS "events"

static int set_one(struct mon *m, json_t *cap, struct lodge_err *err)
{
	const char *name = json_string_value(json_object_get(cap, "capability"));
	json_t *state = json_object_get(cap, "state");

	if (!name || !json_is_boolean(state))
		return err_set(err, -EINVAL,
			       "Parameter 'capabilities' is a list of objects with 'capability' "
			       "and 'state'");
	if (!strcmp(name, EVENTS))
		m->tell_saves = json_is_true(state);
	else if (json_is_true(state))
		return err_set(err, -ENOTSUP, "there is no migration capability '%.60s', only '%s'",
			       name, EVENTS);
	return 0;
}

COMMAND(set_capabilities)
{
	json_t *list = json_object_get(args, "capabilities"), *cap;
	size_t i;

	if (!json_is_array(list))
		return err_set(err, -EINVAL,
			       "Invalid parameter type for 'capabilities', expected: array");
	json_array_foreach (list, i, cap) {
		int r = set_one(m, cap, err);

		if (r)
			return r;
	}
	return 0;
}

COMMAND(query_capabilities)
{
	*ret = json_pack("[{s:s, s:b}]", "capability", EVENTS, "state", (int)m->tell_saves);
	return 0;
}

const struct qmp_command qmp_save_commands[] = {
	{"migrate", "uri:s,?detach:b,?blk:b,?inc:b,?resume:b", migrate},
	{"migrate_cancel", "", migrate_cancel},
	{"query-migrate", "", query_migrate},
	{"migrate-set-capabilities", "capabilities:a", set_capabilities},
	{"query-migrate-capabilities", "", query_capabilities},
	{NULL, NULL, NULL},
};
