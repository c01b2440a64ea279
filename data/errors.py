"""What goes wrong with data, by whose remedy it is."""


class DataError(ValueError):
    """The data cannot be used as they are; the message says what was found and expected."""


class DownloadError(ConnectionError):
    """A file could not be fetched; the message says from where, and where to put it by hand."""


class DataWarning(UserWarning):
    """The data can be used, but their owner should know something about them."""
