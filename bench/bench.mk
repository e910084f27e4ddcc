# `make bench`: the programs of bench/programs in one static binary, the start-up guest, and run.py.
# BENCH_RUNS=1 makes it short; results go to docs/performance.md.

BENCH_SRCS  := $(wildcard bench/programs/*.c)
BENCH_OBJS  := $(patsubst bench/programs/%.c,build/bench/%.o,$(BENCH_SRCS)) build/bench/matrix_float.o
# The same code on every side: plain x86-64, vectors only where they are the point.
BENCH_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -fno-tree-vectorize
BENCH_RUNS  ?= 5

build/bench/%.o: bench/programs/%.c bench/programs/bench.h
	@mkdir -p $(@D)
	gcc $(BENCH_CFLAGS) -c -o $@ $<
build/bench/matrix_float.o: bench/programs/matrix.c bench/programs/bench.h
	@mkdir -p $(@D)
	gcc $(BENCH_CFLAGS) -O3 -ftree-vectorize -DBENCH_FLOAT -c -o $@ $<

build/bench/lodge-bench: $(BENCH_OBJS)
	gcc -static -o $@ $^

# A Multiboot kernel that says one byte.
build/bench/first: bench/first.S
	@mkdir -p $(@D)
	gcc -m32 -nostdlib -static -no-pie -Wl,-n,-Ttext=0x100000,--build-id=none -o $@ $<

.PHONY: bench-bins bench
bench-bins: build/bench/lodge-bench build/bench/first
bench: deps
	@STEP_LOG=build/build.log; . tools/step.sh; step "Building" $(MAKE) -j$(JOBS) all bench-bins
	@$(PYTHON) bench/run.py --runs $(BENCH_RUNS)
