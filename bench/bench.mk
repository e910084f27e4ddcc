# `make bench`: the lines of bench/programs, the guest's root with Debian's programs, and run.py.
# BENCH_RUNS=1 makes it short, BENCH_ARGS="--quick" more so (bench/run.py --help lists the options);
# results go to docs/performance.md and docs/performance.svg.

BENCH_SRCS  := $(wildcard bench/programs/*.c)
BENCH_OBJS  := $(patsubst bench/programs/%.c,build/bench/%.o,$(BENCH_SRCS)) build/bench/matrix_vectors.o
# The same code on every side: plain x86-64, vectors only where they are the point.
BENCH_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -fno-tree-vectorize -ffp-contract=off
BENCH_VECTOR := -O3 -ftree-vectorize
BENCH_RUNS  ?= 5
BENCH_ARGS  ?=

build/bench/vector.o: BENCH_MORE := $(BENCH_VECTOR) -mavx2 -mfma
build/bench/stream.o: BENCH_MORE := $(BENCH_VECTOR) -fno-tree-loop-distribute-patterns
build/bench/nbody.o: BENCH_MORE := -fno-math-errno
build/bench/%.o: bench/programs/%.c bench/programs/bench.h
	@mkdir -p $(@D)
	gcc $(BENCH_CFLAGS) $(BENCH_MORE) -c -o $@ $<
build/bench/matrix_vectors.o: bench/programs/matrix.c bench/programs/bench.h
	@mkdir -p $(@D)
	gcc $(BENCH_CFLAGS) $(BENCH_VECTOR) -DBENCH_VECTORS -c -o $@ $<

build/bench/lodge-bench: $(BENCH_OBJS)
	gcc -static -pthread -o $@ $^

build/bench/lodge-crypto: bench/programs/crypto/crypto.c
	@mkdir -p $(@D)
	gcc $(BENCH_CFLAGS) -o $@ $< -lcrypto

# A Multiboot kernel that says one byte.
build/bench/first: bench/first.S
	@mkdir -p $(@D)
	gcc -m32 -nostdlib -static -no-pie -Wl,-n,-Ttext=0x100000,--build-id=none -o $@ $<

.PHONY: bench-deps bench-bins bench
bench-deps: deps build/bench-deps.stamp
build/bench-deps.stamp: bench/packages.txt tools/deps.sh
	@sh tools/deps.sh bench/packages.txt
	@mkdir -p build && touch $@
bench-bins: build/bench/lodge-bench build/bench/lodge-crypto build/bench/first
bench: bench-deps
	@STEP_LOG=build/build.log; . tools/step.sh; step "Building" $(MAKE) -j$(JOBS) all bench-bins
	@$(PYTHON) bench/run.py --runs $(BENCH_RUNS) $(BENCH_ARGS)

# Disk requests alone, some minutes: bench/disk.py --help lists the options.
BENCH_DISK_ARGS ?=
.PHONY: bench-disk
bench-disk: all
	$(PYTHON) bench/disk.py $(BENCH_DISK_ARGS)

# Start-up and memory, a minute: bench/startup.py --help lists the options.
.PHONY: bench-startup
bench-startup: all build/bench/first
	$(PYTHON) bench/startup.py

# The network alone, some minutes: bench/net.py --help lists the options.
BENCH_NET_ARGS ?=
.PHONY: bench-net
bench-net: all
	$(PYTHON) bench/net.py $(BENCH_NET_ARGS)

# The page for browsers, half a minute: bench/web.py --help lists the options.
BENCH_WEB_ARGS ?=
.PHONY: bench-web
bench-web: all
	$(PYTHON) bench/web.py $(BENCH_WEB_ARGS)
