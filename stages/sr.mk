# Super-resolution in the pipeline, one variant per method and scale. Included by the Makefile.
#
#   make sr              every variant of both splits, and sr-eval, which compares them
#   make sr-edsr         those of one method
#   make weights         the published weights, into $(W); MIRROR=folder or url takes them from there
#   WEIGHTS=trained      take weights that sr-train learns from the training split, not published ones
#   WEIGHTS-edsr-x2=FILE take a file of one's own for one variant
#   SR="edsr-x2 vdsr-x3" the variants that `make all` makes, and fusion may see
VARIANTS := vdsr-x2 vdsr-x3 edsr-x2 edsr-x4 esrgan-x2 swinir-x2 bsrnet-x2 realesrgan-x4
SR ?= $(VARIANTS)
ifneq ($(filter-out $(VARIANTS),$(SR)),)
$(error SR: expected of $(VARIANTS), found $(SR))
endif
ASIDE := %/wald.h5  # only for sr-eval, which asks for it
W ?= data/weights
WEIGHTS ?= $(if $(filter so2sat,$(SOURCE)),published,trained)
ifeq ($(filter published trained,$(WEIGHTS)),)
$(error WEIGHTS: expected published or trained, found $(WEIGHTS); WEIGHTS-edsr-x2=FILE is for one variant)
endif

# Where none were published at ×2, the nearest: the READMEs of sr-esrgan and sr-bsrnet say why.
PUBLISHED-edsr-x2 := edsr64_x2.pt
PUBLISHED-edsr-x4 := edsr64_x4.pt
PUBLISHED-esrgan-x2 := RealESRGAN_x2plus.pth
PUBLISHED-swinir-x2 := 001_classicalSR_DF2K_s64w8_SwinIR-M_x2.pth
PUBLISHED-bsrnet-x2 := BSRGANx2.pth
PUBLISHED-realesrgan-x4 := RealESRGAN_x4plus.pth

# Sizes at which one core learns from the small sets in half a minute each.
ifneq ($(filter demo tiny,$(SOURCE)),)
SIZE-vdsr := --width 16 --depth 4
SIZE-edsr := --width 16 --depth 3
SIZE-esrgan := --width 16 --depth 1
SIZE-swinir := --width 24 --depth 2 --heads 2
SIZE-bsrnet := --width 12 --depth 1
SIZE-realesrgan := --width 8 --depth 1
endif

# Weights of sr-train restore reflectance itself; matched to the blurred input they would lose it.
OWN-bsrnet := --nomatch
OWN-realesrgan := --nomatch

method = $(firstword $(subst -x, ,$(1)))
scale = $(lastword $(subst -x, ,$(1)))
published = $(if $(filter published,$(WEIGHTS)),$(PUBLISHED-$(1):%=$(W)/%))
weights = $(or $(WEIGHTS-$(1)),$(published),$(D)/sr-train/$(1).safetensors)
low = $(D)/sr-degrade/x$(1)/testing.h5
big = $(foreach v,$(VARIANTS),$(D)/sr-$(call method,$(v))/x$(call scale,$(v))/$(1).h5)
scales := $(sort $(foreach v,$(VARIANTS),$(call scale,$(v))))

# --- published weights: the files of the lists, first word of each line ------------------------------
# From a folder only what lies there; from their own places all that can be had without a browser.
LISTED := $(sort $(shell awk 'NF && $$1 !~ /^\#/ {print $$1}' stages/*/weights.txt))
BY_HAND := $(sort $(shell awk '$$6 ~ /^page:/ {print $$1}' stages/*/weights.txt))
FILES := $(filter-out $(BY_HAND),$(LISTED))
ifeq ($(MAKECMDGOALS),weights)
MAKEFLAGS += --keep-going  # one refused file keeps no other from coming
endif
ifneq ($(MIRROR),)
override MIRROR := $(MIRROR:file://%=%)
ifeq ($(findstring ://,$(MIRROR)),)
FILES := $(filter $(LISTED),$(notdir $(wildcard $(MIRROR)/*)))
ifeq ($(FILES),)
$(error MIRROR: expected a folder with files of stages/*/weights.txt, found none in $(MIRROR))
endif
mounted := $(filter docker,$(RUNNER))
VOLUMES-weights := $(if $(mounted),-v $(abspath $(MIRROR)):/mirror:ro)
endif
FLAGS-weights := --mirror $(if $(mounted),/mirror,$(MIRROR))
endif
$(foreach file,$(FILES),$(call extra,weights,$(W)/$(file),,--name $(file)))
made = $(filter $(D)/sr-train/% $(FILES:%=$(W)/%),$(1))

ifneq ($(SOURCE),eurosat)
# --- $(call enlarge,METHOD,SCALE,INPUT,FILE,WEIGHTS,rule or extra) ------------------------------------
enlarge = $(call $(6),sr-$(1),$(D)/sr-$(1)/x$(2)/$(4),$(3) $(call made,$(5)),\
	--src $(3) --weights $(5) --scale $(2) $(if $(filter $(D)/sr-train/%,$(5)),$(OWN-$(1))))
compared := $(if $(filter-out $(SR),$(VARIANTS)),extra,rule)
learn = $(call $(3),sr-train,$(weights),$(P)/training.h5,\
	--src $(P)/training.h5 --method $(method) --scale $(scale) $(SIZE-$(method)))
# $(call variant,EDSR-X2,its weights,rule or extra); wald.h5 is enlarged from the degraded split
variant = $(if $(filter $(D)/sr-train/%,$(2)),$(learn)) \
	$(foreach split,$(SPLITS),$(call enlarge,$(method),$(scale),$(P)/$(split).h5,$(split).h5,$(2),$(3))) \
	$(call enlarge,$(method),$(scale),$(call low,$(scale)),wald.h5,$(2),$(compared))
kind = $(if $(filter $(SR),$(1)),rule,extra)
$(foreach v,$(VARIANTS),$(strip $(call variant,$(v),$(call weights,$(v)),$(call kind,$(v)))))

$(foreach x,$(scales),$(call $(compared),sr-degrade,$(call low,$(x)),$(P)/testing.h5,\
	--src $(P)/testing.h5 --scale $(x)))
$(call $(compared),sr-eval,$(D)/sr-eval,$(P)/testing.h5 $(call big,wald) $(call big,testing),\
	--src $(P)/testing.h5 --wald $(call list,$(call big,wald)) \
	--enlarged $(call list,$(call big,testing)))

.PHONY: sr
sr: $(patsubst %,%.run.json,$(call big,training) $(call big,testing) $(D)/sr-eval) ## every super-resolved file, and their comparison
	@for made in $(call big,training) $(call big,testing) $(D)/sr-eval; do echo $$made; done
endif
