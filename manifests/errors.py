"""The error a user can act on."""


class UserError(Exception):
    """Bad input or a missing piece, told in one clear sentence: which file, which row, what is wrong, what to do.

    Commands print it without a traceback and leave with exit status 2. Everything else that escapes is a bug and
    shows its traceback.
    """
