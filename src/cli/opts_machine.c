// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about the machine and its processors. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/range.h"
#include "cli/run_opts.h"
#include "x86/cpuid.h"

/* ---- -m ---------------------------------------------------------------------------------------
 */

static int set_size(struct run_opts *o, const char *val, struct lodge_err *err)
{
	uint64_t bytes;
	int r = parse_size(val, 1 << 20, &bytes);

	if (r == -EINVAL)
		return err_set(err, r,
			       "-m %s: not a size; write a number of MiB, or one with K, M, G or T",
			       val);
	if (!r && bytes < VM_RAM_MIN)
		return err_set(err, -ERANGE, "-m %s: too little memory; 8M is the least", val);
	if (r || bytes > VM_RAM_MAX)
		return err_set(err, -ERANGE, "-m %s: too much memory; 1T is the most", val);
	o->vm.ram_bytes = align_up(bytes, 4096);
	o->ram_said = true;
	return 0;
}

static int set_memory(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	keyval_init(&kv, val, "size");
	while ((r = keyval_next(&kv, err)) > 0) {
		if (!strcmp(kv.key, "size"))
			r = set_size(o, kv.val, err);
		else
			r = err_set(err, -EINVAL, "-m: '%s' is not there yet; '-m SIZE' is all",
				    kv.key);
		if (r)
			return r;
	}
	return r;
}

/* ---- -smp -------------------------------------------------------------------------------------
 */

enum { SMP_CPUS, SMP_MAXCPUS, SMP_SOCKETS, SMP_DIES, SMP_CLUSTERS, SMP_CORES, SMP_THREADS, SMP_N };

static const char *const smp_names[SMP_N] = {"cpus",	 "maxcpus", "sockets", "dies",
					     "clusters", "cores",   "threads"};

static int parse_smp(const char *val, uint64_t n[SMP_N], struct lodge_err *err)
{
	struct keyval kv;
	int r;

	keyval_init(&kv, val, "cpus");
	while ((r = keyval_next(&kv, err)) > 0) {
		unsigned i = 0;

		while (i < SMP_N && strcmp(smp_names[i], kv.key))
			i++;
		if (i == SMP_N)
			return err_set(err, -EINVAL,
				       "-smp: there is no '%s'; there are cpus, sockets, cores and "
				       "threads",
				       kv.key);
		if (parse_u64(kv.val, &n[i]) || !n[i] || n[i] > 1024)
			return err_set(err, -EINVAL, "-smp: %s=%s is not a number of processors",
				       kv.key, kv.val);
	}
	return r;
}

static int set_smp(struct run_opts *o, const char *val, struct lodge_err *err)
{
	uint64_t n[SMP_N] = {0}, product = 1;
	bool topology = false;
	int r = parse_smp(val, n, err);

	if (r)
		return r;
	for (unsigned i = SMP_SOCKETS; i < SMP_N; i++) {
		topology |= n[i] != 0;
		product *= n[i] ? n[i] : 1;
	}
	if (!n[SMP_CPUS])
		n[SMP_CPUS] = topology ? product : 1;
	/* What is not said follows from the rest: "4,cores=2" is two sockets. */
	if (n[SMP_CPUS] % product || (n[SMP_SOCKETS] && n[SMP_CORES] && product != n[SMP_CPUS]))
		return err_set(err, -EINVAL,
			       "-smp %s: sockets, cores and threads make %llu, not %llu processors",
			       val, (unsigned long long)product, (unsigned long long)n[SMP_CPUS]);
	if (n[SMP_MAXCPUS] && n[SMP_MAXCPUS] != n[SMP_CPUS])
		return err_set(
			err, -EINVAL,
			"-smp %s: adding processors later is not there yet; leave maxcpus out",
			val);
	if (n[SMP_CPUS] > VM_CPUS_MAX)
		return err_set(err, -EINVAL, "-smp %s: %u processors are the most", val,
			       VM_CPUS_MAX);
	o->vm.cpus = (unsigned)n[SMP_CPUS];
	return 0;
}

/* ---- -cpu -------------------------------------------------------------------------------------
 */

static int set_cpu(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		x86_cpuid_print_models(stdout);
		printf("\nwith KVM, what the hypervisor gives, each =on or =off:\n");
		x86_hypervisor_print(stdout);
		return 1;
	}
	o->vm.cpu = val;
	return 0;
}

/* ---- -accel, -machine ---------------------------------------------------------------------------
 */

static int name_engine(struct run_opts *o, const char *name, size_t len, struct lodge_err *err)
{
	const struct {
		const char *name;
		bool *where;
	} engines[] = {
		{"auto", &o->accel.any},
		{"kvm", &o->accel.kvm},
		{"soft", &o->accel.soft},
		{"tcg", &o->accel.soft},
	};

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (strlen(engines[i].name) == len && !memcmp(engines[i].name, name, len)) {
			*engines[i].where = true;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "there is no engine '%.*s'; there are auto, soft and kvm",
		       (int)len, name);
}

/* "kvm:tcg": the first that works. */
static int name_engines(struct run_opts *o, const char *list, struct lodge_err *err)
{
	for (;;) {
		size_t len = strcspn(list, ":");
		int r = name_engine(o, list, len, err);

		if (r || !list[len])
			return r;
		list += len + 1;
	}
}

static int set_tier(struct run_opts *o, const char *val, struct lodge_err *err)
{
	uint64_t tier;

	if (parse_u64(val, &tier) || tier < 1 || tier > 2)
		return err_set(
			err, -EINVAL,
			"-accel: there is no tier=%s; 1 is the interpreter, 2 the translator", val);
	if (tier > ENGINE_SOFT_TIERS)
		return err_set(err, -EINVAL,
			       "-accel: tier=%s is not there yet; tier=1, the interpreter, "
			       "is what there is",
			       val);
	o->vm.soft.tier = (unsigned)tier;
	return 0;
}

static int set_check(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (parse_bool(val, &o->vm.soft.check))
		return err_set(err, -EINVAL, "-accel: check=%s is neither on nor off", val);
	if (o->vm.soft.check && ENGINE_SOFT_TIERS < 2)
		return err_set(err, -EINVAL,
			       "-accel: check=%s compares tier 2 with tier 1, and tier 2 is not "
			       "there yet",
			       val);
	return 0;
}

static int set_tb_size(struct run_opts *o, const char *val, struct lodge_err *err)
{
	uint64_t mib;

	if (parse_u64(val, &mib) || mib < ENGINE_SOFT_TB_MIB_MIN || mib > ENGINE_SOFT_TB_MIB_MAX)
		return err_set(err, -EINVAL,
			       "-accel: tb-size=%s is not a size of the code cache; write a number "
			       "of MiB from %u to %u",
			       val, ENGINE_SOFT_TB_MIB_MIN, ENGINE_SOFT_TB_MIB_MAX);
	o->vm.soft.tb_size_mib = (unsigned)mib;
	return 0;
}

static int set_perf(struct run_opts *o, const char *val, struct lodge_err *err)
{
	static const char *const names[] = {
		[ENGINE_PERF_OFF] = "off",
		[ENGINE_PERF_MAP] = "map",
		[ENGINE_PERF_JITDUMP] = "jitdump",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(val, names[i])) {
			o->vm.soft.perf = (enum engine_perf)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "-accel: there is no perf=%s; there are map, jitdump and off",
		       val);
}

static int set_thread(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	if (strcmp(val, "multi"))
		return err_set(err, -EINVAL,
			       "-accel: thread=%s is not there; each vCPU has its thread", val);
	return 0;
}

static int set_kvm_device(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (!*val)
		return err_set(err, -EINVAL, "-accel: device= needs a path, as device=%s",
			       ENGINE_KVM_DEVICE);
	o->vm.kvm.device = run_opts_keep(o, val);
	if (!o->vm.kvm.device)
		return err_set(err, -ENOMEM, "-accel: too many options");
	return 0;
}

static int set_irqchip(struct run_opts *o, const char *val, struct lodge_err *err)
{
	static const struct {
		const char *name;
		enum engine_irqchip chip;
	} names[] = {
		{"on", ENGINE_IRQCHIP_ON},
		{"split", ENGINE_IRQCHIP_SPLIT},
		{"off", ENGINE_IRQCHIP_OFF},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(val, names[i].name)) {
			o->vm.kvm.irqchip = names[i].chip;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "kernel-irqchip=%s is not there; there are on, split and off",
		       val);
}

static int set_engine_property(struct run_opts *o, const struct keyval *kv, struct lodge_err *err)
{
	static const struct {
		const char *key;
		int (*set)(struct run_opts *o, const char *val, struct lodge_err *err);
		bool soft_only;
	} props[] = {
		{"tier", set_tier, true},
		{"check", set_check, true},
		{"tb-size", set_tb_size, true},
		{"perf", set_perf, true},
		{"thread", set_thread, false},
		{"device", set_kvm_device, false},
		{"kernel-irqchip", set_irqchip, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
		if (strcmp(kv->key, props[i].key))
			continue;
		o->accel.soft_properties |= props[i].soft_only;
		return props[i].set(o, kv->val, err);
	}
	return err_set(err, -EINVAL,
		       "-accel: there is no property '%s'; there are tier, check, tb-size, perf, "
		       "thread, device and kernel-irqchip",
		       kv->key);
}

static int set_accel(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	if (!strcmp(val, "help")) {
		printf("auto  KVM where it runs operating systems, else soft ('lodge doctor' "
		       "says)\n"
		       "soft  the software engine; 'tcg' means it, too\n"
		       "kvm   the kernel's virtualization\n"
		       "\nproperties of kvm:\n"
		       "device=PATH    the device (%s)\n"
		       "kernel-irqchip=on|split|off\n"
		       "               all interrupt controllers in the kernel, local APICs, or "
		       "none (split on AMD-V)\n",
		       ENGINE_KVM_DEVICE);
		printf("\nproperties of soft:\n"
		       "tier=N         1: the interpreter, 2: the translator (%u, the highest "
		       "there is)\n"
		       "check=on|off   run both tiers and stop at the first difference (off)\n"
		       "tb-size=N      code cache of the translator, in MiB (%u)\n"
		       "perf=map|jitdump|off\n"
		       "               tell Linux's perf the names of generated code (off)\n",
		       ENGINE_SOFT_TIERS, ENGINE_SOFT_TB_MIB);
		return 1;
	}
	keyval_init(&kv, val, "accel");
	while ((r = keyval_next(&kv, err)) > 0) {
		if (!strcmp(kv.key, "accel"))
			r = name_engines(o, kv.val, err);
		else
			r = set_engine_property(o, &kv, err);
		if (r)
			return r;
	}
	return r;
}

static int set_enable_kvm(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->accel.kvm = true;
	return 0;
}

/* Machine properties that are as the machine is: nothing to do. */
static bool is_as_it_is(const struct keyval *kv)
{
	static const struct {
		const char *key, *val;
	} facts[] = {
		{"usb", "off"},	      {"smm", "off"},  {"vmport", "off"},
		{"graphics", "off"},  {"acpi", "on"},  {"hpet", "on"},
		{"pit", "on"},	      {"sata", "off"}, {"smbus", "on"},
		{"i8042", "on"},      {"pic", "on"},   {"default-bus-bypass-iommu", "off"},
		{"mem-merge", "off"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		if (!strcmp(facts[i].key, kv->key) && !strcmp(facts[i].val, kv->val))
			return true;
	}
	return false;
}

static int set_machine_type(const char *type, struct lodge_err *err)
{
	static const char versioned[] = "pc-i440fx-";

	if (!strcmp(type, "pc") || !strncmp(type, versioned, sizeof(versioned) - 1))
		return 0;
	if (!strcmp(type, "q35") || !strncmp(type, "pc-q35-", 7))
		return err_set(err, -EINVAL, "-machine: '%s' is not there yet; use pc", type);
	return err_set(err, -EINVAL, "-machine: there is no '%s'; there is pc", type);
}

static int set_machine(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		puts("pc    440FX host bridge, PIIX3 and PIIX4 (default)");
		return 1;
	}
	keyval_init(&kv, val, "type");
	while ((r = keyval_next(&kv, err)) > 0) {
		if (!strcmp(kv.key, "type"))
			r = set_machine_type(kv.val, err);
		else if (!strcmp(kv.key, "accel"))
			r = name_engines(o, kv.val, err);
		else if (!strcmp(kv.key, "memory-backend"))
			r = run_opts_memory_backend(o, kv.val, err);
		else if (!strcmp(kv.key, "usb") && !strcmp(kv.val, "on"))
			r = run_opts_set_usb(o, NULL, err);
		else if (!strcmp(kv.key, "kernel-irqchip"))
			r = set_irqchip(o, kv.val, err);
		else
			r = is_as_it_is(&kv)
				    ? 0
				    : err_set(err, -EINVAL, "-machine: '%s=%s' is not there yet",
					      kv.key, kv.val);
		if (r)
			return r;
	}
	return r;
}

/* ---- -rtc, -name --------------------------------------------------------------------------------
 */

static int set_rtc(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	keyval_init(&kv, val, NULL);
	while ((r = keyval_next(&kv, err)) > 0) {
		if (!strcmp(kv.key, "base") && !strcmp(kv.val, "utc"))
			o->vm.rtc_localtime = false;
		else if (!strcmp(kv.key, "base") && !strcmp(kv.val, "localtime"))
			o->vm.rtc_localtime = true;
		else if ((strcmp(kv.key, "clock") || strcmp(kv.val, "host")) &&
			 (strcmp(kv.key, "driftfix") || strcmp(kv.val, "none")))
			return err_set(err, -EINVAL,
				       "-rtc: '%s=%s' is not there; there are base=utc and "
				       "base=localtime",
				       kv.key, kv.val);
	}
	return r;
}

static int set_name(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	keyval_init(&kv, val, "guest");
	while ((r = keyval_next(&kv, err)) > 0) {
		bool on;

		if (!strcmp(kv.key, "guest"))
			o->vm.name = run_opts_keep(o, kv.val);
		else if (strcmp(kv.key, "debug-threads") || parse_bool(kv.val, &on) || !on)
			return err_set(
				err, -EINVAL,
				"-name: '%s=%s' is not there; threads always have names, and "
				"'-name NAME' is all",
				kv.key, kv.val);
	}
	return r;
}

const struct run_opt run_opts_machine[] = {
	{"m", "SIZE", "memory of the guest, in MiB or with K, M, G, T (128M)", set_memory},
	{"smp", "N[,sockets=N][,cores=N]", "processors (1)", set_smp},
	{"cpu", "MODEL[,+FEATURE][,-FEATURE]", "processor model (max); 'help' lists them", set_cpu},
	{"accel", "auto|soft|kvm[,PROPERTY=VALUE]",
	 "engine (auto); 'tcg' means soft; 'help' explains", set_accel},
	{"enable-kvm", NULL, "the same as -accel kvm", set_enable_kvm},
	{"machine", "pc[,accel=ENGINE][,memory-backend=ID]", "board: pc, the only one",
	 set_machine},
	{"M", "pc", "the same as -machine", set_machine},
	{"rtc", "base=utc|localtime", "what the clock shows (utc)", set_rtc},
	{"name", "NAME", "the machine's name, for people", set_name},
	{NULL, NULL, NULL, NULL},
};
