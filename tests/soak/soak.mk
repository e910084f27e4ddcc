# `make soak`: hours of real programs in a guest (docs/soak.md); SOAK_ARGS="--help" lists options.
SOAK_ARGS ?=

.PHONY: soak
soak: deps all
	@$(PYTHON) tests/soak/soak.py $(SOAK_ARGS)
