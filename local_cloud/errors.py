"""What can go wrong in the local cloud."""


class LocalCloudError(Exception):
    """The local cloud cannot do what was asked; the message says why and what to do."""


class MotoChangedError(LocalCloudError):
    """Moto no longer has what a patch takes hold of."""
