// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: viewers over the network. Source: QEMU's QMP reference (query-vnc, set_password, change-vnc-password).
 * Threads: the control thread's.
 */
#include <errno.h>
#include <string.h>

#include "control/mon_int.h"
#include "machine/ctl_input.h"
#include "vnc/vnc.h"

static struct vnc *viewers(struct mon *m, struct lodge_err *err)
{
	struct vnc *v = vm_vnc(m->vm);

	if (!v)
		err_set(err, -ENODEV,
			"the machine's screen is not shown to anybody; -vnc or -display do that");
	return v;
}

COMMAND(query_vnc)
{
	struct vnc *v = vm_vnc(m->vm);
	struct vnc_info info = {0};

	if (v)
		vnc_info(v, &info);
	*ret = json_pack("{s:b}", "enabled", info.vnc && info.running);
	if (!info.vnc)
		return 0;
	json_object_set_new(*ret, "service", qmp_text(info.address, strlen(info.address)));
	json_object_set_new(*ret, "auth", json_string(info.auth));
	json_object_set_new(*ret, "x-viewers", json_integer(info.viewers));
	return 0;
}

COMMAND(set_password)
{
	const char *protocol = qmp_str(args, "protocol");
	struct vnc *v = viewers(m, err);

	if (!v)
		return -ENODEV;
	if (protocol && strcmp(protocol, "vnc") != 0)
		return err_set(err, -EINVAL, "'protocol' is vnc");
	return vnc_set_password(v, qmp_str(args, "password"), err);
}

COMMAND(web_address)
{
	struct vnc *v = viewers(m, err);
	char address[256];
	int r = v ? vnc_web_address(v, address, sizeof(address), err) : -ENODEV;

	if (!r)
		*ret = json_pack("{s:s}", "address", address);
	return r;
}

const struct qmp_command qmp_display_commands[] = {
	{"query-vnc", "", query_vnc},
	{"set_password", "?protocol:s,password:s,?connected:s", set_password},
	{"change-vnc-password", "password:s", set_password},
	{"x-web-address", "", web_address},
	{NULL, NULL, NULL},
};
