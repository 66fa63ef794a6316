# lcz42-edge: every stage by name, the pipeline as one rule per product. `make help` lists the verbs.
#
# A product is a file or folder under $(D) with its record beside it, PRODUCT.run.json. Make looks at
# the records, so that it works alike for files and folders; the stage itself decides by content.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash -euo pipefail

# What the pipeline reads: so2sat (data/so2sat, once its files are there), demo (procedural scenes,
# made here), tiny (a few of them, for tests), eurosat (real RGB images from EUROSAT=folder).
SOURCE ?= $(if $(wildcard data/so2sat/training.h5),so2sat,demo)
D ?= $(if $(filter so2sat,$(SOURCE)),data,data/$(SOURCE))

# Where a stage runs: docker (compose) or local (.venvs). Chosen by whether an engine answers.
RUNNER ?= $(if $(shell docker info >/dev/null 2>&1 && docker compose version 2>/dev/null),docker,local)

ifeq ($(filter so2sat demo tiny eurosat,$(SOURCE)),)
$(error SOURCE: expected so2sat, demo, tiny or eurosat, found $(SOURCE))
endif

STAGES := $(subst _,-,$(patsubst stages/%/main.py,%,$(wildcard stages/*/main.py)))
module = $(subst -,_,$(1))
export UID := $(shell id -u)
export GID := $(shell id -g)

include images/environments.mk
include images/images.mk

# --- how one stage is run ------------------------------------------------------------------------
ifeq ($(RUNNER),docker)
command = STAGE_IMAGE=$$$$(docker image inspect -f '{{.Id}}' lcz42-edge/$(1)) docker compose run --rm -T $(VOLUMES-$(1)) $(1)
ready = .images/$(1)
else ifeq ($(RUNNER),local)
command = .venvs/$(call module,$(1))/bin/python -m stages.$(call module,$(1)).main
ready = .venvs/$(call module,$(1))/made
else
$(error RUNNER: expected docker or local, found $(RUNNER))
endif

# $(call extra,STAGE,PATH,INPUT PRODUCTS,FLAGS): a rule, its place in `make STAGE`, a forced run
# when the product itself was taken away; `rule` is the same for what `make all` makes, too.
# Records are precious: make would delete one that is just written when it is interrupted, and a
# product without its record is refused.
define product
PRODUCTS-$(1) += $(2)
.PRECIOUS: $(2).run.json
$(if $(wildcard $(2)),,.PHONY: $(2).run.json)
$(2).run.json: $(addsuffix .run.json,$(3)) | $(call ready,$(1)) $(D)
	@echo "== $(1) -> $(2)" >&2
	@$(if $(filter $(RENEWED),$(1)),rm -rf $(2) $(2).run.json $(2).partial*; )$(call command,$(1)) --dst $(2) $(4) $(FLAGS-$(1))
endef
extra = $(eval $(call product,$(1),$(2),$(3),$(4)))
rule = $(eval PRODUCTS += $(2))$(call extra,$(1),$(2),$(3),$(4))
# What `make STAGE` makes. ASIDE: products that others ask for, or a verb of their own.
wanted = $(filter-out $(ASIDE),$(PRODUCTS-$(1)))
present = $(patsubst %.run.json,%,$(wildcard $(PRODUCTS-$(1):%=%.run.json)))
# Only the page on all the others is replaced without being asked.
RENEWED := report
comma := ,
list = $(subst $() ,$(comma),$(strip $(1)))

$(D):
	@mkdir -p $@

# --- settings: published ones are the stages' defaults; these make a small set learn in minutes -----
# Those of the ensembles are in stages/ensembles.mk, those of super-resolution in stages/sr.mk.
ifneq ($(filter demo tiny,$(SOURCE)),)
FLAGS-distill := --size 48 --batch 32 --lr 0.002 --epochs 16
FLAGS-sr-train := --steps 200 --batch 64 --lr 3e-3
endif
ifeq ($(SOURCE),tiny)
FLAGS-demo := --train_per_class 24 --test_per_class 6
FLAGS-distill := --size 32 --batch 32 --lr 0.001 --epochs 1
FLAGS-sr-train := --steps 4 --batch 16
FLAGS-export := --calibration_per_class 12
FLAGS-voyager := --calibration 204
endif
ifeq ($(SOURCE),eurosat)
FLAGS-distill := --batch 64 --lr 0.002 --size 64 --epochs 8
FLAGS-voyager := --name eurosat-resnet18 --per_class_val 0
endif

# --- the pipeline --------------------------------------------------------------------------------
SPLITS := training testing
both = $(foreach split,$(SPLITS),$(D)/$(1)/$(split).h5)
P := $(D)/prepare

ifeq ($(SOURCE),eurosat)
EUROSAT ?= data/eurosat-rgb
$(call rule,eurosat,$(P),,--src $(EUROSAT))
PREPARED := $(P)
else
ifeq ($(SOURCE),so2sat)
$(foreach split,$(SPLITS),$(eval $(P)/$(split).h5.run.json: $(D)/so2sat/$(split).h5))
else
$(call rule,demo,$(D)/so2sat,,)
RAW := $(D)/so2sat
endif
# Version 4 has files that tell where each patch lies, by which prepare knows its city.
geo = $(addprefix --geo ,$(wildcard $(D)/so2sat/$(1)_geo.h5))
$(foreach split,$(SPLITS),$(call rule,prepare,$(P)/$(split).h5,$(RAW),--src $(D)/so2sat/$(split).h5 $(call geo,$(split))))
PREPARED := $(call both,prepare)
endif
include stages/sr.mk
include stages/ensembles.mk
include stages/edge.mk

# The page shows what was made beyond `make all`, too.
BEYOND := $(foreach stage,teacher fusion sumrule distill export voyager,\
	$(call $(if $(filter $(stage),$(MAKECMDGOALS)),wanted,present),$(stage))) \
	$(foreach verb,qat students,$(if $(filter $(verb),$(MAKECMDGOALS)),$(MADE-$(verb))))
SHOWN := $(filter-out $(D)/tda-plot,$(PRODUCTS)) $(filter-out $(PRODUCTS),$(sort $(BEYOND)))
$(call rule,report,$(D)/report.html,$(SHOWN),--src $(call list,$(SHOWN)))

# --- verbs ---------------------------------------------------------------------------------------
.PHONY: help all demo eurosat status test lint environments $(filter-out demo eurosat merge,$(STAGES))

help: ## these lines, and where things would run and go now
	@grep -hE '^[a-zA-Z%_.$$()-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22
	@echo; echo "stages: $(STAGES)"
	@echo "now: SOURCE=$(SOURCE) D=$(D) RUNNER=$(RUNNER)"

.PHONY: products
products: $(PRODUCTS:%=%.run.json)

all: ## the whole pipeline for SOURCE, ending in the bundle and the report
	@if $(MAKE) --no-print-directory -q products 2>/dev/null; then echo "up to date, nothing to do"; \
		else $(MAKE) --no-print-directory products; fi
	@echo "bundle: $(D)/voyager/resnet18"; echo "report: $(D)/report.html"

demo: ## the whole pipeline on procedural scenes made on the spot, in minutes
	@$(MAKE) --no-print-directory SOURCE=demo all

eurosat: ## the chain on real RGB images: EUROSAT=folder of class folders
	@$(MAKE) --no-print-directory SOURCE=eurosat all

define stage_verb
$(1): $(patsubst %,%.run.json,$(wanted))
	@$(if $(PRODUCTS-$(1)),for made in $(wanted); do echo $$$$made; done,\
		echo "$(1): no product of SOURCE=$(SOURCE)" >&2; exit 2)
endef
$(foreach stage,$(filter-out demo eurosat merge,$(STAGES)),$(eval $(call stage_verb,$(stage))))

.PHONY: merge
merge: | $(call ready,merge) ## SRC=a.h5,b.h5 DST=c.h5: join shards
	@$(subst $$$$,$$,$(call command,merge)) --src $(SRC) --dst $(DST)

status: ## each product of SOURCE: there, stale or missing, by which record
	@python3 -m shared.tools.status $(D)

clean-%: ## take the products of one stage away: make clean-teacher
	rm -rf $(foreach product,$(PRODUCTS-$*),$(product) $(product).run.json $(product).partial*)

rerun-%: .venvs/merge/made ## make what is there of one stage again and compare them with the recorded ones
	@$(if $(call present,$*),,echo "$*: nothing is made of it yet for SOURCE=$(SOURCE)" >&2; exit 2;) \
		failed=0; for made in $(call present,$*); do .venvs/merge/bin/python -m shared.tools.rerun --product $$made \
		--root $(D) --command "$(subst $$$$,$$,$(call command,$*))" || failed=1; done; exit $$failed

# --- checks --------------------------------------------------------------------------------------
PYTHON := .venvs/dev/bin/python
MODULES := $(call module,$(STAGES))

environments: .venvs/dev/made .venvs/pytest/made $(MODULES:%=.venvs/%/made) ## all virtual environments

lint: .venvs/dev/made ## ruff and mypy
	.venvs/dev/bin/ruff format --check --quiet .
	.venvs/dev/bin/ruff check --quiet .
	.venvs/dev/bin/mypy shared stages

.PHONY: test-contract test-training test-sr test-e2e $(MODULES:%=test-%)
test-contract: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/shared tests/test_stages.py

$(MODULES:%=test-%): test-%: .venvs/%/made .venvs/pytest/made
	.venvs/$*/bin/python tests/under.py -q tests/stages/test_$*.py

test-training: .venvs/distill/made .venvs/pytest/made
	.venvs/distill/bin/python tests/under.py -q tests/training

test-sr: .venvs/sr_swinir/made .venvs/pytest/made
	.venvs/sr_swinir/bin/python tests/under.py -q tests/sr

test-e2e: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/e2e tests/test_images.py

test: lint test-contract test-training test-sr test-ship $(MODULES:%=test-%) ## everything: lint, types, contract, each stage under its own pins, the whole chain
	@$(MAKE) --no-print-directory test-e2e

# --- speed ---------------------------------------------------------------------------------------
.PHONY: bench bench-despeckle bench-sr bench-tda bench-train bench-edge
bench: bench-despeckle bench-sr bench-tda bench-train bench-edge ## the reference way and ours, side by side

bench-despeckle: .venvs/prepare/made ## the speckle filter: milliseconds a patch
	.venvs/prepare/bin/python -m tests.bench.despeckle

bench-sr: .venvs/dev/made $(patsubst %,.venvs/%/made,$(filter sr_%,$(MODULES))) ## super-resolution: seconds per patch, memory, share of the machine's limit
	$(PYTHON) -m tests.bench.sr --out data/bench

bench-tda: .venvs/tda/made .venvs/bench_tda/made ## topology: milliseconds per band of each library, and from file to file
	.venvs/tda/bin/python -m tests.bench.tda --out data/bench

bench-train: .venvs/teacher/made .venvs/bench_train/made ## training: rows per second of the loader, the network alone and both together
	.venvs/teacher/bin/python -m tests.bench.train --out data/bench

bench-edge: .venvs/export/made .venvs/distill/made ## students on this CPU, FP32 and INT8, beside Metis' published figures
	.venvs/export/bin/python -m tests.bench.edge --out data/bench

# What is only compared with; behind the packages of the stage.
.venvs/bench_tda/made: tests/bench/tda.txt .venvs/tda/made
	@$(UV) pip install --quiet --python .venvs/tda/bin/python --target .venvs/bench_tda --require-hashes --requirement $<
	@touch $@
.venvs/bench_train/made: tests/bench/train.txt .venvs/teacher/made
	@$(UV) pip install --quiet --python .venvs/teacher/bin/python --target .venvs/bench_train --require-hashes --requirement $<
	@touch $@
