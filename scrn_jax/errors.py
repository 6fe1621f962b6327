"""The error for what a user can mend: it names the file, the record and the mend."""


class UserError(ValueError):
    """Bad input from outside (a file, a flag, a config). The command line prints its message without a traceback."""
