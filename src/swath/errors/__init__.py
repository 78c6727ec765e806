"""Define swath's exceptions, sorted by who caused the error and whether a retry can help.

Step Functions receives the class name as the error name, so the state machine's retry rules name
these classes.
"""


class SwathError(Exception):
    """Base class of every error that swath raises on purpose."""


class InputError(SwathError):
    """The user's input cannot be used; a retry does not help."""


class SceneError(InputError):
    """The scene cannot be opened, read, georeferenced or matched to the model."""


class LabelsError(InputError):
    """The labels cannot be read, or do not fit their scenes."""


class PackageError(InputError):
    """The model package is invalid or contradicts itself."""


class UnknownModelError(InputError):
    """The model chosen for a dropped scene is not deployed."""


class SettingsError(InputError):
    """A setting is missing or has an invalid value."""


class PayloadError(InputError):
    """A message between two steps does not match its schema."""


class SceneChangedError(InputError):
    """The object under the scene's key was replaced while the run was in progress."""


class RunIncompleteError(SwathError):
    """More tiles failed than the run tolerates, or a shard wrote no receipt."""


class GateError(SwathError):
    """A model package scores below the package in use, or below the required metrics."""


class ModelOutputError(SwathError):
    """The model's output for a tile contradicts its package's description, or contains NaN."""


class ModelTimeoutError(SwathError):
    """The model did not load, or did not return a batch's output, within its timeout."""


class OutOfMemoryError(SwathError):
    """Memory does not suffice for a batch of this many tiles; a smaller batch may fit."""


class NoGpuError(SwathError):
    """A GPU is present or paid for, but none is usable; swath does not fall back to the CPU."""


class TransientError(SwathError):
    """A service or a host failed, and a retry can succeed."""


class ShardInterruptedError(TransientError):
    """The host was reclaimed; the shard wrote a checkpoint, from which a retry resumes."""


class TrainingInterruptedError(TransientError):
    """The host was reclaimed; the training wrote a checkpoint, from which a retry resumes."""


class TrainingError(SwathError):
    """The training failed: the loss is NaN, or the exported model's outputs do not agree."""
