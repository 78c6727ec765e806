"""Hold the assumptions behind the estimates: none of them is measured for a scene.

Pairs are the low and the high end of a range. docs/run-cost.md lists them for users.
"""

from __future__ import annotations

MIB_PER_VCPU = 1769
"""Memory in MiB with which a Lambda function has one vCPU.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
VCPUS_PER_GPU = 4
"""vCPUs of a host with one GPU, of the default instance types."""
CPU_RATIO = (0.5, 2.0)
"""Least and largest time of a cloud vCPU, as multiples of that of a CPU of this machine."""
LAMBDA_START_SECONDS = (1.0, 20.0)
"""Time until a function of `infer_shard` has loaded a model."""
BATCH_START_SECONDS = (120.0, 600.0)
"""Time until a host of Batch has started, pulled its image and loaded a model."""
ASYNC_START_SECONDS = (240.0, 900.0)
"""Time until the asynchronous endpoint has its first host."""
ASYNC_IDLE_SECONDS = 15 * 60
"""Time after which the asynchronous endpoint releases an idle host (docs/sagemaker.md)."""
SERVERLESS_START_SECONDS = (5.0, 60.0)
"""Time until the serverless endpoint has loaded a model."""
STEPS_SECONDS = (8.0, 60.0)
"""Time of all other steps: plan, merge, load and publish. The database may have to wake."""
STEPS_GB_SECONDS = (15.0, 150.0)
"""GB-s of the functions of these steps."""
RUN_TRANSITIONS = (7, 10)
"""State transitions of a run, without those of its shards: the states, and starts and ends."""
SHARD_TRANSITIONS = (2, 3)
"""State transitions of each shard in a Map."""
SHARD_PUTS = 4
"""Objects that a shard writes at most: detections, seams, samples and the receipt."""
MIN_SPOT_SHARE = 0.1
"""Smallest price of Spot as a share of the on-demand price.
https://aws.amazon.com/ec2/spot/pricing/ states discounts of up to 90%."""
MAX_RESPONSE_SECONDS = 60
"""Time in s within which a serverless endpoint must respond; this is a limit of AWS."""
