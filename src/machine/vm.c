// SPDX-License-Identifier: GPL-2.0-or-later
/* A virtual machine's life: set-up, threads, requests, end. Threads: see machine/vm.h. */
#include "machine/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "chardev/hub.h"
#include "machine/chardevs.h"
#include "machine/drive.h"
#include "machine/monitor_pipe.h"
#include "machine/vm_int.h"

#define IO_STACK_BYTES (256u << 10)
#define ENGINE_STACK_BYTES (64u << 10)

/* ---- Requests, from any thread ----------------------------------------------------------------
 */

void vm_request(struct vm *vm, uint32_t what)
{
	uint64_t one = 1;

	atomic_fetch_or(&vm->requests, what);
	vm_pause(vm, VM_PAUSE_REQUEST);
	/* It fails only when the counter is full, and then main is awake anyway. */
	if (write(vm->event_fd, &one, sizeof(one)) < 0)
		return;
}

void vm_request_end_by(struct vm *vm, int code, const char *msg, enum vm_cause cause)
{
	pthread_mutex_lock(&vm->run_lock);
	if (!vm->end_set) {
		vm->end_set = true;
		atomic_store(&vm->end_cause, cause);
		vm->end.code = code;
		snprintf(vm->end.msg, sizeof(vm->end.msg), "%s", msg ? msg : "");
	}
	pthread_mutex_unlock(&vm->run_lock);
	vm_request(vm, VM_REQ_END);
}

void vm_request_end(struct vm *vm, int code, const char *msg)
{
	vm_request_end_by(vm, code, msg, code ? VM_CAUSE_ERROR : VM_CAUSE_GUEST_SHUTDOWN);
}

void vm_request_reset(struct vm *vm)
{
	atomic_store(&vm->reset_cause, VM_CAUSE_GUEST_RESET);
	vm_request(vm, VM_REQ_RESET);
}

void vm_request_poweroff(struct vm *vm)
{
	vm_request(vm, VM_REQ_POWEROFF);
}

/* ---- What character devices ask, with the VM lock held -----------------------------------------
 */

static void chr_quit(void *opaque)
{
	vm_request_end_by(opaque, 0, "ended from the console (Ctrl-A x)", VM_CAUSE_CONSOLE);
}

static void chr_hold(void *opaque)
{
	struct vm *vm = opaque;

	pthread_mutex_lock(&vm->run_lock);
	if (!vm->hold_count++)
		atomic_fetch_or(&vm->pause, VM_PAUSE_HOLD);
	pthread_mutex_unlock(&vm->run_lock);
}

static void chr_release(void *opaque)
{
	struct vm *vm = opaque;
	bool last;

	pthread_mutex_lock(&vm->run_lock);
	last = !--vm->hold_count;
	pthread_mutex_unlock(&vm->run_lock);
	if (last)
		vm_resume(vm, VM_PAUSE_HOLD);
}

/* Only when it is stopped for that: what failed is tried again first, so that it comes first. */
static void continue_locked(struct vm *vm)
{
	if (!(atomic_load(&vm->pause) & VM_PAUSE_IO))
		return;
	drives_resume(vm->board);
	vm_go_locked(vm, VM_PAUSE_IO);
}

static void chr_resume(void *opaque)
{
	continue_locked(opaque);
}

void vm_continue(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	continue_locked(vm);
	pthread_mutex_unlock(&vm->lock);
}

/* ---- Set-up -----------------------------------------------------------------------------------
 */

/* More than one may be at the first serial line (`lodge console`). */
static int share_console(struct vm *vm, struct lodge_err *err)
{
	struct chardev *hub;

	if (!vm->serial[0])
		return 0;
	hub = chardev_hub_new(vm->serial[0], !vm->serial_named[0], vm->loop);
	if (!hub)
		return err_set(err, -ENOMEM, "no memory for a console");
	vm->serial[0] = vm->console = hub;
	vm->serial_named[0] = false;
	return 0;
}

int vm_console_listen(struct vm *vm, int fd, struct lodge_err *err)
{
	return chardev_hub_listen(vm->console, fd, err);
}

bool vm_has_console(const struct vm *vm)
{
	return vm->console;
}

static int open_chardevs(struct vm *vm, struct lodge_err *err)
{
	struct chardev_host host = {
		.loop = vm->loop,
		.quit = chr_quit,
		.hold = chr_hold,
		.release = chr_release,
		.resume = chr_resume,
		.opaque = vm,
		.no_stdio = vm->cfg.no_stdio,
		.stdio_taken = &vm->stdio_taken,
	};
	char label[16];

	if (chardevs_open(vm, &host, err))
		return -EINVAL;
	for (unsigned i = 0; i < VM_SERIALS; i++) {
		static const char named[] = "chardev:";

		if (!vm->cfg.serial[i])
			continue;
		if (!strncmp(vm->cfg.serial[i], named, sizeof(named) - 1)) {
			const char *id = vm->cfg.serial[i] + sizeof(named) - 1;
			struct named_chardev *n = chardevs_take(vm, id, err);

			if (!n)
				return -EINVAL;
			vm->serial[i] = n->chr;
			vm->serial_named[i] = true;
			continue;
		}
		snprintf(label, sizeof(label), "serial%u", i);
		vm->serial[i] = chardev_open(vm->cfg.serial[i], label, &host, err);
		if (!vm->serial[i] && err->msg[0])
			return -EINVAL;
	}
	if (monitors_open(vm, &host, err) || share_console(vm, err))
		return -EINVAL;
	if (!vm->cfg.debugcon)
		return 0;
	vm->debugcon = chardev_open(vm->cfg.debugcon, "debugcon", &host, err);
	return !vm->debugcon && err->msg[0] ? -EINVAL : 0;
}

static int make_engine(struct vm *vm, struct lodge_err *err)
{
	struct engine_config ec = {
		.cpus = vm->cfg.cpus,
		.cpuid = &vm->cpuid,
		.mem = vm->mem,
		.host = vm_engine_host(vm),
		.soft = vm->cfg.soft,
		.kvm = vm->cfg.kvm,
	};

	vm->cpus = calloc(vm->cfg.cpus, sizeof(*vm->cpus));
	if (!vm->cpus)
		return err_set(err, -ENOMEM, "no memory for %u vCPUs", vm->cfg.cpus);
	vm->ops = vm->cfg.engine ? vm->cfg.engine : &engine_soft;
	if (vm->ops == &engine_soft && x86_cpuid_needs_kvm(&vm->cpuid, err))
		return -ENOTSUP;
	vm->engine = vm->ops->create(&ec, err);
	if (!vm->engine)
		return -ENOMEM;
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		vm->cpus[i].vm = vm;
		vm->cpus[i].index = i;
		vm->cpus[i].vcpu = vm->ops->vcpu(vm->engine, i);
	}
	return 0;
}

static int init_locks(struct vm *vm, struct lodge_err *err)
{
	pthread_mutexattr_t attr;

	/* vCPUs take the VM lock for a moment and often: spinning a little beats sleeping. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&vm->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&vm->run_lock, NULL);
	pthread_mutex_init(&vm->save.lock, NULL);
	pthread_cond_init(&vm->run_cond, NULL);
	pthread_cond_init(&vm->parked_cond, NULL);
	vm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->event_fd < 0)
		return err_set(err, -errno, "cannot create an event descriptor: %s",
			       strerror(errno));
	return 0;
}

static int set_up(struct vm *vm, struct lodge_err *err)
{
	uint64_t rom, video;
	int r = init_locks(vm, err);

	if (r)
		return r;
	r = x86_cpuid_build(&vm->cpuid, vm->cfg.cpu, vm->cfg.cpus, err);
	if (r)
		return r;
	r = vm->cfg.restore ? vm_restore_begin(vm, err) : 0;
	if (r)
		return r;
	r = board_rom_bytes(&vm->cfg, &rom, err);
	if (r)
		return r;
	r = board_video_bytes(&vm->cfg, &video, err);
	if (r)
		return r;
	vm->mem = mem_new(vm->cfg.ram_bytes, video + rom, err);
	if (!vm->mem)
		return -ENOMEM;
	vm->loop = io_loop_new(&vm->lock, err);
	if (!vm->loop)
		return -ENOMEM;
	io_loop_set_alarm(vm->loop, vm_cpu_alarm, vm);
	vm->bus = bus_new();
	if (!vm->bus)
		return err_set(err, -ENOMEM, "no memory for the bus");
	/* Before the engine, whose fault handlers hand on to the terminal's. */
	r = open_chardevs(vm, err);
	if (r)
		return r;
	r = make_engine(vm, err);
	if (r)
		return r;
	vm->board = board_new(vm, err);
	if (!vm->board)
		return -ENOMEM;
	return vm->cfg.restore ? vm_restore(vm, err) : board_reset(vm->board, err);
}

struct vm *vm_new(const struct vm_config *cfg, struct lodge_err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		err_set(err, -ENOMEM, "no memory for a virtual machine");
		return NULL;
	}
	vm->cfg = *cfg;
	vm->event_fd = -1;
	list_init(&vm->chardevs);
	list_init(&vm->monitors);
	if (set_up(vm, err)) {
		vm_free(vm);
		return NULL;
	}
	return vm;
}

static void *io_main(void *arg)
{
	struct vm *vm = arg;

	io_loop_run(vm->loop);
	return NULL;
}

static void *engine_main(void *arg)
{
	struct vm *vm = arg;

	vm->ops->beside(vm->engine);
	return NULL;
}

static int start_engine_thread(struct vm *vm, struct lodge_err *err)
{
	int r;

	if (!vm->ops->beside)
		return 0;
	r = thread_create(&vm->engine_thread, THREAD_ENGINE, "engine", ENGINE_STACK_BYTES,
			  engine_main, vm);
	if (r)
		return err_set(err, r, "cannot start the engine's thread: %s", strerror(-r));
	vm->engine_started = true;
	return 0;
}

/* They keep still while VM_PAUSE_START is set. */
static int start_threads(struct vm *vm, struct lodge_err *err)
{
	int r = drives_start(vm->board, err);

	if (!r)
		r = board_start_shares(vm->board, err);
	if (r)
		return r;
	r = thread_create(&vm->io_thread, THREAD_IO, "io", IO_STACK_BYTES, io_main, vm);
	if (r)
		return err_set(err, r, "cannot start the io thread: %s", strerror(-r));
	vm->io_started = true;
	r = start_engine_thread(vm, err);
	return r ? r : vm_cpus_start(vm, err);
}

int vm_start(struct vm *vm, struct lodge_err *err)
{
	int r;

	atomic_fetch_or(&vm->pause, VM_PAUSE_START);
	r = start_threads(vm, err);
	if (!r && vm->cfg.before_run)
		r = vm->cfg.before_run(vm->cfg.before_run_opaque, err);
	if (r)
		return r;
	pthread_mutex_lock(&vm->lock);
	/* A restored machine stands still as it did when it was saved. */
	vm->launched = !vm->cfg.start_stopped || vm->stopped_tsc;
	if (vm->cfg.start_stopped) {
		atomic_fetch_or(&vm->pause, VM_PAUSE_USER);
		vm_clock_stop_locked(vm);
	} else if (!(atomic_load(&vm->pause) & VM_PAUSE_CLOCK)) {
		vm_go_locked(vm, 0);
	}
	pthread_mutex_unlock(&vm->lock);
	vm_resume(vm, VM_PAUSE_START);
	return 0;
}

/* ---- Requests, main's side ---------------------------------------------------------------------
 */

int vm_event_fd(const struct vm *vm)
{
	return vm->event_fd;
}

static void reset(struct vm *vm, enum vm_cause cause)
{
	struct vm_event ev = {.kind = VM_EVENT_RESET, .cause = cause};
	struct lodge_err err;
	int r;

	pthread_mutex_lock(&vm->lock);
	atomic_store(&vm->save.spoilt, true);
	r = board_reset(vm->board, &err);
	/* Switched off no longer; somebody has to let it go on. */
	if (atomic_load(&vm->pause) & VM_PAUSE_STOPPED) {
		atomic_fetch_or(&vm->pause, VM_PAUSE_USER);
		atomic_fetch_and(&vm->pause, ~VM_PAUSE_STOPPED);
	}
	pthread_mutex_unlock(&vm->lock);
	if (r)
		vm_request_end(vm, 1, err.msg);
	else
		vm_tell(vm, &ev);
}

static void stop_clock(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm_clock_stop_locked(vm);
	pthread_mutex_unlock(&vm->lock);
}

/* All vCPUs are parked. True when this was the end. */
static bool serve(struct vm *vm, uint32_t what)
{
	if (what & VM_REQ_END) {
		vm_tell_end(vm, (enum vm_cause)atomic_load(&vm->end_cause));
		return true;
	}
	if (what & VM_REQ_POWEROFF) {
		if (!vm->cfg.no_shutdown) {
			vm_tell_end(vm, VM_CAUSE_GUEST_SHUTDOWN);
			return true;
		}
		vm_pause(vm, VM_PAUSE_STOPPED);
		vm_tell_end(vm, VM_CAUSE_GUEST_SHUTDOWN);
		stop_clock(vm);
		/* It may stay so for long: what it wrote is on the disk meanwhile. */
		(void)!vm_flush(vm);
	} else if (what & VM_REQ_RESET) {
		enum vm_cause cause = (enum vm_cause)atomic_load(&vm->reset_cause);

		if (vm->cfg.no_reboot) {
			vm_tell_end(vm, cause);
			return true;
		}
		reset(vm, cause);
	}
	if (what & VM_REQ_CLOCK)
		stop_clock(vm);
	return false;
}

bool vm_service(struct vm *vm, struct vm_end *end)
{
	uint64_t count;
	uint32_t what;

	if (read(vm->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	while (atomic_load(&vm->requests)) {
		(void)vm_wait_parked(vm);
		/* Taken only now: a vCPU that fell over on its way to the stop asks again. */
		what = atomic_exchange(&vm->requests, 0);
		if (serve(vm, what)) {
			pthread_mutex_lock(&vm->run_lock);
			*end = vm->end;
			pthread_mutex_unlock(&vm->run_lock);
			return true;
		}
	}
	vm_resume(vm, VM_PAUSE_REQUEST);
	/* A request that came between the last look and the resume pauses again. */
	if (atomic_load(&vm->requests))
		vm_pause(vm, VM_PAUSE_REQUEST);
	return false;
}

/* ---- The end ----------------------------------------------------------------------------------
 */

void vm_stop(struct vm *vm)
{
	if (vm->cpus && vm->engine) {
		vm_pause(vm, VM_PAUSE_QUIT);
		vm_ctl_save_end(vm);
		vm_cpus_join(vm);
	}
	if (vm->engine_started) {
		vm->ops->beside_end(vm->engine);
		pthread_join(vm->engine_thread, NULL);
		vm->engine_started = false;
	}
	if (vm->io_started) {
		io_loop_stop(vm->loop);
		pthread_join(vm->io_thread, NULL);
		vm->io_started = false;
	}
}

int vm_flush(struct vm *vm)
{
	int r;

	pthread_mutex_lock(&vm->lock);
	drives_drain(vm->board);
	r = drives_flush(vm->board);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_stop(vm);
	/* The clock is the process's, and the next machine's. */
	clock_vm_go();
	board_free(vm->board);
	monitors_close(vm);
	for (unsigned i = 0; i < VM_SERIALS; i++) {
		if (!vm->serial_named[i])
			chardev_free(vm->serial[i]);
	}
	chardevs_close(vm);
	chardev_free(vm->debugcon);
	if (vm->engine)
		vm->ops->destroy(vm->engine);
	free(vm->cpus);
	bus_free(vm->bus);
	io_loop_free(vm->loop);
	mem_free(vm->mem);
	if (vm->event_fd >= 0)
		close(vm->event_fd);
	pthread_cond_destroy(&vm->parked_cond);
	pthread_cond_destroy(&vm->run_cond);
	pthread_mutex_destroy(&vm->save.lock);
	pthread_mutex_destroy(&vm->run_lock);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}
