# Locks and virtual environments, from images/NAME/requirements.in and .txt. Included by the Makefile.
#
#   make lock                   every requirements.txt from its requirements.in; versions stay where they still fit
#   make lock UPGRADE=--upgrade the same, with the newest versions that fit
#   make .venvs/tda             the environment of one stage: the very packages of its image
#   make .venvs/dev             linting, types and the tests that belong to no stage
#   make .venvs/pytest          pytest and hypothesis, which tests/under.py puts behind a stage's own packages
#   make .venvs/supply          cyclonedx-bom and pip-audit, for make sbom and make vulnerabilities
#   make .venvs/cwl             cwltool, which runs what make cwl writes
#   make .venvs/stac            stac-model and pystac, for make stac
#   make .venvs/w2w             a reader of maps by others, for one test of map
#   make .venvs/mutation        Cosmic Ray and coverage, which make mutate puts before the packages of dev

# With a kit of make offline-kit (docs/offline.md) packages come from its files, and no registry is asked.
ifneq ($(wildcard .kit/MANIFEST.json),)
export UV_FIND_LINKS := .kit/wheels
export UV_OFFLINE := 1
export PIP_FIND_LINKS := .kit/wheels
export PIP_NO_INDEX := 1
endif

# uv from the PATH, or fetched by pip at the version and with the hashes of images/uv.txt.
UV := $(or $(shell command -v uv),.venvs/uv/bin/uv)
export UV_CONFIG_FILE := images/uv.toml
.venvs/uv/bin/uv: images/uv.txt
	@echo "environment uv" >&2; python3 -m venv .venvs/uv
	@.venvs/uv/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

# uv leaves compiling to Python; where that is forbidden, importing torch takes twice its time.
unexport PYTHONDONTWRITEBYTECODE

# torch.txt before the stages that it constrains, pytest.txt beside dev. One version of each package for all Pythons.
LOCKS := images/uv images/torch images/ship images/supply images/tensorboard images/cwl images/stac tests/pytest tests/mutation tests/requirements tests/w2w tests/bench/tda tests/bench/train $(basename $(wildcard images/*/requirements.in))
COMPILE = $(UV) pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock' $(UPGRADE)
.PHONY: lock
lock: | $(UV) ## write every requirements.txt again from its requirements.in
	set -e; for lock in $(LOCKS); do $(COMPILE) --output-file $$lock.txt $$lock.in >/dev/null; done

ENVIRONMENTS := dev ship supply tensorboard cwl stac $(patsubst images/%/requirements.txt,%,$(wildcard images/*/requirements.txt))
.PHONY: $(ENVIRONMENTS:%=.venvs/%) .venvs/pytest .venvs/mutation .venvs/w2w
$(ENVIRONMENTS:%=.venvs/%) .venvs/pytest .venvs/mutation .venvs/w2w: .venvs/%: .venvs/%/made

# `made` is written last: an environment cut off halfway is completed by the next make.
SYNC = @echo "environment $*" >&2; .venvs/$*/bin/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --python 3.11 .venvs/$*; \
	$(UV) pip sync --quiet --python .venvs/$*/bin/python --require-hashes $< && touch $@
.venvs/dev/made: .venvs/%/made: tests/requirements.txt | $(UV)
	$(SYNC)
.venvs/w2w/made: .venvs/%/made: tests/w2w.txt | $(UV)
	$(SYNC)
.venvs/ship/made .venvs/supply/made .venvs/tensorboard/made .venvs/cwl/made .venvs/stac/made: .venvs/%/made: images/%.txt | $(UV)
	$(SYNC)
$(patsubst %,.venvs/%/made,$(filter-out dev ship supply tensorboard cwl stac,$(ENVIRONMENTS))): .venvs/%/made: images/%/requirements.txt | $(UV)
	$(SYNC)
.venvs/pytest/made .venvs/mutation/made: .venvs/%/made: tests/%.txt | $(UV)
	@rm -rf .venvs/$*
	@$(UV) pip install --quiet --python 3.11 --target .venvs/$* --require-hashes --requirement $<
	@touch $@
