# The last mile: student, ONNX, bundle, the host with the accelerator. Included by the Makefile.
#
#   make distill export voyager
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

# The tool that ships is no stage: it talks to the engine, so it runs on the host, in an environment of its own.
BUNDLE ?= $(D)/voyager/resnet18
.PHONY: ship test-ship
ship: $(filter $(D)/voyager/%,$(BUNDLE:%=%.run.json)) $(if $(filter docker,$(RUNNER)),.images/export) | .venvs/ship/made ## DEST=user@host:dir or a folder: the export image and the bundle, loaded and checked there
	@.venvs/ship/bin/python -m shared.ship.main --bundle '$(BUNDLE)' --dest '$(DEST)' $(FLAGS-ship)

test-ship: .venvs/ship/made .venvs/voyager/made .venvs/pytest/made
	.venvs/ship/bin/python tests/under.py -q tests/ship
