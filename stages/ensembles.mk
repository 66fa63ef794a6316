# Ensembles: teachers; fusions of image and topology; their sums. Included by the Makefile.
#
#   make teacher fusion sumrule       every ensemble: each architecture in each mode, and their sums
#   make ablations                    the fusion ABLATED without super-resolution, without topology, from topology alone
#   ARCHITECTURES="resnet18"          backbones, any that timm has
#   MODES="rand sar"                  how members draw their bands
#   FUSION_VARIANTS="prepare edsr-x2" what the members of a fusion see in turn, image and topology
#   MEMBERS=3 EPOCHS=2 PIXELS=32      other than published, or than a small set is trained at
#   FLAGS-fusion="--device cpu"       any further flag; FLAGS-teacher likewise
ARCHITECTURES ?= $(if $(filter eurosat,$(SOURCE)),resnet18,resnet18 densenet201)
MODES ?= $(if $(filter eurosat,$(SOURCE)),rand,rand randrgb sar)
FIRST := $(firstword $(ARCHITECTURES))
STUDENT_TEACHER ?= teacher/$(FIRST)-$(firstword $(MODES))
ABLATED ?= $(FIRST)-$(firstword $(MODES))
OTHERS := $(ARCHITECTURES:%=teacher/%-$(firstword $(MODES)))

# --- settings: empty is the stage's default, which is the published one --------------------------------
TEACHER_BATCH-densenet201 := 512
ifneq ($(filter demo tiny,$(SOURCE)),)
TEACHER_BATCH := 32
FUSION_BATCH := 32
LEARNING := --lr 0.05 --cosine
MEMBERS-any := 2
EPOCHS-any := 10
EPOCHS-densenet201 := 4
PIXELS-any := 48
PIXELS-densenet201 := 32
# What `make all` makes of them: one architecture in all modes, of the others one. The rest takes longer than all else.
IN_ALL := teacher/$(FIRST)-% sumrule/teacher-$(FIRST) fusion/$(ABLATED) fusion/topology $(OTHERS)
endif
ifeq ($(SOURCE),tiny)
LEARNING := --lr 0.05
EPOCHS-any := 1
EPOCHS-densenet201 := 1
PIXELS-any := 32
IN_ALL := $(filter-out $(OTHERS),$(IN_ALL))
endif
ifeq ($(SOURCE),eurosat)
TEACHER_BATCH := 64
LEARNING := --lr 0.02
MEMBERS-any := 2
EPOCHS-any := 6
PIXELS-any := 64
endif
IN_ALL ?= %
ASIDE += %-observed %-pictures  # of `make ablations`

# $(call flag,size,PIXELS,ARCHITECTURE): what was asked for, else that architecture's own, else that of any.
flag = $(addprefix --$(1) ,$(firstword $($(2)) $($(2)-$(3)) $($(2)-any)))
trained = $(call flag,members,MEMBERS,$(1)) $(call flag,epochs,EPOCHS,$(1)) $(LEARNING)
network = --architecture $(1) --mode $(2) $(call flag,size,PIXELS,$(1)) $(trained)
# $(call ensemble,STAGE,NAME,INPUT PRODUCTS,FLAGS): a rule, in `make all` or not
ensemble = $(call $(if $(filter $(IN_ALL),$(filter-out $(ASIDE),$(1)/$(2))),rule,extra),$(1),$(D)/$(1)/$(2),$(3),$(4))
ARCHITECTURES-MODES := $(foreach a,$(ARCHITECTURES),$(MODES:%=$(a)-%))
architecture = $(firstword $(subst -, ,$(1)))
mode = $(lastword $(subst -, ,$(1)))

# --- $(call teacher,ARCHITECTURE-MODE) -----------------------------------------------------------------
teacher = $(call ensemble,teacher,$(1),$(PREPARED),--train $(P)/training.h5 --test $(P)/testing.h5 \
	$(call network,$(architecture),$(mode)) $(call flag,batch,TEACHER_BATCH,$(architecture)))
$(strip $(foreach each,$(ARCHITECTURES-MODES),$(call teacher,$(each))))

ifneq ($(SOURCE),eurosat)
# --- what fusion's members see: patches as observed, then super-resolved, each with its own topology ---
PUBLISHED_VARIANTS := prepare prepare vdsr-x2 edsr-x2 esrgan-x2 edsr-x4 swinir-x2 vdsr-x3 bsrnet-x2 realesrgan-x4
FUSION_VARIANTS ?= $(filter prepare $(SR),$(if $(filter so2sat,$(SOURCE)),$(PUBLISHED_VARIANTS),prepare swinir-x2))
ifneq ($(filter-out prepare $(VARIANTS),$(FUSION_VARIANTS)),)
$(error FUSION_VARIANTS: expected of prepare $(VARIANTS), found $(FUSION_VARIANTS))
endif
ifeq ($(strip $(FUSION_VARIANTS)),)
$(error FUSION_VARIANTS: expected at least one of prepare $(VARIANTS), found none)
endif
enlarged = sr-$(method)/x$(scale)
patches = $(foreach v,$(1),$(if $(filter prepare,$(v)),$(P),$(D)/$(call enlarged,$(v)))/$(2).h5)
features = $(foreach v,$(1),$(T)/$(if $(filter prepare,$(v)),prepare,$(subst /,-,$(call enlarged,$(v))))/$(2).h5)

# The grid is fitted once, on the training split as it was observed.
T := $(D)/tda
$(call rule,tda,$(T)/prepare/training.h5,$(PREPARED),--src $(P)/training.h5)
$(call rule,tda,$(T)/prepare/testing.h5,$(PREPARED) $(T)/prepare/training.h5,\
	--src $(P)/testing.h5 --grid $(T)/prepare/training.h5)
$(call rule,tda-plot,$(D)/tda-plot,$(PREPARED) $(T)/prepare/testing.h5,\
	--src $(P)/testing.h5 --features $(T)/prepare/testing.h5)
topology = $(call rule,tda,$(call features,$(1),$(2)),$(call patches,$(1),$(2)) $(T)/prepare/training.h5,\
	--src $(call patches,$(1),$(2)) --grid $(T)/prepare/training.h5)
$(strip $(foreach v,$(sort $(filter-out prepare,$(FUSION_VARIANTS))),\
	$(foreach split,$(SPLITS),$(call topology,$(v),$(split)))))

# --- $(call fuse,ARCHITECTURE-MODE,NAME,VARIANTS,topology or nothing) ----------------------------------
images = --train $(call list,$(call patches,$(1),training)) --test $(call list,$(call patches,$(1),testing))
topologies = --tda_train $(call list,$(call features,$(1),training)) --tda_test $(call list,$(call features,$(1),testing))
radar := --sar_train $(P)/training.h5 --sar_test $(P)/testing.h5
inputs = $(sort $(PREPARED) $(foreach split,$(SPLITS),$(call patches,$(1),$(split)) $(if $(2),$(call features,$(1),$(split)))))
fuse = $(call ensemble,fusion,$(2),$(call inputs,$(3),$(4)),$(call images,$(3)) $(if $(4),$(call topologies,$(3))) \
	$(if $(filter sar,$(mode)),$(radar)) $(call network,$(architecture),$(mode)) $(call flag,batch,FUSION_BATCH))
$(strip $(foreach each,$(ARCHITECTURES-MODES),$(call fuse,$(each),$(each),$(FUSION_VARIANTS),topology)))

# What each half achieves: the same without super-resolution, without topology, and without pictures.
$(call fuse,$(ABLATED),$(ABLATED)-observed,prepare,topology)
$(call fuse,$(ABLATED),$(ABLATED)-pictures,$(FUSION_VARIANTS),)
$(call ensemble,fusion,topology,$(call inputs,prepare,topology),--noimage $(call images,prepare) $(call topologies,prepare) \
	$(trained) $(call flag,batch,FUSION_BATCH))
ABLATIONS := $(D)/fusion/$(ABLATED)-observed $(D)/fusion/$(ABLATED)-pictures $(D)/fusion/topology
.PHONY: ablations
ablations: $(ABLATIONS:%=%.run.json) ## what super-resolution, topology and pictures are worth to a fusion
	@for made in $(ABLATIONS); do echo $$made; done

# --- sums: over the modes of an architecture, then over the architectures, each counting once ----------
# $(call add,NAME,FOLDERS): where there are two or more of them
add = $(if $(word 2,$(2)),$(call ensemble,sumrule,$(1),$(2),--src $(call list,$(2))))
modes = $(MODES:%=$(D)/$(1)/$(2)-%)
sums = $(foreach a,$(ARCHITECTURES),$(call add,$(1)-$(a),$(call modes,$(1),$(a)))) \
	$(if $(word 2,$(MODES)),$(call add,$(1),$(ARCHITECTURES:%=$(D)/sumrule/$(1)-%)))
$(strip $(call sums,teacher) $(call sums,fusion))
endif
