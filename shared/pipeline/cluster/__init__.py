"""The pipeline on a cluster: jobs of Slurm, or manifests for Kubernetes, from the same plan.

`python3 -m shared.pipeline.cluster` is what make calls; it needs nothing but the standard library,
like the rest of the pipeline. There is no scheduler here: the cluster's own one decides.
"""

from shared.pipeline.cluster.jobs import Cluster, Job, read_plan
from shared.pipeline.cluster.nodes import needed_file
from shared.pipeline.cluster.resources import read_resources
from shared.pipeline.cluster.slurm import submission

__all__ = ["Cluster", "Job", "needed_file", "read_plan", "read_resources", "submission"]
