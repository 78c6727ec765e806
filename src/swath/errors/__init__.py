"""What can go wrong, sorted by whose fault it is and whether trying again can help.

The class name is the error name that Step Functions sees, so the state machine's retry rules are
written in terms of these classes.
"""


class SwathError(Exception):
    """The base of every error that swath raises on purpose."""


class InputError(SwathError):
    """What the user gave cannot be used; trying again changes nothing."""


class SceneError(InputError):
    """The scene cannot be opened, read, georeferenced or matched to the model."""


class LabelsError(InputError):
    """The labels cannot be read, or do not fit the scenes they are of."""


class PackageError(InputError):
    """The model package is not one, or contradicts itself."""


class UnknownModelError(InputError):
    """The scene was dropped for a model that is not deployed."""


class SettingsError(InputError):
    """A setting is missing or has a value that cannot be used."""


class PayloadError(InputError):
    """A message between two steps does not have the form that was agreed."""


class SceneChangedError(InputError):
    """The object under the scene's key was replaced while the run was under way."""


class RunIncompleteError(SwathError):
    """More tiles failed than the run tolerates, or a shard left no receipt."""


class GateError(SwathError):
    """A model package falls below the one in use, or below what was asked of it."""


class ModelOutputError(SwathError):
    """The model gave something for a tile that is not what its package promises, or NaN."""


class ModelTimeoutError(SwathError):
    """The model did not load, or gave no answer, in the time that it may take."""


class OutOfMemoryError(SwathError):
    """There is not the memory to show the model so many tiles at once; fewer may fit."""


class NoGpuError(SwathError):
    """There is a GPU here, or one is paid for, and none can be used: a CPU must not stand in."""


class TransientError(SwathError):
    """A service or a host failed in a way that trying again can mend."""


class ShardInterruptedError(TransientError):
    """The host was reclaimed; the shard kept its progress and goes on where it is run again."""


class TrainingInterruptedError(TransientError):
    """The host was reclaimed; the training left a checkpoint and goes on where it is run again."""


class TrainingError(SwathError):
    """The training came to nothing: the loss is NaN, or what was exported does not agree."""
