// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: network, balloon, character devices, counters. Source: QEMU's QMP reference.
 * Threads: the control thread's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"
#include "control/mon_int.h"

COMMAND(set_link)
{
	return vm_ctl_set_link(m->vm, qmp_str(args, "name"), qmp_bool(args, "up", true), err);
}

COMMAND(balloon)
{
	json_int_t value = qmp_int(args, "value", 0);

	if (value <= 0)
		return err_set(err, -EINVAL, "Parameter 'value' expects a size");
	return vm_ctl_balloon(m->vm, (uint64_t)value, err);
}

COMMAND(query_balloon)
{
	uint64_t bytes;
	int r = vm_ctl_query_balloon(m->vm, &bytes, err);

	if (!r)
		*ret = json_pack("{s:I}", "actual", (json_int_t)bytes);
	return r;
}

COMMAND(query_chardev)
{
	struct vm_ctl_chardev *c = calloc(VM_CTL_CHARDEVS, sizeof(*c));
	unsigned n = c ? vm_ctl_chardevs(m->vm, c) : 0;

	*ret = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(*ret,
				      json_pack("{s:s, s:o, s:b}", "label", c[i].label, "filename",
						qmp_text(c[i].name, strlen(c[i].name)),
						"frontend-open", (int)c[i].open));
	free(c);
	return 0;
}

#define NETDEV_ADD "netdev_add"

/* ---- Hotplug ------------------------------------------------------------------------------------ */

/* One value of a list, as QEMU's schema has it: "text" or {"str": "text"}. */
static int add_text(struct props *p, const char *key, const json_t *v, struct lodge_err *err)
{
	const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "str") : v);
	int r = text ? props_add(p, key, text) : 0;

	if (!text || r == -EEXIST)
		return err_set(err, -EINVAL, "Parameter '%.60s' is no list of text", key);
	return r ? err_set(err, r, "no memory for a device") : 0;
}

static int set_text(struct props *p, const char *key, const json_t *v, struct lodge_err *err)
{
	char number[32];
	const char *text = number;
	size_t i;
	json_t *one;

	if (json_is_array(v) && !strcmp(props_what(p), NETDEV_ADD)) {
		int r = 0;

		json_array_foreach (v, i, one)
			r = r ? r : add_text(p, key, one, err);
		return r;
	}
	if (json_is_string(v))
		text = json_string_value(v);
	else if (json_is_boolean(v))
		text = json_is_true(v) ? "on" : "off";
	else if (json_is_integer(v))
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
	else
		return err_set(err, -EINVAL, "Parameter '%.60s' is no text, number or switch", key);
	return props_set(p, key, text) ? err_set(err, -ENOMEM, "no memory for a device") : 0;
}

/* Every argument is an option of the device or network, as text. `p` NULL: no memory for it. */
static int set_all(struct props *p, json_t *args, struct lodge_err *err)
{
	const char *key;
	json_t *v;
	int r = p ? 0 : -ENOMEM;

	json_object_foreach (args, key, v) {
		if (!r)
			r = set_text(p, key, v, err);
	}
	return r;
}

COMMAND(netdev_add)
{
	struct props *p = props_parse(NETDEV_ADD, "", NULL, err);
	int r = set_all(p, args, err);

	if (!r)
		r = vm_ctl_netdev_add(m->vm, p, err);
	props_free(p);
	return r;
}

COMMAND(netdev_del)
{
	return vm_ctl_netdev_del(m->vm, qmp_str(args, "id"), err);
}

COMMAND(device_add)
{
	struct props *p = props_parse("device_add", "", NULL, err);
	int r = set_all(p, args, err);

	if (!r && !props_has(p, "driver"))
		r = err_set(err, -EINVAL, "Parameter 'driver' is missing");
	if (!r)
		r = vm_ctl_device_add(m->vm, p, err);
	props_free(p);
	return r;
}

COMMAND(device_del)
{
	return vm_ctl_device_del(m->vm, qmp_str(args, "id"), err);
}

/* The file of a node: "file": {"driver": "file", "filename": ...}, or one named right there. */
static const char *file_of(json_t *args)
{
	json_t *file = json_object_get(args, "file");
	const char *name = json_string_value(json_object_get(args, "filename"));

	return name ? name : json_string_value(json_object_get(file, "filename"));
}

COMMAND(blockdev_add)
{
	const char *driver = qmp_str(args, "driver"), *file = file_of(args);

	if (!file)
		return err_set(err, -EINVAL,
			       "Parameter 'file' is to be {\"driver\": \"file\", \"filename\": "
			       "PATH}");
	return vm_ctl_drive_add(m->vm, qmp_str(args, "node-name"), file,
				strcmp(driver, "file") ? driver : "raw",
				qmp_bool(args, "read-only", false), err);
}

COMMAND(blockdev_del)
{
	return vm_ctl_drive_del(m->vm, qmp_str(args, "node-name"), err);
}

/* ---- Counters ----------------------------------------------------------------------------------- */

/* "jit_blocks" is "jit-blocks" here. */
static json_t *counter_name(const char *name)
{
	char text[64];
	size_t n = 0;

	for (; name[n] && n < sizeof(text) - 1; n++)
		text[n] = (char)(name[n] == '_' ? '-' : name[n]);
	return json_stringn(text, n);
}

static void add_counter(void *opaque, const char *name, const char *what, uint64_t value)
{
	(void)what;
	json_array_append_new(opaque, json_pack("{s:o, s:I}", "name", counter_name(name), "value",
						(json_int_t)value));
}

static void add_schema(void *opaque, const char *name, const char *what, uint64_t value)
{
	(void)value;
	json_array_append_new(opaque, json_pack("{s:o, s:s, s:s}", "name", counter_name(name),
						"type", "cumulative", "description", what));
}

static json_t *counters_of(struct mon *m, int cpu, const char *engine)
{
	json_t *list = json_array(),
	       *j = json_pack("{s:s, s:o}", "provider", engine, "stats", list);
	char path[64];

	vm_ctl_counters(m->vm, cpu, add_counter, list);
	if (cpu >= 0 && j) {
		snprintf(path, sizeof(path), "/machine/unattached/device[%d]", cpu);
		json_object_set_new(j, "qom-path", json_string(path));
	}
	return j;
}

COMMAND(query_stats)
{
	const char *target = qmp_str(args, "target");
	struct vm_ctl_info info;
	bool vcpu = !strcmp(target, "vcpu");

	if (!vcpu && strcmp(target, "vm"))
		return err_set(err, -EINVAL, "Parameter 'target' is 'vm' or 'vcpu'");
	vm_ctl_info(m->vm, &info);
	*ret = json_array();
	if (!vcpu)
		json_array_append_new(*ret, counters_of(m, -1, info.engine));
	for (unsigned i = 0; vcpu && i < info.cpus; i++)
		json_array_append_new(*ret, counters_of(m, (int)i, info.engine));
	return 0;
}

COMMAND(query_schemas)
{
	struct vm_ctl_info info;

	vm_ctl_info(m->vm, &info);
	*ret = json_array();
	for (int cpu = -1; cpu <= 0; cpu++) {
		json_t *list = json_array();

		vm_ctl_counters(m->vm, cpu, add_schema, list);
		json_array_append_new(*ret,
				      json_pack("{s:s, s:s, s:o}", "provider", info.engine,
						"target", cpu < 0 ? "vm" : "vcpu", "stats", list));
	}
	return 0;
}

const struct qmp_command qmp_device_commands[] = {
	{"device_add", NULL, device_add},
	{"device_del", "id:s", device_del},
	{"netdev_add", NULL, netdev_add},
	{"netdev_del", "id:s", netdev_del},
	{"blockdev-add", "driver:s,node-name:s,?file:a,?filename:s,?read-only:b", blockdev_add},
	{"blockdev-del", "node-name:s", blockdev_del},
	{"set_link", "name:s,up:b", set_link},
	{"balloon", "value:i", balloon},
	{"query-balloon", "", query_balloon},
	{"query-chardev", "", query_chardev},
	{"query-stats", "target:s", query_stats},
	{"query-stats-schemas", "", query_schemas},
	{NULL, NULL, NULL},
};
