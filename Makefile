# SPDX-License-Identifier: Apache-2.0
# For those who have the tools; ./demo and ./check install them first.

BUILD ?= build
PREFIX ?= /usr/local
CANN ?= 8.3

DESTDIR ?=
PYTHON3 = /usr/bin/python3
TOOLS = set -e; . tools/packages.sh

all:
	@$(TOOLS); need_meson; need_place $(BUILD); build_first $(BUILD)

demo:
	@./demo

test:
	@$(TOOLS); need_parts cmocka pytest; need_meson; need_place $(BUILD); \
	  build_tests $(BUILD)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs -t 4
	@$(PYTHON3) -m pytest -q -rs -p no:cacheprovider tests/cli tests/text tests/quality
	@$(PYTHON3) -m pytest -q -rs -p no:cacheprovider tests/server

# What tells most in under three minutes: every unit, component and stage, the kernels of
# the reference, what the program refuses, and a server that makes films.
QUICK_SUITES = --suite unit --suite components --suite pipeline
QUICK_TESTS = reference_rows reference_maps reference_elements
QUICK_CLI = tests/cli/test_refusals.py tests/cli/test_slips.py tests/cli/test_films.py
QUICK_SERVER = tests/server/test_fields.py tests/server/test_api.py

quick:
	@$(TOOLS); need_parts cmocka pytest; need_meson; need_place $(BUILD); \
	  build_tests $(BUILD)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs -t 4 $(QUICK_SUITES)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs -t 4 $(QUICK_TESTS)
	@$(PYTHON3) -m pytest -q -rs -p no:cacheprovider $(QUICK_CLI)
	@$(PYTHON3) -m pytest -q -rs -p no:cacheprovider $(QUICK_SERVER)

crash: all
	@$(TOOLS); need_parts pytest
	@$(PYTHON3) tests/server/crash.py

load: all
	@$(PYTHON3) bench/server/load.py

bench: all
	@$(BUILD)/phonofilm bench

install: all
	@$(TOOLS); . tools/install.sh; install_in $(BUILD) "$(PREFIX)" "$(DESTDIR)"

uninstall:
	@$(TOOLS); . tools/install.sh; uninstall_from "$(PREFIX)" "$(DESTDIR)"

lint:
	@tools/lint

fuzz:
	@$(TOOLS); need_meson; need_program clang clang; export CC=clang; \
	  build_in build-fuzz --buildtype=debugoptimized -Dfuzz=true \
	  -Db_sanitize=address,undefined -Db_lundef=false
	@meson test -C build-fuzz --no-rebuild --suite fuzz

# VAR=value pairs that put the emulator of CANN in the place of an installed one:
# env $$(make -s ascend-env) build/phonofilm info --platforms
# A path with blanks would fall apart there, so it is then relative to this folder.
ascend-env:
	@$(TOOLS); [ -d "tests/cann/$(CANN)" ] || \
	  { say "there is no emulator of CANN $(CANN): 8.1, 8.3, 9.0 or least"; exit 1; }; \
	  [ -f "$(BUILD)/tests/cann/$(CANN)/lib64/libascendcl.so" ] || \
	  { need_parts cmocka; need_meson; need_place $(BUILD); build_tests $(BUILD); } >&2; \
	  home="$(BUILD)/tests/cann/$(CANN)"; \
	  case $$home in /*) ;; *) home="$$(pwd)/$$home" ;; esac; \
	  case $$home in *[[:space:]]*) home="$(BUILD)/tests/cann/$(CANN)" ;; esac; \
	  echo "ASCEND_HOME_PATH=$$home"

# Each builds into a folder of its own and runs the tests that touch memory and
# threads most.
SUITES = --suite unit --suite components --suite pipeline --suite fault --suite fuzz
# $(call sanitized,FOLDER,KIND)
sanitized = $(TOOLS); need_meson; need_place $(1); \
  build_in $(1) --buildtype=debugoptimized -Db_sanitize=$(2) -Db_lundef=false; \
  meson test -C $(1) --no-rebuild $(SUITES) -t 4

asan:
	@$(call sanitized,build-asan,address)

ubsan:
	@$(call sanitized,build-ubsan,undefined)

tsan:
	@$(call sanitized,build-tsan,thread)

# A model of one's own: PyTorch is needed (training/requirements.txt), nothing else is.
# Stopped, the same command goes on.  INIT=models/nano starts from an exported model,
# whose video encoder learns, too, with FREE=1, and which learns anew to listen to the
# text with TEXT=new.
PYTHON ?= python3
PRESET ?= cpu
HOURS ?= 2
SEED ?= 1
RUN ?= build-training
MODEL ?= $(RUN)/model

train:
	@$(PYTHON) -c 'import torch' 2>/dev/null || { echo "phonofilm: $(PYTHON) has no" \
	  "PyTorch; training/README.md says how to install it" >&2; exit 1; }
	@nice -n 19 $(PYTHON) -m training all --preset $(PRESET) --hours $(HOURS) \
	  --seed $(SEED) --folder $(RUN) --export $(MODEL) $(if $(INIT),--init $(INIT)) \
	  $(if $(FREE),--free-encoder) $(if $(TEXT),--$(TEXT)-text)

quality: all
	@$(TOOLS); need_parts numpy
	@$(PYTHON3) tests/quality/quality.py --program $(BUILD)/phonofilm

# Films are not built, but made: they stay.
clean:
	@rm -rf build build-asan build-ubsan build-tsan build-fuzz

help:
	@echo 'make              build everything into build/'
	@echo 'make demo         make a film'
	@echo 'make quick        run the tests that tell most, in under three minutes'
	@echo 'make test         run every test'
	@echo 'make quality      measure the films of models/nano'
	@echo 'make train        train a small model (PRESET, HOURS, SEED, INIT, FREE, RUN, MODEL)'
	@echo 'make bench        measure the kernels of this machine'
	@echo 'make crash        kill a server fifty times and count what is lost'
	@echo 'make load         a thousand connections to a server'
	@echo 'make install      install into PREFIX (/usr/local), below DESTDIR if that is given'
	@echo 'make uninstall    take away again what make install put there'
	@echo 'make -s ascend-env    say how to use the emulator of CANN (CANN=8.1 8.3 9.0 least)'
	@echo 'make lint         check the rules of the house'
	@echo 'make fuzz         run the fuzz targets (needs clang)'
	@echo 'make asan ubsan tsan   test under a sanitizer'
	@echo 'make clean        remove what was built'

.PHONY: all demo quick test quality train crash load bench install uninstall lint \
  fuzz ascend-env asan ubsan tsan clean help
