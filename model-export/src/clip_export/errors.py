"""What a user can mend: these end a command with their message and exit code 1. Anything else is a bug."""


class ExportError(Exception):
    """Something about what was given is not usable; the message says what, and what to change."""


class BundleError(ExportError):
    """A bundle's files are not what its manifest says, or a folder is no bundle."""
