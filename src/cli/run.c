// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `lodge run`: set up, run, end.
 *
 * Signals are blocked in all threads and taken by main from a descriptor, so that ending is always
 * the same orderly way: SIGTERM, SIGINT, SIGHUP and SIGQUIT end the machine with exit code 0;
 * SIGTSTP and SIGCONT give the terminal back and take it again; SIGCONT also lets a machine go on that
 * a disk error stopped.
 * Threads: main only.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/props.h"
#include "base/range.h"
#include "base/thread.h"
#include "chardev/terminal.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/run_control.h"
#include "cli/run_display.h"
#include "cli/run_opts.h"
#include "net/starter.h"
#include "x86/cpuid.h"

/*
 * If the machine's threads do not end in this time, the process does. Counted in seconds in which the process was
 * not stopped (SIGSTOP, a debugger, a frozen container): such a time is no thread's fault.
 */
#define END_TIMEOUT_S 30u

static int block_signals(void)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	/* No thread but main, which takes it back (count_down), hears of time that is over. */
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGALRM);
	signal(SIGPIPE, SIG_IGN);
	/* 'ulimit -f' is a full disk, and no reason to die. */
	signal(SIGXFSZ, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Ctrl-Z or kill -TSTP: the shell gets its terminal as it was. */
static void stop_myself(void)
{
	terminal_restore();
	raise(SIGSTOP);
}

/* Returns true when a signal ends the machine. */
static bool take_signals(struct vm *vm, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		switch ((int)info.ssi_signo) {
		case SIGTSTP:
			stop_myself();
			break;
		case SIGCONT:
			terminal_retake();
			vm_continue(vm);
			break;
		default:
			vm_tell_end(vm, VM_CAUSE_SIGNAL);
			return true;
		}
	}
	return false;
}

/* Until the machine ends or a signal ends it. */
static void watch(struct vm *vm, int signals, struct vm_end *end)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = vm_event_fd(vm), .events = POLLIN}};

	*end = (struct vm_end){.code = 0};
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents && take_signals(vm, signals))
			return;
		if (fds[1].revents && vm_service(vm, end))
			return;
	}
}

/* ---- The time that ending may take -------------------------------------------------------------- */

/* What main waits for, and for how many seconds yet; main's, and its signal handler's. */
static struct {
	const char *what; /* a sentence's subject, for whoever has to find out */
	volatile sig_atomic_t left;
	bool patient; /* it is worth waiting for */
} countdown;

static void put(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

/* The last resort: give the terminal back and go. A disk that takes long is worth waiting for, and a word. */
static void on_second(int sig)
{
	(void)sig;
	if (--countdown.left > 0) {
		alarm(1);
		return;
	}
	if (countdown.patient) {
		put("lodge: still writing to a disk; what the guest wrote is lost if this is "
		    "killed\n");
		return;
	}
	terminal_leave();
	put("lodge: ");
	put(countdown.what);
	put(" did not end in time; leaving without it\n");
	_exit(1);
}

static void count_down(const char *what, bool patient)
{
	sigset_t set;

	alarm(0);
	countdown.what = what;
	countdown.patient = patient;
	countdown.left = END_TIMEOUT_S;
	signal(SIGALRM, on_second);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	alarm(1);
}

/* What is beside the machine. */
struct running {
	struct run_control control;
	struct run_display display;
};

/* All threads of the machine are there, and the guest has not begun: the last of them, and main itself. */
static int before_run(void *opaque, struct lodge_err *err)
{
	struct running *x = opaque;
	int r = run_control_start(&x->control, err);

	if (!r)
		r = run_display_start(&x->display, err);
	if (!r)
		thread_enter(THREAD_MAIN);
	return r;
}

/* Until it ends. */
static int run_vm(struct vm *vm, struct running *x, int signals)
{
	struct run_control *rc = &x->control;
	struct lodge_err err = {""};
	struct vm_end end;

	if (vm_start(vm, &err)) {
		run_control_end(rc);
		run_display_end(&x->display);
		vm_free(vm);
		run_control_free(rc);
		return cli_error("%s", err.msg);
	}
	watch(vm, signals, &end);
	/* A command may be at a slow disk. */
	count_down("a command of a monitor", true);
	run_control_end(rc);
	count_down("a thread of the machine", false);
	run_display_end(&x->display);
	vm_stop(vm);
	/* A slow disk may have much to write, and all of it counts. */
	count_down("a disk", true);
	if (vm_flush(vm) && !end.code)
		end.code = 1;
	count_down("a back end or a helper process", false);
	vm_free(vm);
	run_control_free(rc);
	alarm(0);
	if (end.msg[0])
		cli_error("%s", end.msg);
	return end.code;
}

static int close_sandbox(struct run_opts *o, struct lodge_err *err)
{
	o->sandbox.folders = o->vm.fsdevs.n || o->vm.virtfs.n;
	for (unsigned i = 0; i < o->vm.devices.n; i++) {
		const char *driver = props_get(o->vm.devices.p[i], "driver");

		o->sandbox.vsock |= driver && strstr(driver, "vsock");
	}
	for (unsigned i = 0; i < o->vm.netdevs.n; i++) {
		const char *type = props_get(o->vm.netdevs.p[i], "type");

		o->sandbox.dgram |= type && !strcmp(type, "dgram");
	}
	return sandbox_close(&o->sandbox, err);
}

/* Loudly: it should be noticed where it was forgotten. */
static void warn(const struct run_opts *o)
{
	if (o->sandbox.off)
		fputs("lodge: WARNING: -sandbox off: an error in lodge that a guest, an image or a "
		      "network finds gives it all that this user may do\n",
		      stderr);
	else if (o->sandbox.log_only)
		fputs("lodge: WARNING: -sandbox log=on: system calls that should be stopped are "
		      "made, "
		      "and noted in the kernel's log (dmesg)\n",
		      stderr);
}

/* Before there is anything that it should not have. Without it netdev_add is refused. */
static void start_starter(struct run_opts *o)
{
	struct lodge_err err;
	int fd;

	o->vm.shut_in = !o->sandbox.off && !o->sandbox.log_only;
	if (!o->vm.shut_in || (o->no_control && !o->vm.n_monitors))
		return;
	fd = net_starter_new(&err);
	if (fd < 0)
		fprintf(stderr, "lodge: %s\n", err.msg);
	else
		o->vm.net_starter = fd + 1;
}

static int build_and_run(struct run_opts *o, int signals, int ready_fd)
{
	struct lodge_err err = {""};
	struct running x = {0};
	struct vm *vm;

	o->vm.before_run = before_run;
	o->vm.before_run_opaque = &x;
	if (run_control_claim(&x.control, o, &err))
		return cli_error("%s", err.msg);
	start_starter(o);
	vm = vm_new(&o->vm, &err);
	/* Who finds the control socket finds the screen's ports as well. */
	if (!vm || run_display_open(&x.display, o, vm, &err) ||
	    run_control_new(&x.control, o, vm, &err) || close_sandbox(o, &err)) {
		run_display_end(&x.display);
		vm_free(vm);
		run_control_free(&x.control);
		return cli_error("%s", err.msg);
	}
	if (ready_fd >= 0)
		daemon_ready(ready_fd);
	return run_vm(vm, &x, signals);
}

/* With the options parsed: background, pidfile, the machine. */
static int run(struct run_opts *o)
{
	struct vm_engine_choice choice;
	struct lodge_err err = {""};
	int ready_fd = -1, pid_fd = -1, signals, code;

	if (vm_choose_engine(&o->vm, &o->accel, &choice, &err))
		return cli_error("%s", err.msg);
	fprintf(stderr, "lodge: engine: %s\n", choice.line);
	warn(o);
	if (o->daemonize) {
		ready_fd = daemon_start(&err);
		if (ready_fd < 0)
			return cli_error("%s", err.msg);
	}
	signals = block_signals();
	if (signals < 0)
		return cli_error("cannot watch for signals: %s", strerror(errno));
	if (o->pidfile) {
		pid_fd = pidfile_create(o->pidfile, &err);
		if (pid_fd < 0)
			return cli_error("%s", err.msg);
	}
	prctl(PR_SET_NAME, "lodge");
	code = build_and_run(o, signals, ready_fd);
	pidfile_remove(o->pidfile, pid_fd);
	close(signals);
	return code;
}

int cli_run(int argc, char **argv)
{
	struct lodge_err err = {""};
	struct run_opts o;
	int r;

	x86_tsc_mark();
	r = run_opts_parse(&o, argc, argv, &err);

	if (r < 0)
		r = cli_error("%s", err.msg);
	else if (r > 0)
		r = 0; /* it printed what was asked for */
	else if (o.help)
		cli_run_help();
	else
		r = run(&o);
	run_opts_free(&o);
	return r;
}

void cli_run_help(void)
{
	puts("usage: lodge run OPTION...\n"
	     "\n"
	     "Build a PC and run an operating system in it. Options are spelled as QEMU's;\n"
	     "one dash or two. What is not there yet is refused, never ignored.");
	run_opts_print(stdout);
	puts("\n"
	     "On a console at this terminal (mon:stdio): Ctrl-A x ends the machine, Ctrl-A h "
	     "lists\n"
	     "the keys. SIGTERM ends it, too. SIGCONT or Ctrl-A r lets a machine go on that a "
	     "disk\n"
	     "error stopped (werror=stop). Exit code: 0 after a power-off, or what\n"
	     "isa-debug-exit was told; 1 when something went wrong.");
}
