// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saving the machine, as QEMU's clients ask for it: "migrate" to a file.
 * Source: QEMU's QMP reference (migrate, query-migrate). Threads: the control thread's.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "control/mon_int.h"

#define NS_PER_MS 1000000u

int mon_save(struct mon *m, const char *uri, struct lodge_err *err)
{
	static const char scheme[] = "file:";
	struct vm_saved saved;

	if (strncmp(uri, scheme, sizeof(scheme) - 1) || !uri[sizeof(scheme) - 1])
		return err_set(err, -ENOTSUP,
			       "'%.60s': a machine is saved to a file only; write file:PATH", uri);
	return vm_ctl_save(m->vm, uri + sizeof(scheme) - 1, &saved, err);
}

COMMAND(migrate)
{
	return mon_save(m, qmp_str(args, "uri"), err);
}

COMMAND(query_migrate)
{
	struct vm_saved s;
	struct lodge_err why;

	switch (vm_ctl_saved(m->vm, &s, &why)) {
	case VM_SAVED:
		*ret = json_pack("{s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "status", "completed",
				 "total-time", (json_int_t)(s.total_ns / NS_PER_MS), "downtime",
				 (json_int_t)(s.total_ns / NS_PER_MS), "setup-time",
				 (json_int_t)(s.stop_ns / NS_PER_MS), "ram", "transferred",
				 (json_int_t)s.data_bytes, "total", (json_int_t)s.memory_bytes,
				 "remaining", (json_int_t)0);
		break;
	case VM_SAVE_FAILED:
		*ret = json_object();
		json_object_set_new(*ret, "status", json_string("failed"));
		json_object_set_new(*ret, "error-desc", qmp_text(why.msg, strlen(why.msg)));
		break;
	case VM_NEVER_SAVED:
		*ret = json_object();
		break;
	}
	return 0;
}

const struct qmp_command qmp_save_commands[] = {
	{"migrate", "uri:s,?detach:b,?blk:b,?inc:b,?resume:b", migrate},
	{"query-migrate", "", query_migrate},
	{NULL, NULL, NULL},
};
