// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a machine tells, as QMP says it. Source: QEMU's QMP reference, "Events".
 * Threads: the control thread's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/mon_int.h"

static json_t *cause_data(enum vm_cause cause)
{
	static const struct {
		bool guest;
		const char *reason;
	} causes[] = {
		[VM_CAUSE_GUEST_SHUTDOWN] = {true, "guest-shutdown"},
		[VM_CAUSE_GUEST_RESET] = {true, "guest-reset"},
		[VM_CAUSE_QUIT] = {false, "host-qmp-quit"},
		[VM_CAUSE_CONTROL_RESET] = {false, "host-qmp-system-reset"},
		[VM_CAUSE_SIGNAL] = {false, "host-signal"},
		[VM_CAUSE_CONSOLE] = {false, "host-ui"},
		[VM_CAUSE_ERROR] = {false, "host-error"},
	};

	return json_pack("{s:b, s:s}", "guest", causes[cause].guest, "reason",
			 causes[cause].reason);
}

static json_t *error_data(const struct vm_event *ev)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", ev->device, "node-name", "",
			 "operation", ev->write ? "write" : "read", "action",
			 ev->stopped ? "stop" : "report", "nospace", ev->error == -ENOSPC, "reason",
			 strerror(-ev->error));
}

static json_t *data_of(const struct vm_event *ev)
{
	char path[100];

	switch (ev->kind) {
	case VM_EVENT_SHUTDOWN:
	case VM_EVENT_RESET:
		return cause_data(ev->cause);
	case VM_EVENT_BLOCK_IO_ERROR:
		return error_data(ev);
	case VM_EVENT_TRAY_MOVED:
		return json_pack("{s:s, s:s, s:b}", "device", ev->device, "id", ev->id, "tray-open",
				 ev->open);
	case VM_EVENT_DEVICE_DELETED:
		snprintf(path, sizeof(path), "/machine/peripheral/%s", ev->device);
		return ev->device[0] ? json_pack("{s:s, s:s}", "device", ev->device, "path", path)
				     : json_pack("{s:s}", "path", "/machine/peripheral-anon");
	case VM_EVENT_MIGRATION:
		return json_pack("{s:s}", "status", mon_save_name(ev->save));
	case VM_EVENT_BALLOON:
		return json_pack("{s:I}", "actual", (json_int_t)ev->bytes);
	default:
		return NULL;
	}
}

json_t *mon_event_json(const struct vm_event *ev, uint64_t real_ns)
{
	static const char *const names[] = {
		[VM_EVENT_SHUTDOWN] = "SHUTDOWN",
		[VM_EVENT_RESET] = "RESET",
		[VM_EVENT_STOP] = "STOP",
		[VM_EVENT_RESUME] = "RESUME",
		[VM_EVENT_POWERDOWN] = "POWERDOWN",
		[VM_EVENT_BLOCK_IO_ERROR] = "BLOCK_IO_ERROR",
		[VM_EVENT_TRAY_MOVED] = "DEVICE_TRAY_MOVED",
		[VM_EVENT_BALLOON] = "BALLOON_CHANGE",
		[VM_EVENT_MIGRATION] = "MIGRATION",
		[VM_EVENT_DEVICE_DELETED] = "DEVICE_DELETED",
	};
	json_t *data = data_of(ev);
	json_t *j = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds",
			      (json_int_t)(real_ns / NS_PER_SEC), "microseconds",
			      (json_int_t)(real_ns % NS_PER_SEC / 1000), "event", names[ev->kind]);

	if (data && j)
		json_object_set_new(j, "data", data);
	else
		json_decref(data);
	return j;
}
