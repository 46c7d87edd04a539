# Three commands to remember: `make demo` labels a sample conversation, `make test` checks everything, and
# `make test-light` checks what users install, without torch.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LIGHT  := .venv-light

.PHONY: demo test test-light clean

demo: $(VENV)/.installed
	$(BIN)/broadmamba predict examples/kitchen.vtt

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist worksteal

test-light: $(LIGHT)/.installed
	BROADMAMBA_LIGHT=$(LIGHT)/material $(LIGHT)/bin/python -m pytest tests/light

# pip would compile all of it, with one core.
$(VENV)/.installed: pyproject.toml
	@echo 'Installing broadmamba and what it needs into $(VENV) …'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile -e .
	@$(BIN)/python -m compileall -q -j 0 -x '/(tests|pip|setuptools)/' $(VENV)/lib
	@touch $@

# torch goes in first and alone, so that no other package can pull its CUDA build.
$(VENV)/.installed-test: $(VENV)/.installed constraints.txt
	@echo 'Installing torch and all that the tests need into $(VENV) …'
	@$(BIN)/python -m pip install --quiet -r constraints.txt
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

# A new environment whenever anything has changed; what is labelled in it is made with everything installed.
$(LIGHT)/.installed: $(VENV)/.installed-test $(shell find src tests/light -name '*.py')
	@echo 'Installing what labels recordings into $(LIGHT) …'
	@rm -rf build $(LIGHT)
	@$(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/python -m pip install --quiet '.[recording,praat]' pytest
	@$(BIN)/python tests/light/material.py $(LIGHT)/material
	@touch $@

clean:
	rm -rf $(VENV) $(LIGHT) build
