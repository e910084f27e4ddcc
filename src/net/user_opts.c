// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The settings of -netdev user, as QEMU 7.2 spells them.
 * Threads: set-up; host forwards with the VM lock held.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/keyval.h"
#include "net/user_int.h"

#define DEFAULT_NET 0x0a000200u /* 10.0.2.0/24 */

static int get_addr(struct props *p, const char *key, struct in_addr *out, struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (val && inet_pton(AF_INET, val, out) != 1)
		return err_set(err, -EINVAL, "%s: %s=%s is not an IPv4 address, as 10.0.2.2",
			       props_what(p), key, val);
	return 0;
}

static int get_addr6(struct props *p, const char *key, struct in6_addr *out, struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (val && inet_pton(AF_INET6, val, out) != 1)
		return err_set(err, -EINVAL, "%s: %s=%s is not an IPv6 address, as fec0::2",
			       props_what(p), key, val);
	return 0;
}

static int get_string(struct props *p, const char *key, char *out, size_t cap,
		      struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (val && strlen(val) >= cap)
		return err_set(err, -EINVAL, "%s: %s= is too long; %zu bytes are the most",
			       props_what(p), key, cap - 1);
	if (val)
		strcpy(out, val);
	return 0;
}

/* net=ADDR[/BITS], or /MASK. */
static int parse_net(struct net_user_config *c, const char *val)
{
	char addr[64];
	const char *slash = strchr(val, '/');
	size_t len = slash ? (size_t)(slash - val) : strlen(val);
	uint64_t bits;
	uint32_t mask;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, val, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET, addr, &c->net) != 1)
		return -EINVAL;
	if (!slash) {
		/* As the classes of old have it, which is what QEMU does. */
		mask = ntohl(c->net.s_addr);
		mask = !(mask & 0x80000000u)		     ? 0xff000000u
		       : (mask & 0xfff00000u) == 0xac100000u ? 0xfff00000u
		       : (mask & 0xc0000000u) == 0x80000000u ? 0xffff0000u
							     : 0xffffff00u;
		c->mask.s_addr = htonl(mask);
	} else if (!parse_u64(slash + 1, &bits)) {
		if (bits < 4 || bits > 30)
			return -EINVAL;
		c->mask.s_addr = htonl(UINT32_MAX << (32 - bits));
	} else if (inet_pton(AF_INET, slash + 1, &c->mask) != 1) {
		return -EINVAL;
	}
	mask = ~ntohl(c->mask.s_addr);
	/* Ones, then zeros, and room for the gateway, the name server and a guest. */
	if ((mask & (mask + 1)) || mask < 3)
		return -EINVAL;
	c->net.s_addr &= c->mask.s_addr;
	return 0;
}

static bool inside(const struct net_user_config *c, struct in_addr a)
{
	uint32_t host = ntohl(a.s_addr) & ~ntohl(c->mask.s_addr);

	return (a.s_addr & c->mask.s_addr) == c->net.s_addr && host &&
	       host != ~ntohl(c->mask.s_addr);
}

static int check_inside(struct props *p, const struct net_user_config *c, const char *key,
			struct in_addr a, struct lodge_err *err)
{
	char text[INET_ADDRSTRLEN], net[INET_ADDRSTRLEN];

	if (inside(c, a))
		return 0;
	inet_ntop(AF_INET, &a, text, sizeof(text));
	inet_ntop(AF_INET, &c->net, net, sizeof(net));
	return err_set(err, -EINVAL, "%s: %s=%s is not a guest's address in the network %s",
		       props_what(p), key, text, net);
}

static int parse_v4(struct net_user_config *c, struct props *p, struct lodge_err *err)
{
	const char *val = props_get(p, "net");
	uint32_t base, room;
	int r;

	c->net.s_addr = htonl(DEFAULT_NET);
	c->mask.s_addr = htonl(0xffffff00u);
	if (val && parse_net(c, val))
		return err_set(err, -EINVAL,
			       "%s: net=%s is not a network with room for four addresses, as "
			       "10.0.2.0/24",
			       props_what(p), val);
	base = ntohl(c->net.s_addr);
	room = ~ntohl(c->mask.s_addr);
	c->host.s_addr = htonl(base | 2 % room);
	c->dns.s_addr = htonl(base | (room > 3 ? 3u : 1u));
	c->dhcp_start.s_addr = htonl(base | (room > 15 ? 15u : room - 1));
	if ((r = get_addr(p, "host", &c->host, err)) || (r = get_addr(p, "dns", &c->dns, err)) ||
	    (r = get_addr(p, "dhcpstart", &c->dhcp_start, err)))
		return r;
	if ((r = check_inside(p, c, "host", c->host, err)) ||
	    (r = check_inside(p, c, "dns", c->dns, err)) ||
	    (r = check_inside(p, c, "dhcpstart", c->dhcp_start, err)))
		return r;
	if (c->host.s_addr == c->dns.s_addr)
		return err_set(err, -EINVAL, "%s: host= and dns= are the same address",
			       props_what(p));
	if (c->host.s_addr == c->dhcp_start.s_addr || c->dns.s_addr == c->dhcp_start.s_addr)
		return err_set(err, -EINVAL,
			       "%s: dhcpstart= is the address of host= or dns=", props_what(p));
	return 0;
}

static bool prefix_equal(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++) {
		if ((a->s6_addr[i / 8] ^ b->s6_addr[i / 8]) & (0x80 >> i % 8))
			return false;
	}
	return true;
}

static int parse_v6(struct net_user_config *c, struct props *p, struct lodge_err *err)
{
	uint64_t len = 64;
	int r;

	if (inet_pton(AF_INET6, "fec0::", &c->prefix6) != 1)
		return -EINVAL;
	if ((r = get_addr6(p, "ipv6-prefix", &c->prefix6, err)) ||
	    (r = props_u64(p, "ipv6-prefixlen", 126, &len, err)))
		return r;
	c->prefix6_len = (uint8_t)len;
	c->host6 = c->dns6 = c->prefix6;
	c->host6.s6_addr[15] |= 2;
	c->dns6.s6_addr[15] |= 3;
	if ((r = get_addr6(p, "ipv6-host", &c->host6, err)) ||
	    (r = get_addr6(p, "ipv6-dns", &c->dns6, err)))
		return r;
	if (!prefix_equal(&c->host6, &c->prefix6, c->prefix6_len) ||
	    !prefix_equal(&c->dns6, &c->prefix6, c->prefix6_len))
		return err_set(
			err, -EINVAL,
			"%s: ipv6-host= and ipv6-dns= have to lie in ipv6-prefix=", props_what(p));
	return 0;
}

static int parse_search(struct net_user_config *c, struct props *p, struct lodge_err *err)
{
	const char *val;
	size_t at = 0;

	while ((val = props_next(p, "dnssearch"))) {
		size_t len = strlen(val) + 1;

		if (c->searches == NET_USER_SEARCH_MAX || len > sizeof(c->search) - at)
			return err_set(err, -EINVAL,
				       "%s: too many dnssearch=; %u of together %zu bytes are the "
				       "most",
				       props_what(p), NET_USER_SEARCH_MAX, sizeof(c->search));
		memcpy(c->search + at, val, len);
		at += len;
		c->searches++;
	}
	return 0;
}

static int refuse(struct props *p, struct lodge_err *err)
{
	if (props_has(p, "guestfwd"))
		return err_set(
			err, -ENOTSUP,
			"%s: guestfwd= is not there: the NAT process can start no program "
			"and open no file; let the guest connect to the host's address, which "
			"is host= (10.0.2.2)",
			props_what(p));
	if (props_has(p, "smb") || props_has(p, "smbserver"))
		return err_set(err, -ENOTSUP,
			       "%s: smb= is not there: the NAT process starts no file server",
			       props_what(p));
	return 0;
}

int net_user_parse(struct net_user_config *c, struct props *p, struct lodge_err *err)
{
	bool ipv4 = true, ipv6 = true;
	int r;

	memset(c, 0, sizeof(*c));
	if ((r = refuse(p, err)) || (r = props_bool(p, "ipv4", &ipv4, err)) ||
	    (r = props_bool(p, "ipv6", &ipv6, err)) ||
	    (r = props_bool(p, "restrict", &c->restricted, err)))
		return r;
	/* Naming only one of them as on means: only that one. */
	if (props_has(p, "ipv4") && ipv4 && !props_has(p, "ipv6"))
		ipv6 = false;
	if (props_has(p, "ipv6") && ipv6 && !props_has(p, "ipv4"))
		ipv4 = false;
	if (!ipv4 && !ipv6)
		return err_set(err, -EINVAL, "%s: with ipv4=off and ipv6=off nothing is left",
			       props_what(p));
	c->v4 = ipv4;
	c->v6 = ipv6;
	if ((r = parse_v4(c, p, err)) || (r = parse_v6(c, p, err)) ||
	    (r = get_string(p, "hostname", c->hostname, 33, err)) ||
	    (r = get_string(p, "domainname", c->domainname, sizeof(c->domainname), err)) ||
	    (r = get_string(p, "tftp", c->tftp_path, sizeof(c->tftp_path), err)) ||
	    (r = get_string(p, "bootfile", c->bootfile, 128, err)) ||
	    (r = get_string(p, "tftp-server-name", c->tftp_server_name, sizeof(c->tftp_server_name),
			    err)))
		return r;
	c->tftp = c->tftp_path[0] != '\0';
	return parse_search(c, p, err);
}

/* ---- Host forwards ------------------------------------------------------------------------------
 */

static int bad_rule(const char *rule, bool add, struct lodge_err *err)
{
	return err_set(err, -EINVAL, "hostfwd=%s: write it as %s", rule,
		       add ? "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT, "
			     "as tcp:127.0.0.1:2222-:22"
			   : "[tcp|udp]:[HOSTADDR]:HOSTPORT, as tcp:127.0.0.1:2222");
}

/* "[ADDR]:PORT" of `len` bytes. */
static int parse_addr_port(const char *text, size_t len, struct in_addr *addr, uint16_t *port)
{
	char buf[64], *colon;
	uint64_t n;

	if (len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	colon = strchr(buf, ':');
	if (!colon || parse_u64(colon + 1, &n) || !n || n > 65535)
		return -EINVAL;
	*colon = '\0';
	*port = (uint16_t)n;
	if (buf[0] && inet_pton(AF_INET, buf, addr) != 1)
		return -EINVAL;
	return 0;
}

int net_user_parse_fwd(struct net_user_fwd *f, bool add, const char *rule, struct lodge_err *err)
{
	const char *at = rule, *dash = strchr(rule, '-');
	size_t host_len;

	*f = (struct net_user_fwd){.add = add};
	if (!strncmp(at, "tcp:", 4)) {
		at += 4;
	} else if (!strncmp(at, "udp:", 4)) {
		f->udp = true;
		at += 4;
	} else if (*at == ':') {
		at++;
	} else {
		return bad_rule(rule, add, err);
	}
	if (add != (dash != NULL) || (dash && dash < at))
		return bad_rule(rule, add, err);
	host_len = dash ? (size_t)(dash - at) : strlen(at);
	if (parse_addr_port(at, host_len, &f->host_addr, &f->host_port))
		return bad_rule(rule, add, err);
	if (add && parse_addr_port(dash + 1, strlen(dash + 1), &f->guest_addr, &f->guest_port))
		return bad_rule(rule, add, err);
	return 0;
}
