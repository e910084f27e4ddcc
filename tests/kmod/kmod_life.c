// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lives of VMs for the tests of the kernel component.
 *
 *   kmod_life spin SECONDS [CPUS]     guests that count, whatever happens around them; every quarter of a second
 *                                     each must have counted, else exit 1
 *   kmod_life race SECONDS            user memory goes with its slot, at once: no guest writes to what is others' then
 *   kmod_life dirty SECONDS           one guest reads pages and another writes them: no write is missing in the log
 *   kmod_life kill COUNT SEED         that many processes, each with a VM in a random life, killed at a random instant
 *
 * -d DEVICE first: not /dev/lodge.
 * Threads: one a vCPU, one that disturbs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "splitmix.h"

#define MEM (8u << 20)
#define CODE 0x1000u
#define COUNTS 0x2000u
#define MAX_CPUS 4

static const char *device = "/dev/lodge";

static void die(const char *what)
{
	fprintf(stderr, "kmod_life: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- A VM ------------------------------------------------------------------------------------------------ */

struct vm {
	int fd, cpus;
	uint8_t *mem;
	struct cpu {
		struct vm *vm;
		int fd;
		struct kvm_run *run;
		pthread_t thread;
	} cpu[MAX_CPUS];
	_Atomic bool over;
};

/* 16-bit code: AX leads to its own counter; each life does more than counting. */
static const uint8_t codes[][24] = {
	/* l: inc dword [bx]; jmp l */
	{0x66, 0xff, 0x07, 0xeb, 0xfb},
	/* l: inc dword [bx]; out 0x10, al; jmp l */
	{0x66, 0xff, 0x07, 0xe6, 0x10, 0xeb, 0xf9},
	/* l: inc dword [bx]; mov es:[0], al (no memory there); mov al, es:[4]; jmp l */
	{0x66, 0xff, 0x07, 0x26, 0xa2, 0, 0, 0x26, 0xa0, 4, 0, 0xeb, 0xf3},
	/* l: inc dword [bx]; hlt; jmp l */
	{0x66, 0xff, 0x07, 0xf4, 0xeb, 0xfa},
	/* l: inc dword [bx]; inc byte fs:[si]; add si, 4093; cpuid clobbers nothing that is needed; jmp l */
	{0x66, 0xff, 0x07, 0x64, 0xfe, 0x04, 0x81, 0xc6, 0xfd, 0x0f, 0xeb, 0xf4},
	/* l: inc dword fs:[si]; add si, 4096; jmp l */
	{0x66, 0x64, 0xff, 0x04, 0x81, 0xc6, 0x00, 0x10, 0xeb, 0xf6},
	/* l: mov al, fs:[si]; add si, 4096; jmp l */
	{0x64, 0x8a, 0x04, 0x81, 0xc6, 0x00, 0x10, 0xeb, 0xf7},
};
/* The last two, for `race` and `dirty`. */
#define WRITES 5
#define READS 6
#define CODES ((unsigned)(sizeof(codes) / sizeof(codes[0])))
#define AREA 0x100000u /* FS; 64 KiB of it */
#define AREA_SIZE 0x10000u
#define AREA_PAGES (AREA_SIZE / 4096)

static int slot(struct vm *vm, uint32_t n, uint64_t gpa, uint64_t size, void *at, uint32_t flags)
{
	struct kvm_userspace_memory_region r = {.slot = n,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)at};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static void cpu_new(struct vm *vm, int dev, int n, unsigned code)
{
	struct cpu *c = &vm->cpu[n];
	struct kvm_regs regs = {.rip = CODE + code * 32,
				.rflags = 2,
				.rbx = COUNTS + (unsigned)n * 64};
	int size = ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_sregs s;

	c->vm = vm;
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, n);
	if (c->fd < 0)
		die("KVM_CREATE_VCPU");
	c->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		die("mmap");
	if (ioctl(c->fd, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cs.base = s.ds.base = s.ss.base = 0;
	s.cs.selector = s.ds.selector = s.ss.selector = 0;
	s.es.base = 0xd0000000;
	s.fs.base = AREA;
	if (ioctl(c->fd, KVM_SET_SREGS, &s) || ioctl(c->fd, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS");
}

static struct vm *vm_new(int cpus, const unsigned *code)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int dev = open(device, O_RDWR | O_CLOEXEC);

	if (!vm || dev < 0)
		die(device);
	vm->fd = ioctl(dev, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die("KVM_CREATE_VM");
	vm->cpus = cpus;
	vm->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->mem == MAP_FAILED)
		die("mmap");
	for (unsigned i = 0; i < CODES; i++)
		memcpy(vm->mem + CODE + i * 32, codes[i], sizeof(codes[i]));
	if (slot(vm, 0, 0, MEM, vm->mem, 0))
		die("KVM_SET_USER_MEMORY_REGION");
	for (int i = 0; i < cpus; i++)
		cpu_new(vm, dev, i, code[i]);
	close(dev);
	return vm;
}

static void *cpu_thread(void *arg)
{
	struct cpu *c = arg;

	while (!c->vm->over) {
		/* EFAULT: a page that it wanted to write was read-only at the moment. */
		if (ioctl(c->fd, KVM_RUN, 0)) {
			if (errno != EINTR && errno != EFAULT)
				die("KVM_RUN");
			continue;
		}
		switch (c->run->exit_reason) {
		case KVM_EXIT_IO:
		case KVM_EXIT_MMIO:
		case KVM_EXIT_HLT:
		case KVM_EXIT_INTR:
			break;
		default:
			fprintf(stderr, "kmod_life: exit %u, %u: %llx %llx\n", c->run->exit_reason,
				c->run->internal.suberror,
				(unsigned long long)c->run->internal.data[0],
				(unsigned long long)c->run->internal.data[1]);
			exit(1);
		}
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void start(struct vm *vm)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < vm->cpus; i++) {
		if (pthread_create(&vm->cpu[i].thread, NULL, cpu_thread, &vm->cpu[i]))
			die("pthread_create");
	}
}

/* ---- What goes on around it ------------------------------------------------------------------------------ */

/* Nothing that the guest could see. */
static void disturb(struct vm *vm, uint64_t *rnd)
{
	static uint64_t bits[MEM / 4096 / 64];
	struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = bits};
	uint8_t *page = vm->mem + 0x100000 + (splitmix64(rnd) % 0x10000) / 4096 * 4096;
	pid_t child;

	switch (splitmix64(rnd) % 8) {
	case 0:
		slot(vm, 0, 0, MEM, vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
		break;
	case 1:
		slot(vm, 0, 0, MEM, vm->mem, 0);
		break;
	case 2:
		(void)ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
		break;
	case 3:
		madvise(vm->mem + 0x400000, 0x200000,
			splitmix64(rnd) & 1 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		break;
	case 4:
		madvise(page, 4096, MADV_DONTNEED);
		break;
	case 5:
		/* Their pages are shared, and copied when either writes. */
		child = fork();
		if (!child)
			_exit(0);
		if (child > 0)
			waitpid(child, NULL, 0);
		break;
	case 6:
		mprotect(page, 4096, PROT_READ);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
		break;
	case 7:
		pthread_kill(vm->cpu[splitmix64(rnd) % (unsigned)vm->cpus].thread, SIGUSR1);
		break;
	}
}

static uint32_t count(const struct vm *vm, int n)
{
	return __atomic_load_n((const uint32_t *)(const void *)(vm->mem + COUNTS + n * 64),
			       __ATOMIC_RELAXED);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Time in which the whole system stood still is none in which a guest must count. */
static int spin(double seconds, int cpus)
{
	unsigned code[MAX_CPUS] = {0, 1, 2, 4};
	struct vm *vm = vm_new(cpus, code);
	uint32_t was[MAX_CPUS] = {0};
	double end = now() + seconds, last = now();
	unsigned still[MAX_CPUS] = {0};
	uint64_t rnd = 1, rounds = 0;

	start(vm);
	for (; now() < end; rounds++) {
		disturb(vm, &rnd);
		usleep(2000);
		if (now() - last < 0.25)
			continue;
		last = now();
		for (int i = 0; i < cpus; i++) {
			uint32_t c = count(vm, i);

			still[i] = c == was[i] ? still[i] + 1 : 0;
			was[i] = c;
			if (still[i] < 40)
				continue;
			printf("kmod_life: processor %d stands still at %u\n", i, c);
			return 1;
		}
	}
	printf("kmod_life: counted");
	for (int i = 0; i < cpus; i++)
		printf(" %u", count(vm, i));
	printf(" in %.0f s, %llu disturbances\n", seconds, (unsigned long long)rounds);
	return 0;
}

/* ---- Memory goes ----------------------------------------------------------------------------------------- */

struct remover {
	struct vm *vm;
	_Atomic unsigned asked, done;
};

static void *remove_slots(void *arg)
{
	struct remover *r = arg;

	for (;;) {
		while (r->asked == r->done)
			;
		slot(r->vm, 1, AREA, 0, NULL, 0);
		r->done++;
	}
	return NULL;
}

/* Slot 0 ends below the area, which is slot 1's. */
static struct vm *vm_with_area(int cpus, const unsigned *code)
{
	struct vm *vm = vm_new(cpus, code);

	if (slot(vm, 0, 0, 0, NULL, 0) || slot(vm, 0, 0, AREA, vm->mem, 0))
		die("KVM_SET_USER_MEMORY_REGION");
	return vm;
}

static int race(double seconds)
{
	struct remover r = {.vm = vm_with_area(1, &(unsigned){WRITES})};
	double end = now() + seconds;
	uint64_t rnd = 1, rounds = 0;
	pthread_t thread;

	start(r.vm);
	pthread_create(&thread, NULL, remove_slots, &r);
	for (; now() < end; rounds++) {
		uint8_t *mem = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0),
			*others;

		if (mem == MAP_FAILED || slot(r.vm, 1, AREA, AREA_SIZE, mem, 0))
			die("slot");
		for (unsigned i = 0; i < AREA_PAGES; i++) {
			while (!((volatile uint8_t *)mem)[i * 4096])
				;
		}
		r.asked++;
		for (volatile uint64_t n = splitmix64(&rnd) % 4000; n; n--)
			;
		/* Its pages go, its addresses stay: until the slot has gone they are the guest's. */
		if (mmap(mem, AREA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			die("mmap");
		others = mmap(NULL, 4 * AREA_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		while (r.asked != r.done)
			;
		for (unsigned i = 0; i < 4 * AREA_PAGES; i++) {
			if (!others[i * 4096])
				continue;
			printf("kmod_life: the guest wrote to a page that is not its own any more, "
			       "round %llu\n",
			       (unsigned long long)rounds);
			return 1;
		}
		munmap(others, 4 * AREA_SIZE);
		munmap(mem, AREA_SIZE);
	}
	printf("kmod_life: %llu slots went with their memory\n", (unsigned long long)rounds);
	return 0;
}

/* ---- The dirty log --------------------------------------------------------------------------------------- */

static void take_log(struct vm *vm, const uint8_t *mem, uint32_t *copy)
{
	uint64_t bits = 0;
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = &bits};

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	for (unsigned i = 0; i < AREA_PAGES; i++) {
		if (bits >> i & 1)
			copy[i] = *(const volatile uint32_t *)(const void *)(mem + i * 4096);
	}
}

static int dirty(double seconds)
{
	static const unsigned code[] = {WRITES, READS, READS};
	struct vm *vm = vm_with_area(3, code);
	uint8_t *mem = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	double end = now() + seconds;
	uint32_t copy[AREA_PAGES] = {0};
	uint64_t rounds = 0;

	if (mem == MAP_FAILED || slot(vm, 1, AREA, AREA_SIZE, mem, KVM_MEM_LOG_DIRTY_PAGES))
		die("slot");
	for (; now() < end; rounds++) {
		vm->over = false;
		start(vm);
		for (unsigned i = 0; i < 50; i++) {
			/* All mappings go, and all three want them again. */
			mprotect(mem, AREA_SIZE, PROT_READ);
			mprotect(mem, AREA_SIZE, PROT_READ | PROT_WRITE);
			usleep(200);
			take_log(vm, mem, copy);
			usleep(200);
		}
		vm->over = true;
		for (int i = 0; i < vm->cpus; i++) {
			vm->cpu[i].run->immediate_exit = 1;
			pthread_kill(vm->cpu[i].thread, SIGUSR1);
			pthread_join(vm->cpu[i].thread, NULL);
			vm->cpu[i].run->immediate_exit = 0;
		}
		take_log(vm, mem, copy);
		for (unsigned i = 0; i < AREA_PAGES; i++) {
			uint32_t is = *(const uint32_t *)(const void *)(mem + i * 4096);

			if (copy[i] == is)
				continue;
			printf("kmod_life: page %u was written without a note, round %llu: %u, not "
			       "%u\n",
			       i, (unsigned long long)rounds, is, copy[i]);
			return 1;
		}
	}
	printf("kmod_life: no write was missing in the log in %llu rounds\n",
	       (unsigned long long)rounds);
	return 0;
}

/* ---- Killed ---------------------------------------------------------------------------------------------- */

static void life(uint64_t rnd)
{
	int cpus = 1 + (int)(splitmix64(&rnd) % 3);
	unsigned code[MAX_CPUS];
	struct vm *vm;

	for (int i = 0; i < MAX_CPUS; i++)
		code[i] = (unsigned)(splitmix64(&rnd) % WRITES);
	for (;;) {
		vm = vm_new(cpus, code);
		start(vm);
		for (uint64_t n = splitmix64(&rnd) % 30; n; n--)
			disturb(vm, &rnd);
		/* An orderly end now and then, and another life. */
		vm->over = true;
		for (int i = 0; i < cpus; i++) {
			vm->cpu[i].run->immediate_exit = 1;
			pthread_kill(vm->cpu[i].thread, SIGUSR1);
			pthread_join(vm->cpu[i].thread, NULL);
			munmap(vm->cpu[i].run, 4096);
			close(vm->cpu[i].fd);
		}
		close(vm->fd);
		munmap(vm->mem, MEM);
		free(vm);
	}
}

static int kills(unsigned n, uint64_t seed)
{
	uint64_t rnd = seed;
	unsigned early = 0;

	printf("kmod_life: %u kills, seed %llu\n", n, (unsigned long long)seed);
	fflush(stdout);
	for (unsigned i = 0; i < n; i++) {
		uint64_t own = splitmix64(&rnd);
		useconds_t wait =
			(useconds_t)(splitmix64(&rnd) % (splitmix64(&rnd) % 4 ? 40000 : 4000));
		pid_t child = fork();
		int status;

		if (child < 0)
			die("fork");
		if (!child) {
			setpgid(0, 0);
			life(own);
			_exit(0);
		}
		setpgid(child, child);
		usleep(wait);
		kill(-child, SIGKILL);
		if (waitpid(child, &status, 0) < 0)
			die("waitpid");
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			early++;
	}
	printf("kmod_life: %u killed, %u ended before\n", n - early, early);
	return early != 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "-d")) {
		device = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc >= 3 && !strcmp(argv[1], "spin"))
		return spin(atof(argv[2]), argc > 3 ? atoi(argv[3]) : 2);
	if (argc == 3 && !strcmp(argv[1], "race"))
		return race(atof(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "dirty"))
		return dirty(atof(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "kill"))
		return kills((unsigned)atoi(argv[2]), strtoull(argv[3], NULL, 0));
	fprintf(stderr, "usage: kmod_life [-d DEVICE] spin SECONDS [CPUS] | race SECONDS | dirty "
			"SECONDS | kill COUNT SEED\n");
	return 2;
}
