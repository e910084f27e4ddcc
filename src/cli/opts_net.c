// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about the network. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/props.h"
#include "cli/run_opts.h"

static void print_types(void)
{
	puts("user    NAT without rights, in a process of its own:\n"
	     "        "
	     "net=ADDR/BITS,host=ADDR,dhcpstart=ADDR,dns=ADDR,dnssearch=DOMAIN,domainname=NAME,\n"
	     "        hostname=NAME,restrict=on|off,ipv4=on|off,ipv6=on|off,ipv6-prefix=ADDR,\n"
	     "        ipv6-prefixlen=N,ipv6-host=ADDR,ipv6-dns=ADDR,tftp=DIR,bootfile=FILE,\n"
	     "        tftp-server-name=NAME,hostfwd=[tcp|udp]:[ADDR]:PORT-[ADDR]:PORT (several)");
}

static int set_netdev(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		print_types();
		return 1;
	}
	return run_opts_add(&o->vm.netdevs, "-netdev", val, "type", err);
}

static int set_nic(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->nic_said = true;
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		print_types();
		return 1;
	}
	if (!strcmp(val, "none"))
		return 0;
	return run_opts_add(&o->vm.netdevs, "-nic", val, "type", err);
}

/*
 * The old form. "-net nic -net user" is one card and one back end on a hub; that pair is what people
 * write, and -nic says it in one.
 */
static int set_net(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->nic_said = true;
	if (!strcmp(val, "none"))
		return 0;
	return err_set(err, -EINVAL,
		       "-net %s: hubs of the old form are not there; '-net nic,model=CARD -net "
		       "TYPE,...' is written '-nic TYPE,model=CARD,...'",
		       val);
}

const struct run_opt run_opts_net[] = {
	{"nic", "TYPE[,model=CARD][,mac=MAC][,SETTING=VALUE]",
	 "a network card and what is at the other end; 'none': no card; 'help' lists the types",
	 set_nic},
	{"netdev", "TYPE,id=ID[,SETTING=VALUE]",
	 "the other end of a card of '-device CARD,netdev=ID'; 'help' lists the types", set_netdev},
	{"net", "none", "no network card", set_net},
	{NULL, NULL, NULL, NULL},
};
