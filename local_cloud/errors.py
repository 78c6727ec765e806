"""Define the errors of the local cloud."""


class LocalCloudError(Exception):
    """The local cloud cannot do what was requested; the message states the reason and a remedy."""


class MotoChangedError(LocalCloudError):
    """Moto no longer has the code that a patch replaces."""
