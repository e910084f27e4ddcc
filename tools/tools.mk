# Everything around the program: packages, the demo, the checks.

JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: help
help:
	@echo "make           build build/lodge"
	@echo "make demo      install what is needed, build, boot Debian's kernel to a shell"
	@echo "make check     install what is needed, build with gcc and clang, run every test"
	@echo "make check-systems   whole systems for a long time: installations, memtest86+ (tests/systems)"
	@echo "make check-kvm       the KVM engine, under an emulated processor with AMD-V (tests/kvm)"
	@echo "make kmod      the kernel component, for the kernel of KDIR= (kmod/README.md)"
	@echo "make check-kmod      it, against Debian's KVM, under emulated processors with AMD-V and VT-x (tests/kmod)"
	@echo "make t T=x     one test: T=x86/decode, fuzz/decode, guest/pm64/paging, system/boot_cloud"
	@echo "make bench     measure against the host and QEMU, write docs/performance.md"
	@echo "make check-images  disk images: every random test at length (docs/images.md)"
	@echo "make soak      real programs, stress-ng, clocks in a guest, for as long as you like (docs/soak.md)"
	@echo "make layers    who may include whom, and file sizes"
	@echo "make deps      install the Debian packages of tools/packages.txt"
	@echo "make install   into PREFIX (/usr/local), under DESTDIR if set"
	@echo "make clean     remove build/ (cache/ keeps what was fetched)"

# The stamp makes the second run instant; a changed list runs it again.
.PHONY: deps
deps: build/deps.stamp
build/deps.stamp: tools/packages.txt tools/deps.sh
	@sh tools/deps.sh
	@mkdir -p build && touch $@

.PHONY: deps-emulators
deps-emulators: deps build/deps-emulators.stamp
build/deps-emulators.stamp: tools/packages-emulators.txt tools/deps.sh
	@sh tools/deps.sh $<
	@mkdir -p build && touch $@

.PHONY: demo
demo: deps
	@STEP_LOG=build/build.log; . tools/step.sh; step "Building" $(MAKE) -j$(JOBS) all
	@PYTHON=$(PYTHON) sh tools/demo.sh

.PHONY: layers
layers:
	@$(PYTHON) tools/check_layers.py

# Every test program; `unit` and friends are in tests/tests.mk.
.PHONY: test-programs
test-programs: unit isa-bins guest-bins screen $(B)/lodge-static

# Build by gcc, build by clang (both -Werror), the fuzz targets, then all tests.
.PHONY: check
check: deps
	@STEP_LOG=build/build.log; . tools/step.sh; \
	step "Building with $(CC)" $(MAKE) -j$(JOBS) all test-programs && \
	step "Building with $(CLANG)" $(MAKE) -j$(JOBS) CC=$(CLANG) LINK_NAME=lodge-clang all && \
	step "Building the fuzz targets" $(MAKE) -j$(JOBS) fuzz-bins
	@B=$(B) NOSIMD="$(NOSIMD)" $(PYTHON) tests/run.py

# Long tests of whole systems; T=systems/memtest is one of them.
.PHONY: check-systems
check-systems: deps
	@STEP_LOG=build/build.log; . tools/step.sh; step "Building with $(CC)" $(MAKE) -j$(JOBS) all
	@$(PYTHON) tests/run.py -j 1 --only systems/

# The KVM engine under processors that emulators make; T=kvm/svm is one of them.
.PHONY: check-kvm
check-kvm: deps-emulators
	@STEP_LOG=build/build.log; . tools/step.sh; \
	step "Building with $(CC)" $(MAKE) -j$(JOBS) all guest-bins $(B)/lodge-static $(B)/tests/unit/engine/kvm_run \
		$(B)/tests/unit/engine/kvm_chip $(B)/tests/unit/engine/kvm_full $(B)/tests/unit/engine/kvm_probe $(B)/tests/isa/isa
	@B=$(B) $(PYTHON) tests/run.py -j 2 --only kvm/

# The kernel component: for the tests' kernel, whose headers are fetched, or for KDIR's.
.PHONY: kmod
kmod:
	@kdir="$(KDIR)"; [ -n "$$kdir" ] || kdir=$$($(PYTHON) tools/fetch_headers.py) && \
	$(MAKE) -C kmod KDIR="$$kdir"

# T=kmod/svm and T=kmod/vmx are its tests.
.PHONY: check-kmod
check-kmod: deps-emulators
	@STEP_LOG=build/build.log; . tools/step.sh; \
	step "Building with $(CC)" $(MAKE) -j$(JOBS) all guest-bins $(B)/lodge-static \
		$(addprefix $(B)/tests/unit/engine/kvm_,run irq chip full) $(B)/tests/isa/isa $(KMOD_TESTS) && \
	step "Building the modules" $(MAKE) KDIR= kmod
	@B=$(B) $(PYTHON) tests/run.py -j 2 --only kmod/

.PHONY: clean
clean:
	rm -rf build
