"""What goes wrong with data, by whose remedy it is: the data's owner or the environment's."""


class DataError(ValueError):
    """The data cannot be used as they are; the message says what was found and what is accepted."""


class DownloadError(ConnectionError):
    """A file could not be fetched; the message says from where, and where to put it by hand."""
