// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about the network. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/props.h"
#include "cli/run_opts.h"

static void print_types(void)
{
	puts("user    NAT without rights, in a process of its own that reaches no file:\n"
	     "        net=ADDR/BITS,host=ADDR,dhcpstart=ADDR,dns=ADDR,dnssearch=DOMAIN (several),\n"
	     "        domainname=NAME,hostname=NAME,restrict=on|off,ipv4=on|off,ipv6=on|off,\n"
	     "        ipv6-prefix=ADDR,ipv6-prefixlen=N,ipv6-host=ADDR,ipv6-dns=ADDR,\n"
	     "        tftp=DIR,bootfile=FILE,tftp-server-name=NAME,\n"
	     "        hostfwd=[tcp|udp]:[ADDR]:PORT-[ADDR]:PORT (several)\n"
	     "passt   the same by the program passt:\n"
	     "        path=FILE,tcp-ports=SPEC,udp-ports=SPEC,mtu=N,address=ADDR,netmask=N,\n"
	     "        gateway=ADDR,interface=NAME\n"
	     "tap     an interface of the host: ifname=NAME[,queues=N]|fd=N|fds=N:N...,\n"
	     "        vnet_hdr=on|off,sndbuf=SIZE\n"
	     "stream  one peer by a connection: server=on|off,addr.type=inet|unix|fd,\n"
	     "        addr.host=,addr.port=,addr.path=,addr.str=\n"
	     "dgram   one peer, or a multicast group, by datagrams: local.type=,remote.type= and "
	     "so on\n"
	     "socket  the older form: listen=[HOST]:PORT|connect=HOST:PORT|fd=N|\n"
	     "        mcast=GROUP:PORT[,localaddr=ADDR]|udp=HOST:PORT,localaddr=HOST:PORT");
}

static void print_models(void)
{
	puts("e1000                gigabit Ethernet, Intel 82540EM (default)\n"
	     "rtl8139              fast Ethernet, Realtek RTL8139C+\n"
	     "virtio               virtio-net-pci, the fastest");
}

static int set_netdev(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		print_types();
		return 1;
	}
	return run_opts_add_json(&o->vm.netdevs, "-netdev", val, "type", err);
}

static int set_nic(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->nic_said = true;
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		print_types();
		return 1;
	}
	if (!strcmp(val, "model=help")) {
		print_models();
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
	 "a card and what is at its other end; 'none': no card, not even the one that firmware "
	 "finds by default; 'help' lists the types, 'model=help' the cards",
	 set_nic},
	{"netdev", "TYPE,id=ID[,SETTING=VALUE]",
	 "the other end of a card of '-device CARD,netdev=ID'; 'help' lists the types", set_netdev},
	{"net", "none", "no network card", set_net},
	{NULL, NULL, NULL, NULL},
};
