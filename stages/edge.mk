# The last mile: student, ONNX, bundle, the host with the accelerator. Included by the Makefile.
#
#   make distill export voyager
#   make qat       the student fine-tuned for INT8, exported beside the one that it was
#   make students  the other published students
#   make ship DEST=user@host:dir   the export image and the bundle to another machine, loaded and checked there
#   make ship DEST=dir             the same into a folder, loaded and checked by the engine here
#   BUNDLE=folder                  another bundle than that of SOURCE
#   FLAGS-ship=--noload            copy only
$(call rule,distill,$(D)/distill/resnet18,$(PREPARED) $(D)/$(STUDENT_TEACHER),\
	--train $(P)/training.h5 --test $(P)/testing.h5 --teacher $(D)/$(STUDENT_TEACHER))
$(call rule,export,$(D)/export/resnet18,$(PREPARED) $(D)/distill/resnet18,\
	--src $(D)/distill/resnet18 --train $(P)/training.h5 --test $(P)/testing.h5)
$(call rule,voyager,$(D)/voyager/resnet18,$(PREPARED) $(D)/export/resnet18,\
	--src $(D)/export/resnet18 --train $(P)/training.h5 --test $(P)/testing.h5)

# Beyond `make all`: what fine-tuning with fake INT8 is worth, and the other published students.
STUDENTS := mobilenetv3_small_100 mobilenetv4_conv_medium efficientnet_b0
ASIDE += %-qat $(STUDENTS:%=$(D)/distill/%)
$(call extra,distill,$(D)/distill/resnet18-qat,$(PREPARED) $(D)/distill/resnet18 $(D)/$(STUDENT_TEACHER),\
	--train $(P)/training.h5 --test $(P)/testing.h5 --teacher $(D)/$(STUDENT_TEACHER) \
	--checkpoint $(D)/distill/resnet18/student.safetensors --qat 5)
$(call extra,export,$(D)/export/resnet18-qat,$(PREPARED) $(D)/distill/resnet18-qat,\
	--src $(D)/distill/resnet18-qat --train $(P)/training.h5 --test $(P)/testing.h5)
$(foreach name,$(STUDENTS),$(call extra,distill,$(D)/distill/$(name),$(PREPARED) $(D)/$(STUDENT_TEACHER),\
	--train $(P)/training.h5 --test $(P)/testing.h5 --teacher $(D)/$(STUDENT_TEACHER) --architecture $(name)))
# What these two verbs make, for the page that is asked for beside them.
MADE-qat := $(D)/distill/resnet18-qat $(D)/export/resnet18-qat
MADE-students := $(STUDENTS:%=$(D)/distill/%)
.PHONY: qat students
qat: $(D)/export/resnet18-qat.run.json $(D)/export/resnet18.run.json ## the student fine-tuned for INT8, exported beside the plain one
	@grep -A 8 '"qat"' $(D)/distill/resnet18-qat/metrics.json
students: $(MADE-students:%=%.run.json) ## the other published students, each with its twin

# The tool that ships is no stage: it talks to the engine, so it runs on the host, in an environment of its own.
# Without DEST nothing is made first: the tool says at once what is missing.
BUNDLE ?= $(D)/voyager/resnet18
quoted = '$(subst ','\'',$(1))'
.PHONY: ship test-ship
ship: $(if $(DEST),$(filter $(D)/voyager/%,$(BUNDLE:%=%.run.json)) $(if $(filter docker,$(RUNNER)),.images/export)) | .venvs/ship/made ## DEST=user@host:dir or a folder: the export image and the bundle, loaded and checked there
	@.venvs/ship/bin/python -m shared.tools.ship.main --bundle=$(call quoted,$(BUNDLE)) --dest=$(call quoted,$(DEST)) $(FLAGS-ship)

test-ship: .venvs/ship/made .venvs/voyager/made .venvs/pytest/made
	.venvs/ship/bin/python tests/under.py -q tests/ship
