// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run`. Run: make t T=cli/run_opts */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/props.h"
#include "cli/run_opts.h"

#define MAX_ARGS 32

static struct lodge_err err;
static char line_buf[1024];

/* Parses "run " and the words of `line` (split at spaces). */
static int parse(struct run_opts *o, const char *line)
{
	char *argv[MAX_ARGS] = {"run"}, *save, *word;
	int argc = 1;

	err.msg[0] = '\0';
	snprintf(line_buf, sizeof(line_buf), "%s", line);
	for (word = strtok_r(line_buf, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_ARGS);
		argv[argc++] = word;
	}
	return run_opts_parse(o, argc, argv, &err);
}

static void expect_ok(struct run_opts *o, const char *line)
{
	int r = parse(o, line);

	if (r)
		print_error("'%s': %s\n", line, err.msg);
	assert_int_equal(r, 0);
}

/* Refused, with a sentence that names `word`. */
static void expect_refusal(const char *line, const char *word)
{
	struct run_opts o;
	int r = parse(&o, line);

	if (r >= 0 || !strstr(err.msg, word))
		print_error("'%s' gives %d, '%s'\n", line, r, err.msg);
	assert_true(r < 0);
	assert_non_null(strstr(err.msg, word));
	assert_null(strchr(err.msg, '\n'));
	run_opts_free(&o);
}

static void parse_when_kernel_only_expect_defaults(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k");
	assert_string_equal(o.vm.kernel, "k");
	assert_int_equal(o.vm.ram_bytes, 128 << 20);
	assert_int_equal(o.vm.cpus, 1);
	assert_string_equal(o.vm.serial[0], "mon:stdio");
	assert_null(o.vm.serial[1]);
	assert_false(o.vm.no_reboot | o.vm.no_shutdown | o.vm.debug_exit | o.vm.rtc_localtime);
	run_opts_free(&o);
}

static void parse_when_two_dashes_expect_the_same(void **state)
{
	struct run_opts o;

	expect_ok(&o, "--kernel k --append a=b --no-reboot -no-shutdown --m 1G");
	assert_string_equal(o.vm.append, "a=b");
	assert_true(o.vm.no_reboot && o.vm.no_shutdown);
	assert_int_equal(o.vm.ram_bytes, 1 << 30);
	run_opts_free(&o);
}

static void memory_when_spelled_many_ways_expect_bytes(void **state)
{
	static const struct {
		const char *line;
		uint64_t bytes;
	} good[] = {
		{"-kernel k -m 512", 512ull << 20},	{"-kernel k -m 512M", 512ull << 20},
		{"-kernel k -m size=1.5G", 3ull << 29}, {"-kernel k -m 8M", 8ull << 20},
		{"-kernel k -m 1T", 1ull << 40},	{"-kernel k -m 10000000B", 10002432},
	};
	struct run_opts o;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		expect_ok(&o, good[i].line);
		assert_int_equal(o.vm.ram_bytes, good[i].bytes);
		run_opts_free(&o);
	}
	expect_refusal("-kernel k -m 4M", "too little");
	expect_refusal("-kernel k -m 0", "too little");
	expect_refusal("-kernel k -m 4P", "too much");
	expect_refusal("-kernel k -m 99999999E", "too much");
	expect_refusal("-kernel k -m lots", "not a size");
	expect_refusal("-kernel k -m -5", "not a size");
	expect_refusal("-kernel k -m 1G,slots=4", "slots");
	expect_refusal("-kernel k -m", "argument");
}

static void smp_when_topology_given_expect_product_checked(void **state)
{
	static const struct {
		const char *line;
		unsigned cpus;
	} good[] = {
		{"-kernel k -smp 4", 4},
		{"-kernel k -smp cpus=2", 2},
		{"-kernel k -smp 4,sockets=2,cores=2", 4},
		{"-kernel k -smp 4,cores=2", 4},
		{"-kernel k -smp sockets=1,cores=3,threads=2", 6},
		{"-kernel k -smp 2,maxcpus=2", 2},
	};
	struct run_opts o;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		expect_ok(&o, good[i].line);
		assert_int_equal(o.vm.cpus, good[i].cpus);
		run_opts_free(&o);
	}
	expect_refusal("-kernel k -smp 0", "cpus=0");
	expect_refusal("-kernel k -smp two", "two");
	expect_refusal("-kernel k -smp 3,cores=2", "3");
	expect_refusal("-kernel k -smp 4,sockets=1,cores=2", "4");
	expect_refusal("-kernel k -smp 2,maxcpus=4", "maxcpus");
	expect_refusal("-kernel k -smp 65", "64");
	expect_refusal("-kernel k -smp 2,books=1", "books");
}

static void accel_when_named_expect_engine_or_refusal(void **state)
{
	static const char *const good[] = {
		"-kernel k -accel auto",
		"-kernel k -accel kvm",
		"-kernel k -accel soft",
		"-kernel k -accel tcg",
		"-kernel k -accel tcg,tier=1,thread=multi",
		"-kernel k -accel kvm -accel tcg",
		"-kernel k -machine pc,accel=kvm:tcg",
		"-kernel k -M pc",
		"-kernel k -machine pc-i440fx-7.2,usb=off",
	};
	struct run_opts o;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		expect_ok(&o, good[i]);
		run_opts_free(&o);
	}
	expect_ok(&o, "-kernel k");
	assert_false(o.accel.kvm || o.accel.soft || o.accel.any);
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -enable-kvm");
	assert_true(o.accel.kvm && !o.accel.soft && !o.accel.any);
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -machine pc,accel=kvm");
	assert_true(o.accel.kvm && !o.accel.soft && !o.accel.any);
	assert_null(o.vm.kvm.device);
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -accel kvm,device=/dev/lodge");
	assert_string_equal(o.vm.kvm.device, "/dev/lodge");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -accel auto,tier=1");
	assert_true(o.accel.any && o.accel.soft_properties);
	run_opts_free(&o);
	expect_refusal("-kernel k -accel kvm,tier=1", "tier");
	expect_refusal("-kernel k -accel soft,device=/dev/kvm", "device");
	expect_refusal("-kernel k -accel kvm,device=", "device=");
	expect_refusal("-kernel k -accel xen", "xen");
	expect_refusal("-kernel k -accel soft,thread=single", "single");
	expect_refusal("-kernel k -machine q35", "q35");
	expect_refusal("-kernel k -machine virt", "virt");
	expect_refusal("-kernel k -machine pc,usb=perhaps", "usb=perhaps");
}

static void accel_properties_when_given_expect_them_set(void **state)
{
	struct run_opts o;
	struct engine_soft_options full;

	expect_ok(&o, "-kernel k");
	full = engine_soft_options_fill(&o.vm.soft);
	assert_int_equal(full.tier, ENGINE_SOFT_TIERS);
	assert_int_equal(full.tb_size_mib, 256);
	assert_false(full.check);
	assert_int_equal(full.perf, ENGINE_PERF_OFF);
	run_opts_free(&o);

	expect_ok(&o, "-kernel k -accel soft,tier=1,tb-size=64,perf=map,check=off");
	full = engine_soft_options_fill(&o.vm.soft);
	assert_int_equal(full.tier, 1);
	assert_int_equal(full.tb_size_mib, 64);
	assert_int_equal(full.perf, ENGINE_PERF_MAP);
	assert_string_equal(engine_soft_tier_name(&o.vm.soft), "S1 interpreter");
	run_opts_free(&o);

	expect_ok(&o, "-kernel k -accel kvm:tcg,tb-size=1024 -accel soft,perf=jitdump");
	assert_int_equal(o.vm.soft.tb_size_mib, 1024);
	assert_int_equal(o.vm.soft.perf, ENGINE_PERF_JITDUMP);
	run_opts_free(&o);
}

static void accel_properties_when_nonsense_expect_refusal(void **state)
{
	static const char *const bad[][2] = {
		{"tier=0", "tier=0"},
		{"tier=3", "tier=3"},
		{"tier=one", "tier=one"},
		{"tier=", "tier="},
		{"tier=18446744073709551617", "tier="},
		{"check=maybe", "check=maybe"},
		{"tb-size=3", "tb-size=3"},
		{"tb-size=0", "from 4 to 1024"},
		{"tb-size=1025", "from 4 to 1024"},
		{"tb-size=64M", "number of MiB"},
		{"tb-size=-1", "tb-size=-1"},
		{"perf=on", "perf=on"},
		{"perf", "map, jitdump"},
		{"tier=1,check=on", "check=on"},
		{"check=on,tier=1", "check=on"},
		{"one-insn-per-tb=on", "one-insn-per-tb"},
	};
	char line[128];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "-kernel k -accel soft,%s", bad[i][0]);
		expect_refusal(line, bad[i][1]);
	}
	if (ENGINE_SOFT_TIERS < 2) {
		expect_refusal("-kernel k -accel soft,tier=2", "tier=2");
		expect_refusal("-kernel k -accel soft,check=on", "tier 2");
	}
}

static void serial_when_repeated_expect_ports_in_order(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -serial stdio -serial none -serial file:x -serial null");
	assert_string_equal(o.vm.serial[0], "stdio");
	assert_null(o.vm.serial[1]);
	assert_string_equal(o.vm.serial[2], "file:x");
	assert_string_equal(o.vm.serial[3], "null");
	run_opts_free(&o);
	expect_refusal("-kernel k -serial null -serial null -serial null -serial null -serial null",
		       "4");
}

static void console_when_defaults_change_expect_first_serial_port_to_follow(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -nographic");
	assert_string_equal(o.vm.serial[0], "mon:stdio");
	expect_ok(&o, "-kernel k -display none");
	assert_string_equal(o.vm.serial[0], "null");
	expect_ok(&o, "-kernel k -nodefaults");
	assert_null(o.vm.serial[0]);
	expect_ok(&o, "-kernel k -serial none");
	assert_null(o.vm.serial[0]);
	/* For 'lodge console'. */
	expect_ok(&o, "-kernel k -daemonize");
	assert_string_equal(o.vm.serial[0], "null");
	assert_true(o.vm.no_stdio);
	expect_refusal("-kernel k -daemonize -nographic", "-nographic");
}

static void monitors_when_given_expect_their_kinds(void **state)
{
	struct run_opts o;

	expect_ok(&o,
		  "-kernel k -monitor stdio -qmp unix:q,server=on -qmp-pretty tcp:h:1 "
		  "-mon chardev=a,mode=control,pretty=on -mon b -mon chardev=c,mode=readline -S");
	assert_int_equal(o.vm.n_monitors, 6);
	assert_string_equal(o.vm.serial[0], "null"); /* the terminal is the monitor's */
	assert_int_equal(o.vm.monitors[0].mode, VM_MONITOR_HMP);
	assert_int_equal(o.vm.monitors[1].mode, VM_MONITOR_QMP);
	assert_string_equal(o.vm.monitors[1].chardev, "unix:q,server=on");
	assert_int_equal(o.vm.monitors[2].mode, VM_MONITOR_QMP_PRETTY);
	assert_int_equal(o.vm.monitors[3].mode, VM_MONITOR_QMP_PRETTY);
	assert_string_equal(o.vm.monitors[3].chardev, "chardev:a");
	assert_string_equal(o.vm.monitors[4].chardev, "chardev:b");
	assert_int_equal(o.vm.monitors[5].mode, VM_MONITOR_HMP);
	assert_true(o.vm.start_stopped && !o.no_control);
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -monitor none -control off");
	assert_int_equal(o.vm.n_monitors, 0);
	assert_true(o.no_control);
	run_opts_free(&o);
	expect_refusal("-kernel k -control maybe", "-control");
	expect_refusal("-kernel k -mon mode=control", "chardev=ID");
	expect_refusal("-kernel k -mon chardev=a,mode=x", "mode=x");
	expect_refusal("-kernel k -mon chardev=a,pretty=x", "pretty");
	expect_refusal("-kernel k -qmp a -qmp b -qmp c -qmp d -qmp e -qmp f -qmp g -qmp h -qmp i",
		       "8 monitors");
}

static void device_when_isa_debug_exit_expect_ports(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -device isa-debug-exit");
	assert_true(o.vm.debug_exit);
	assert_int_equal(o.vm.debug_exit_base, 0x501);
	assert_int_equal(o.vm.debug_exit_size, 2);
	expect_ok(&o, "-kernel k -device isa-debug-exit,iobase=0xf4,iosize=0x04");
	assert_int_equal(o.vm.debug_exit_base, 0xf4);
	assert_int_equal(o.vm.debug_exit_size, 4);
	expect_refusal("-kernel k -device isa-debug-exit,iobase=0x10000", "iobase");
	expect_refusal("-kernel k -device isa-debug-exit,iobase=0xffff,iosize=2", "64 KiB");
	expect_refusal("-kernel k -device isa-debug-exit,iosize=0", "iosize");
	expect_refusal("-kernel k -device isa-debug-exit,color=1", "color");
}

static void fw_cfg_when_given_expect_items(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -fw_cfg opt/a,string=x,,y -fw_cfg name=opt/b,file=/etc/hosts");
	assert_int_equal(o.vm.fwcfg_items, 2);
	assert_string_equal(o.vm.fwcfg[0].name, "opt/a");
	assert_string_equal(o.vm.fwcfg[0].string, "x,y");
	assert_null(o.vm.fwcfg[0].file);
	assert_string_equal(o.vm.fwcfg[1].file, "/etc/hosts");
	run_opts_free(&o);
	expect_refusal("-kernel k -fw_cfg opt/a", "string=");
	expect_refusal("-kernel k -fw_cfg string=x", "name=");
	expect_refusal("-kernel k -fw_cfg opt/a,string=x,file=y", "one of");
	expect_refusal("-kernel k -fw_cfg opt/a,gen_id=x", "gen_id");
}

static void rtc_and_name_when_given_expect_them(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -rtc base=localtime,clock=host -name a,,b,debug-threads=on");
	assert_true(o.vm.rtc_localtime);
	assert_string_equal(o.vm.name, "a,b");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -rtc base=utc");
	assert_false(o.vm.rtc_localtime);
	run_opts_free(&o);
	expect_refusal("-kernel k -rtc base=1999-01-01", "1999");
	expect_refusal("-kernel k -name a,process=b", "process");
}

static void boot_when_incomplete_or_contradictory_expect_sentence(void **state)
{
	expect_refusal("-initrd i", "-kernel");
	expect_refusal("-append a", "-kernel");
}

static void firmware_when_not_named_expect_seabios_without_kernel(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-m 64M");
	assert_string_equal(o.vm.bios, "bios-256k.bin");
	assert_true(o.vm.bios_on_serial);
	run_opts_free(&o);
	expect_ok(&o, "-kernel k");
	assert_null(o.vm.bios);
	run_opts_free(&o);
	expect_ok(&o, "-bios b -L /a -L /b -display none");
	assert_string_equal(o.vm.bios, "b");
	assert_int_equal(o.vm.n_data_dirs, 2);
	assert_string_equal(o.vm.data_dirs[1], "/b");
	assert_false(o.vm.bios_on_serial);
	run_opts_free(&o);
}

static void boot_when_given_expect_order_menu_and_times(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-boot dc -no-fd-bootchk");
	assert_string_equal(o.vm.boot.order, "dc");
	assert_true(o.vm.boot.no_floppy_check);
	run_opts_free(&o);
	expect_ok(&o, "-boot order=c,once=d,menu=on,splash-time=2000,strict=on,reboot-timeout=-1");
	assert_string_equal(o.vm.boot.order, "c");
	assert_string_equal(o.vm.boot.once, "d");
	assert_true(o.vm.boot.menu && o.vm.boot.strict && o.vm.boot.has_splash_time);
	assert_int_equal(o.vm.boot.splash_time_ms, 2000);
	assert_int_equal(o.vm.boot.reboot_timeout_ms, UINT32_MAX);
	run_opts_free(&o);
	expect_refusal("-boot x", "'x'");
	expect_refusal("-boot cc", "twice");
	expect_refusal("-boot acdn", "three");
	expect_refusal("-boot order=", "three");
	expect_refusal("-boot menu=maybe", "maybe");
	expect_refusal("-boot splash-time=70000", "70000");
	expect_refusal("-boot splash=a.bmp", "splash=a.bmp");
	expect_refusal("-boot fast=on", "fast");
}

/* The short forms are -drive options, with QEMU's places. */
static void disks_when_given_expect_drives_in_order(void **state)
{
	static const struct {
		const char *key, *val;
	} want[][3] = {
		{{"file", "a,b.img"}, {"index", "0"}, {"media", "disk"}},
		{{"file", "cd"}, {"index", "2"}, {"media", "cdrom"}},
		{{"file", "f"}, {"if", "virtio"}, {"cache", "none"}},
		{{"file", "fd"}, {"if", "floppy"}, {"index", "1"}},
		{{"file", "last.img"}, {"index", "0"}, {"media", "disk"}},
	};
	struct run_opts o;

	expect_ok(&o, "-hda a,b.img -cdrom cd -drive if=virtio,file=f,cache=none -fdb fd "
		      "-snapshot last.img");
	assert_int_equal(o.vm.drives.n, 5);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 3; k++)
			assert_string_equal(props_get(o.vm.drives.p[i], want[i][k].key),
					    want[i][k].val);
	}
	assert_true(o.vm.snapshot);
	run_opts_free(&o);
	expect_ok(&o, "-blockdev raw,node-name=n,file.driver=file,file.filename=x");
	assert_string_equal(props_get(o.vm.blockdevs.p[0], "driver"), "raw");
	run_opts_free(&o);
	expect_refusal("-snapshot -blockdev raw,node-name=n", "-snapshot");
	expect_refusal("-drive file=a,file=b", "twice");
}

static void memory_objects_when_as_qemu_spells_them_expect_memory(void **state)
{
	static const char *const lines[] = {
		"-object memory-backend-memfd,id=m,size=1G,share=on -machine memory-backend=m",
		"-m 1G -object memory-backend-memfd,id=m,size=1024M,seal=on -M pc,memory-backend=m",
		"-m 1024 -object memory-backend-file,id=m,size=1G,mem-path=/dev/shm,share=on -numa "
		"node,memdev=m",
		"-numa node,nodeid=0,memdev=m -object memory-backend-ram,id=m,size=1G,prealloc=off",
		"-object memory-backend-ram,id=m,size=1G,share=off -machine memory-backend=m",
	};
	struct run_opts o;

	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		expect_ok(&o, lines[i]);
		assert_int_equal(o.vm.ram_bytes, 1ull << 30);
		run_opts_free(&o);
	}
}

static void memory_objects_when_more_is_asked_expect_refusal(void **state)
{
	static const struct {
		const char *line, *words;
	} refused[] = {
		{"-object rng-random,id=r", "'rng-random' is not there"},
		{"-object memory-backend-memfd,id=m,size=1G", "nothing uses 'm'"},
		{"-machine memory-backend=m", "'m' is not there"},
		{"-object memory-backend-ram,id=m,size=1M -machine memory-backend=m", "size="},
		{"-object memory-backend-ram,id=m -machine memory-backend=m", "size="},
		{"-m 512M -object memory-backend-ram,id=m,size=1G -machine memory-backend=m",
		 "512 MiB"},
		{"-object memory-backend-ram,id=m,size=1G,prealloc=on -machine memory-backend=m",
		 "prealloc=on"},
		{"-object memory-backend-ram,id=m,size=1G,policy=bind -machine memory-backend=m",
		 "policy"},
		{"-object memory-backend-file,id=m,size=1G,mem-path=/proc -machine "
		 "memory-backend=m",
		 "not in memory"},
		{"-object memory-backend-file,id=m,size=1G,mem-path=/nowhere -machine "
		 "memory-backend=m",
		 "/nowhere"},
		{"-numa node,memdev=a -numa node,memdev=a", "one node"},
		{"-numa node,cpus=0-3", "one node"},
		{"-numa node,memdev=a -machine memory-backend=b", "'a' and 'b'"},
		{"-object memory-backend-ram,id=m,size=1G,share=off -machine memory-backend=m "
		 "-device vhost-user-fs-pci,chardev=c,tag=t",
		 "share=on"},
	};

	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		expect_refusal(refused[i].line, refused[i].words);
}

static void json_when_given_expect_the_same_keys(void **state)
{
	struct run_opts o;
	struct props *p;

	expect_ok(&o,
		  "-blockdev {\"driver\":\"raw\",\"node-name\":\"n\",\"file\":{\"driver\":\"file\","
		  "\"filename\":\"a,b\"},\"read-only\":true} -device "
		  "{\"driver\":\"virtio-blk-pci\",\"drive\":\"n\"} -device "
		  "{\"iobase\":244,\"iosize\":4,\"driver\":\"isa-debug-exit\"}");
	p = o.vm.blockdevs.p[0];
	assert_string_equal(props_get(p, "driver"), "raw");
	assert_string_equal(props_get(p, "file.filename"), "a,b");
	assert_string_equal(props_get(p, "read-only"), "on");
	assert_int_equal(o.vm.devices.n, 1);
	assert_string_equal(props_get(o.vm.devices.p[0], "drive"), "n");
	assert_true(o.vm.debug_exit);
	assert_int_equal(o.vm.debug_exit_base, 244);
	run_opts_free(&o);
	expect_refusal("-blockdev {\"driver\":", "JSON");
	expect_refusal("-device {\"drive\":\"n\"}", "driver");
	expect_refusal("-device {\"driver\":\"isa-debug-exit\",\"iosize\":0}", "iosize");
}

static void unfinished_options_when_given_expect_refusal_with_their_name(void **state)
{
	static const char *const names[] = {
		"-mtdblock", "-preconfig", "-sandbox", "-spice",	  "-sdl",    "-acpitable",
		"-dtb",	     "-loadvm",	   "-trace",   "-global", "-icount", "-no-acpi",
	};
	char line[64];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "-kernel k %s x", names[i]);
		expect_refusal(line, names[i]);
		assert_null(strstr(err.msg, "there is no option"));
	}
	expect_refusal("-kernel k -frobnicate", "there is no option '-frobnicate'");
	expect_refusal("-kernel k -", "'-'");
}

static void none_options_when_something_else_expect_refusal(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -vga none -monitor none -nic none -net none -display none "
		      "-parallel none -no-user-config -nodefconfig");
	run_opts_free(&o);
	expect_refusal("-kernel k -vga cirrus", "-vga cirrus");
	expect_refusal("-kernel k -net nic", "-net nic");
	expect_refusal("-kernel k -display gtk", "-display gtk");
}

static void vga_when_std_expect_first_device(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -device virtio-rng-pci -vga std -device ahci");
	assert_int_equal(o.vm.devices.n, 3);
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "VGA");
	assert_string_equal(props_get(o.vm.devices.p[1], "driver"), "virtio-rng-pci");
	assert_string_equal(props_get(o.vm.devices.p[2], "driver"), "ahci");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -device ahci -vga std -vga virtio");
	assert_int_equal(o.vm.devices.n, 2);
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "virtio-vga");
	run_opts_free(&o);
	/* A virtio-gpu is something to look at. */
	expect_ok(&o, "-kernel k -vnc :0,password=off -device virtio-gpu-pci");
	assert_int_equal(o.vm.devices.n, 3); /* with a tablet */
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "virtio-gpu-pci");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -vga std -vga none");
	assert_int_equal(o.vm.devices.n, 0);
	run_opts_free(&o);
}

static void usb_when_asked_for_expect_its_controller_first(void **state)
{
	struct run_opts o;

	expect_ok(&o, "-kernel k -device virtio-rng-pci -usbdevice tablet -usb -device usb-kbd");
	assert_int_equal(o.vm.devices.n, 4);
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "piix3-usb-uhci");
	assert_string_equal(props_get(o.vm.devices.p[0], "addr"), "1.2");
	assert_string_equal(props_get(o.vm.devices.p[2], "driver"), "usb-tablet");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -machine pc,usb=on");
	assert_int_equal(o.vm.devices.n, 1);
	run_opts_free(&o);
	expect_refusal("-kernel k -usbdevice disk", "-usbdevice disk");
	/* A screen that is looked at brings a tablet; and keeps the one there is. */
	expect_ok(&o, "-kernel k -vnc :0");
	assert_int_equal(o.vm.devices.n, 3);
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "VGA");
	assert_string_equal(props_get(o.vm.devices.p[1], "driver"), "qemu-xhci");
	assert_string_equal(props_get(o.vm.devices.p[2], "driver"), "usb-tablet");
	assert_string_equal(o.vm.said[o.vm.n_said - 1], "usb-tablet");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -vnc :0 -usb");
	assert_int_equal(o.vm.devices.n, 3);
	assert_string_equal(props_get(o.vm.devices.p[0], "driver"), "piix3-usb-uhci");
	run_opts_free(&o);
	expect_ok(&o, "-kernel k -vnc :0 -device virtio-tablet-pci");
	assert_int_equal(o.vm.devices.n, 2);
	run_opts_free(&o);
}

static void trace_items_when_unknown_expect_refusal(void **state)
{
	struct run_opts o;
	uint32_t before = log_mask;

	expect_ok(&o, "-kernel k -d int,mmu");
	assert_true(log_on(LOG_INT) && log_on(LOG_MMU));
	log_mask = before;
	expect_refusal("-kernel k -d int,everything", "everything");
	log_mask = before;
	expect_refusal("-kernel k -D /nonexistent/log", "/nonexistent/log");
}

/* Every option of the tables, new ones too: odd text may be refused, but no more. */
static void every_option_when_argument_is_odd_expect_no_crash(void **state)
{
	static const char *const odd[] = {",",	   "=",	   ",,", "a=,b=", "=x",
					  "none,", "%s%n", "no", "nono",  "help,help"};
	const struct run_opt *groups[] = {run_opts_machine, run_opts_boot, run_opts_console,
					  run_opts_display, run_opts_process};
	char line[128];

	for (unsigned g = 0; g < 5; g++) {
		for (const struct run_opt *opt = groups[g]; opt->name; opt++) {
			if (!strcmp(opt->name, "D"))
				continue; /* creates files */
			for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
				struct run_opts o;

				snprintf(line, sizeof(line), "-kernel k -%s %s", opt->name,
					 opt->arg ? odd[i] : "");
				parse(&o, line);
				run_opts_free(&o);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_when_kernel_only_expect_defaults),
		cmocka_unit_test(parse_when_two_dashes_expect_the_same),
		cmocka_unit_test(memory_when_spelled_many_ways_expect_bytes),
		cmocka_unit_test(smp_when_topology_given_expect_product_checked),
		cmocka_unit_test(accel_when_named_expect_engine_or_refusal),
		cmocka_unit_test(accel_properties_when_given_expect_them_set),
		cmocka_unit_test(accel_properties_when_nonsense_expect_refusal),
		cmocka_unit_test(serial_when_repeated_expect_ports_in_order),
		cmocka_unit_test(console_when_defaults_change_expect_first_serial_port_to_follow),
		cmocka_unit_test(monitors_when_given_expect_their_kinds),
		cmocka_unit_test(device_when_isa_debug_exit_expect_ports),
		cmocka_unit_test(json_when_given_expect_the_same_keys),
		cmocka_unit_test(fw_cfg_when_given_expect_items),
		cmocka_unit_test(rtc_and_name_when_given_expect_them),
		cmocka_unit_test(boot_when_incomplete_or_contradictory_expect_sentence),
		cmocka_unit_test(firmware_when_not_named_expect_seabios_without_kernel),
		cmocka_unit_test(boot_when_given_expect_order_menu_and_times),
		cmocka_unit_test(disks_when_given_expect_drives_in_order),
		cmocka_unit_test(memory_objects_when_as_qemu_spells_them_expect_memory),
		cmocka_unit_test(memory_objects_when_more_is_asked_expect_refusal),
		cmocka_unit_test(unfinished_options_when_given_expect_refusal_with_their_name),
		cmocka_unit_test(none_options_when_something_else_expect_refusal),
		cmocka_unit_test(vga_when_std_expect_first_device),
		cmocka_unit_test(usb_when_asked_for_expect_its_controller_first),
		cmocka_unit_test(trace_items_when_unknown_expect_refusal),
		cmocka_unit_test(every_option_when_argument_is_odd_expect_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
