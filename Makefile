# lcz42-edge: every stage by name, every product of the pipeline. `make help` lists the verbs.
#
# A product is a file or folder below $(D) with its record beside it, PRODUCT.run.json. Make looks at
# the records, so that files and folders work alike; the stage itself decides by content. Which
# products there are, and how each one is made, stands in shared/pipeline; make includes the rules
# that are generated from it. docs/usage.md explains the variables.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash -euo pipefail

# What the pipeline reads: so2sat (once data/so2sat holds its files), demo and gallery (procedural
# scenes, made on the spot), tiny (a few of them, for tests), eurosat (real images: EUROSAT=folder),
# landcover (orthophotos: LANDCOVER=folder), sisr, sen2venus and worldstrat (pairs of two sensors, drawn or real).
SOURCE ?= $(if $(wildcard data/so2sat/training.h5),so2sat,demo)
D ?= $(if $(filter so2sat,$(SOURCE)),data,data/$(SOURCE))

# Where a stage runs: docker (compose) or local (.venvs), by whether a container engine answers; or slurm, on a cluster.
ifeq ($(origin RUNNER),undefined)
RUNNER := $(if $(shell docker info >/dev/null 2>&1 && docker compose version 2>/dev/null),docker,local)
endif

STAGES := $(subst _,-,$(patsubst stages/%/main.py,%,$(wildcard stages/*/main.py)))
MODULES := $(subst -,_,$(STAGES))
export UID := $(shell id -u)
export GID := $(shell id -g)
quoted = '$(subst ','\'',$(1))'

include images/environments.mk
include images/images.mk

# --- the pipeline --------------------------------------------------------------------------------
# The variables that the caller set, on the command line or in the environment.
SETTABLE := SR W WEIGHTS WEIGHTS-% MIRROR ARCHITECTURES MODES FUSION_VARIANTS STUDENT_TEACHER ABLATED EUROSAT SCENE LANDCOVER SEGMENTERS MODEL SPLIT_LISTS PAIRS SEN2VENUS WORLDSTRAT \
	DATA MEMBERS MEMBERS-% EPOCHS EPOCHS-% PIXELS PIXELS-% TEACHER_BATCH TEACHER_BATCH-% FUSION_BATCH LEARNING FLAGS-% \
	STAGE GRID SEEDS STUDENTS NODE_RUNNER RESOURCES SHARDS SHARDS-% REGISTRY CLAIM NAMESPACE
CHANGED := $(foreach name,$(filter $(SETTABLE),$(.VARIABLES)),$(if $(filter command environment override,$(origin $(name))),$(name)))
SETTINGS := --source $(call quoted,$(SOURCE)) --runner $(call quoted,$(RUNNER)) --set $(call quoted,D=$(D)) \
	$(foreach name,$(CHANGED),--set $(call quoted,$(name)=$($(name))))
RULES := $(shell python3 -m shared.pipeline rules $(SETTINGS) --goals $(call quoted,$(MAKECMDGOALS)))
ifneq ($(words $(RULES)),1)
$(error $(or $(wordlist 2,999,$(RULES)),python3 -m shared.pipeline failed: see above))
endif
include $(RULES)

ifeq ($(MAKECMDGOALS),weights)
MAKEFLAGS += --keep-going  # one refused file keeps no other from coming
endif

$(D):
	@mkdir -p $@

# --- verbs ---------------------------------------------------------------------------------------
.PHONY: help all demo gallery tiny eurosat landcover sisr products plan status cancel provenance stac k8s cwl rerun new-stage picture merge ship tensorboard

help: ## this list, with the present SOURCE, D and RUNNER
	@grep -hE '^[a-zA-Z%_.$$()-]+:.*## ' $(filter-out $(RULES),$(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 22
	@echo; echo "stages, each a verb: $(STAGES)"
	@echo "across stages: sr ablations qat students bundles sweep"
	@echo "now: SOURCE=$(SOURCE) D=$(D) RUNNER=$(RUNNER)"

# On a cluster a goal submits jobs, and make -n shows them; WAIT=1 stays until all is made.
cluster = python3 -m shared.pipeline.cluster $(1) --source $(call quoted,$(SOURCE)) --set $(call quoted,D=$(D)) \
	$(foreach name,$(CHANGED),--set $(call quoted,$(name)=$($(name))))
SUBMIT = $(call cluster,submit) $(if $(WAIT),--wait) $(if $(findstring n,$(firstword -$(MAKEFLAGS))),--dry)

ifeq ($(RUNNER),slurm)
all: products
else
products: $(PRODUCTS:%=%.run.json)

all: ## make the whole pipeline for SOURCE, up to the bundle and the report
	@if $(MAKE) --no-print-directory -q products 2>/dev/null; then echo "up to date, nothing to do"; \
		else $(MAKE) --no-print-directory products; fi
	@$(if $(PRODUCTS-voyager),echo "bundle: $(BUNDLE)"; )echo "report: $(D)/report.html"
endif

# A verb that names its source takes no other one.
comma := ,
own_source = $(if $(filter-out $(1),$(if $(filter command environment override,$(origin SOURCE)),$(SOURCE))),\
	@echo "make $(1): expected no SOURCE$(comma) found $(SOURCE); make all SOURCE=$(SOURCE)" >&2; exit 2)

demo: ## make the shortest whole chain, on procedural scenes, in a few minutes
	$(call own_source,demo)
	@$(MAKE) --no-print-directory SOURCE=demo all

gallery: ## make the chain with every super-resolution method, more ensembles and longer training
	$(call own_source,gallery)
	@$(MAKE) --no-print-directory SOURCE=gallery all

tiny: ## make the chain on a few scenes with the shortest training, for tests
	$(call own_source,tiny)
	@$(MAKE) --no-print-directory SOURCE=tiny all

eurosat: ## make the chain on EuroSAT, RGB or 13 bands: EUROSAT=folder with one folder per class, SPLIT_LISTS=folder with public lists
	$(call own_source,eurosat)
	@$(MAKE) --no-print-directory SOURCE=eurosat all

landcover: ## make the chain for land cover on drawn orthophotos, in minutes; LANDCOVER=folder as LandCover.ai is laid out, SEGMENTERS=networks
	$(call own_source,landcover)
	@$(MAKE) --no-print-directory SOURCE=landcover all

sisr: ## make the chain for super-resolution across sensors, on drawn pairs, in minutes; SOURCE=sen2venus or worldstrat for real ones, PAIRS=bands-xfactor, SCENE=product
	$(if $(filter sen2venus worldstrat,$(SOURCE)),,$(call own_source,sisr))
	@$(MAKE) --no-print-directory SOURCE=$(or $(filter sen2venus worldstrat,$(SOURCE)),sisr) all

plan: ## print the products of SOURCE, their commands, and what each one waits for; FORMAT=json for programs
	@python3 -m shared.pipeline plan $(SETTINGS) $(if $(filter json,$(FORMAT)),--json)

status: ## list the products of SOURCE and whether each is up to date
	@python3 -m shared.tools.status $(D)
	@python3 -m shared.pipeline.cluster status $(D)

cancel: ## take the jobs of SOURCE out of the queue of Slurm
	@python3 -m shared.pipeline.cluster cancel $(D)

provenance: ## write where PRODUCT=data/… comes from, as PROV-JSON and a picture, into D/provenance
	@python3 -m shared.tools.provenance.main $(call quoted,$(PRODUCT)) --data $(D)

stac: .venvs/stac/made ## write PRODUCT=data/… (a network or a bundle) and what it was made of as STAC items, into D/stac
	@.venvs/stac/bin/python -m shared.tools.stac.main $(call quoted,$(PRODUCT)) --data $(D)

k8s: ## write what is not made yet of GOALS (all) as indexed Jobs for Kubernetes, into TO (k8s)
	@$(call cluster,kubernetes) --goals $(call quoted,$(or $(GOALS),all)) --to $(call quoted,$(or $(TO),k8s))

cwl: .venvs/dev/made .venvs/cwl/made ## write every stage in the Common Workflow Language, and prepare → tda, into TO (cwl); with RUNNER=local for cwltool --no-container
	@$(PYTHON) -m shared.tools.cwl.main --runner $(if $(filter docker,$(RUNNER)),docker,local) --to $(call quoted,$(or $(TO),cwl))

new-stage: ## write a stage that passes the contract tests: NAME=x
	@python3 -m shared.tools.new_stage.main $(NAME)

picture: .venvs/report/made ## draw docs/picture.png from the products of SOURCE
	.venvs/report/bin/python -m stages.report.picture --data $(D) --dst docs/picture.png \
		--student $(call quoted,$(notdir $(firstword $(PRODUCTS-export) resnet18)))

merge: | $(if $(filter local,$(RUNNER)),.venvs/merge/made) ## join the parts of a sharded run: SRC=a.h5,b.h5 DST=c.h5
	@python3 -m shared.pipeline run $(call start,merge) --src $(SRC) --dst $(DST)

clean-%: ## remove the products of one stage: make clean-teacher
	$(call known_stage,$*)
	rm -rf $(foreach product,$(PRODUCTS-$*),$(product) $(product).run.json $(product).partial*)

# The words that start a stage; those of a container are made ready by shared.pipeline.containers.
start = $(if $(filter docker,$(RUNNER)),docker compose run --rm -T $(1),.venvs/$(subst -,_,$(1))/bin/python -m stages.$(subst -,_,$(1)).main)

# The same for the stage that a record names, which is merge or sumrule where parts were joined.
again = $(if $(filter docker,$(RUNNER)),docker compose run --rm -T {stage},.venvs/{stage_}/bin/python -m stages.{stage_}.main)

known_stage = $(if $(filter $(1),$(STAGES)),,@python3 -m shared.pipeline suggest $(call quoted,$@))
present = $(patsubst %.run.json,%,$(wildcard $(PRODUCTS-$(1):%=%.run.json)))
rerun: .venvs/merge/made ## make every product of SOURCE again and compare it with the recorded one: identical, or the largest difference
	@failed=0; for stage in $(foreach stage,$(STAGES),$(if $(call present,$(stage)),$(stage))); do \
		$(MAKE) --no-print-directory rerun-$$stage || failed=1; done; exit $$failed
rerun-%: .venvs/merge/made ## make the products of one stage again and compare them with the recorded ones
	$(call known_stage,$*)
	@$(if $(call present,$*),,echo "$*: nothing is made of it yet for SOURCE=$(SOURCE)" >&2; exit 2;) \
		failed=0; for made in $(call present,$*); do .venvs/merge/bin/python -m shared.tools.rerun --product $$made --root $(D) \
		--command $(call quoted,$(again)) \
		|| failed=1; done; exit $$failed

# The tool that ships is no stage: it talks to the engine, so it runs on the host, in an environment of its own.
# Without DEST nothing is made first: the tool says at once what is missing.
BUNDLE ?= $(firstword $(PRODUCTS-voyager) $(D)/voyager/resnet18)
ship: $(if $(DEST),$(filter $(D)/voyager/%,$(BUNDLE:%=%.run.json)) $(if $(filter docker,$(RUNNER)),build/export)) | .venvs/ship/made ## copy the export image and the bundle to another machine and check them there: DEST=user@host:dir or a folder
	@.venvs/ship/bin/python -m shared.tools.ship.main --bundle=$(call quoted,$(BUNDLE)) --dest=$(call quoted,$(DEST)) $(FLAGS-ship)

# What trainers have logged so far, of products that are being made as well; an environment of its own, as no image needs it.
tensorboard: .venvs/tensorboard/made ## show how the networks of SOURCE have learned, and learn: losses, accuracies, speeds in a browser, at PORT=6006 of this machine
	@.venvs/tensorboard/bin/tensorboard --logdir $(D) --port $(or $(PORT),6006)

.DEFAULT:
	@python3 -m shared.pipeline suggest $(call quoted,$@)

# --- checks --------------------------------------------------------------------------------------
PYTHON := .venvs/dev/bin/python

environments: .venvs/dev/made .venvs/pytest/made $(MODULES:%=.venvs/%/made) ## make all virtual environments

lint: .venvs/dev/made ## run ruff and mypy
	.venvs/dev/bin/ruff format --check --quiet .
	.venvs/dev/bin/ruff check --quiet .
	.venvs/dev/bin/mypy shared stages tests

flags: .venvs/dev/made ## write docs/flags.md, the flags of every stage, from the code
	@$(PYTHON) -m shared.tools.flags

.PHONY: environments flags lint test test-contract test-training test-sr test-ship test-stac test-input test-runs test-containers test-slurm test-chain $(MODULES:%=test-%)
test-contract: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/shared tests/test_stages.py

# Files of a stage beside its first one, such as test_export_fix.py; not those of a stage tda_plot beside tda.
further_tests = $(filter-out $(MODULES:%=tests/stages/test_%.py),$(wildcard tests/stages/test_$(1)_*.py))
$(MODULES:%=test-%): test-%: .venvs/%/made .venvs/pytest/made
	.venvs/$*/bin/python tests/under.py -q tests/stages/test_$*.py $(call further_tests,$*)

test-training: .venvs/distill/made .venvs/pytest/made
	.venvs/distill/bin/python tests/under.py -q tests/training

test-sr: .venvs/sr_swinir/made .venvs/pytest/made
	.venvs/sr_swinir/bin/python tests/under.py -q tests/sr

test-ship: .venvs/ship/made .venvs/voyager/made .venvs/pytest/made
	.venvs/ship/bin/python tests/under.py -q tests/ship

test-stac: .venvs/stac/made .venvs/pytest/made
	.venvs/stac/bin/python tests/under.py -q tests/stac

# What stages say of wrong, damaged and hostile inputs, and every stage once: no engine and no cluster is asked.
INPUT_TESTS := $(addprefix tests/e2e/test_,refusals.py no_tmp.py torture.py hostile_input.py)
test-input: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q $(INPUT_TESTS)

# What runs in containers: each image, its locks, a workflow in CWL.
CONTAINER_TESTS := tests/e2e/test_cwl.py tests/test_images.py tests/test_locks.py
test-containers: .venvs/dev/made .venvs/cwl/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q $(CONTAINER_TESTS)

test-slurm: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/e2e/test_slurm.py

test-chain: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/e2e/test_demo.py

# All others: stages that are killed or short of disk, chains of several, real data. No engine and no cluster is asked.
ELSEWHERE := $(INPUT_TESTS) $(CONTAINER_TESTS) $(addprefix tests/e2e/test_,slurm.py demo.py)
test-runs: .venvs/dev/made $(MODULES:%=.venvs/%/made)
	$(PYTHON) -m pytest -q tests/e2e $(ELSEWHERE:%=--ignore=%)

# With --jobs 2 the suites run two at a time, the long ones first; the whole chain uses both by itself, at the end.
test: lint test-input test-runs test-containers test-slurm test-training test-contract test-sr test-ship test-stac $(MODULES:%=test-%) ## test everything: lint, types, contract, each stage under its own pins, containers, Slurm, the whole chain
	@$(MAKE) --no-print-directory test-chain

.PHONY: mutate
mutate: .venvs/dev/made .venvs/pytest/made .venvs/mutation/made .venvs/ship/made .venvs/stac/made $(MODULES:%=.venvs/%/made) ## make small mistakes in the code, one at a time, and list those that no test sees: COUNT=300 SEED=0 JOBS=2 FILES=
	@PYTHONPATH=.venvs/mutation nice -n 19 $(PYTHON) -m tests.mutation \
		--count $(or $(COUNT),300) --seed $(or $(SEED),0) $(if $(JOBS),--jobs $(JOBS)) $(if $(FILES),--files $(FILES))

# Damage and accidents by the thousand: CAMPAIGNS names them (tests/torture/campaign.py, tests/torture/faults), CASES says how many, SEED which ones, JOBS processes at a time.
.PHONY: torture
torture: .venvs/dev/made $(MODULES:%=.venvs/%/made) ## damage inputs, kill runs, fill and remove volumes at random, and look how the stages take it: CASES of each of CAMPAIGNS (all)
	$(PYTHON) -m tests.torture $(if $(CAMPAIGNS),--campaigns $(CAMPAIGNS)) --cases $(or $(CASES),0) --seed $(or $(SEED),0) $(if $(JOBS),--jobs $(JOBS))

# --- speed ---------------------------------------------------------------------------------------
.PHONY: bench bench-segment bench-segment-levels bench-audit bench-map bench-despeckle bench-layouts bench-sr bench-tda bench-train bench-memory bench-edge bench-classify bench-distill bench-range bench-scene bench-sisr
bench: bench-despeckle bench-layouts bench-scene bench-sr bench-tda bench-train bench-memory bench-edge bench-classify ## measure the reference implementations and ours, side by side

bench-despeckle: .venvs/prepare/made ## the speckle filter: milliseconds a patch
	.venvs/prepare/bin/python -m tests.bench.despeckle

bench-layouts: .venvs/prepare/made ## sources in every layout: seconds of h5py to read one, of prepare to convert it
	.venvs/prepare/bin/python -m tests.bench.layouts

bench-scene: .venvs/scene/made ## Sentinel-2 products: MB per second of scene beside rasterio alone, and memory
	.venvs/scene/bin/python -m tests.bench.safe

bench-sisr: .venvs/scene_sr/made ## scene-sr: megapixels per second beside onnxruntime as the client calls it
	.venvs/scene_sr/bin/python -m tests.bench.sisr 2>/dev/null

bench-sr: .venvs/dev/made $(patsubst %,.venvs/%/made,$(filter sr_%,$(MODULES))) ## super-resolution: seconds per patch, memory, share of the machine's limit
	$(PYTHON) -m tests.bench.sr --out data/bench

bench-tda: .venvs/tda/made .venvs/bench_tda/made ## topology: milliseconds per band of each library, and from file to file
	.venvs/tda/bin/python -m tests.bench.tda --out data/bench

bench-train: .venvs/teacher/made .venvs/bench_train/made ## training: rows per second of the loader, the network alone and both together
	.venvs/teacher/bin/python -m tests.bench.train --out data/bench

bench-memory: .venvs/teacher/made ## training: GB that a step takes, by network, picture size and batch
	.venvs/teacher/bin/python -m tests.bench.memory --out data/bench

bench-edge: .venvs/export/made .venvs/distill/made ## students on this CPU, FP32 and INT8, beside Metis' published figures
	.venvs/export/bin/python -m tests.bench.edge --out data/bench

bench-classify: .venvs/export/made .venvs/distill/made ## a folder of pictures on this CPU: rows per second as before and now
	.venvs/export/bin/python -m tests.bench.classify --out data/bench

bench-audit: .venvs/teacher/made .venvs/audit/made .venvs/dev/made ## wrong labels that audit finds, over SEEDS: a quarter of an hour
	$(PYTHON) -m tests.bench.audit --data $(call quoted,$(D)) --out $(call quoted,$(or $(OUT),$(D)/bench-audit)) $(if $(SEEDS),--seeds $(SEEDS))

bench-map: .venvs/map/made ## maps: windows per second beside one window cut, scaled and run per call; MODEL=folder adds a network
	.venvs/map/bin/python -m tests.bench.map $(if $(MODEL),--model $(call quoted,$(MODEL))) 2>/dev/null

bench-segment: .venvs/segment/made .venvs/map/made ## segmentation: tiles per second of loading and augmentation, of training steps and of maps, beside the reference's ways
	.venvs/segment/bin/python -m tests.bench.segment --out data/bench

bench-segment-levels: .venvs/orthophoto/made .venvs/landcover/made .venvs/segment/made .venvs/dev/made ## the finest level of a pyramid beside the coarsest, over SEEDS, with EPOCHS each: ten minutes
	$(PYTHON) -m tests.bench.segment_levels --out $(call quoted,$(or $(OUT),$(D)/bench-segment-levels)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(FLAGS-segment),--flags=$(call quoted,$(FLAGS-segment)))

bench-sisr-gain: $(patsubst %,.venvs/%/made,two_sensors pairs register sisr_train sisr_eval dev) ## networks across sensors beside a cubic: three modes on drawn pairs, CARN, EDSR and SwinIR on real patches, over SEEDS, with EPOCHS each
	$(PYTHON) -m tests.bench.sisr_gain --out $(call quoted,$(or $(OUT),$(D)/bench-sisr-gain)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(FLAGS-sisr-train),--flags=$(call quoted,$(FLAGS-sisr-train)))

# The teacher is that of the source's student, or TEACHER=folder; WAYS="NAME:FLAGS;NAME:FLAGS" are the settings, FLAGS-distill are of all of them.
bench-distill: .venvs/distill/made .venvs/dev/made ## students beside their twins by setting, over SEEDS, with EPOCHS each: hours
	$(PYTHON) -m tests.bench.distill --source $(SOURCE) --data $(call quoted,$(D)) --out $(call quoted,$(or $(OUT),$(D)/bench-distill)) \
		$(if $(TEACHER),--teacher $(call quoted,$(TEACHER))) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(EPOCHS),--epochs $(EPOCHS)) \
		$(if $(WAYS),--settings $(call quoted,$(WAYS))) $(if $(FLAGS-distill),--flags=$(call quoted,$(FLAGS-distill)))

# TRAINED="NAME:EPOCHS …" are trained so long; EPOCHS at LR follow, in float and in fake INT8, by SCHEME.
bench-qat: .venvs/distill/made .venvs/export/made .venvs/dev/made ## fake INT8 beside the same epochs in float, both in INT8, over SEEDS: an hour
	$(PYTHON) -m tests.bench.qat --source $(SOURCE) --data $(call quoted,$(D)) --out $(call quoted,$(or $(OUT),$(D)/bench-qat)) \
		$(if $(TEACHER),--teacher $(call quoted,$(TEACHER))) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(TRAINED),--students $(TRAINED)) \
		$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(LR),--lr $(LR)) $(if $(SCHEME),--scheme $(SCHEME)) \
		$(if $(FLAGS-distill),--flags=$(call quoted,$(FLAGS-distill)))

# The real scenes and the published network are those of $LCZ42_SAMPLES, or of shared/data beside the checkout.
bench-range: .venvs/distill/made .venvs/export/made .venvs/voyager/made .venvs/dev/made ## levels as published beside fitted ones: a published network on real scenes, students over SEEDS
	.venvs/distill/bin/python -m tests.bench.range_scenes
	$(PYTHON) -m tests.bench.range_students --source $(SOURCE) --data $(call quoted,$(D)) --out $(call quoted,$(or $(OUT),$(D)/bench-range)) \
		$(if $(SEEDS),--seeds $(SEEDS))

# What is only compared with; behind the packages of the stage.
.venvs/bench_tda/made: tests/bench/tda.txt .venvs/tda/made
	@$(UV) pip install --quiet --python .venvs/tda/bin/python --target .venvs/bench_tda --require-hashes --requirement $<
	@touch $@
.venvs/bench_train/made: tests/bench/train.txt .venvs/teacher/made
	@$(UV) pip install --quiet --python .venvs/teacher/bin/python --target .venvs/bench_train --require-hashes --requirement $<
	@touch $@
