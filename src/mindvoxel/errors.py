"""The two ways a command can end badly, told apart by its exit status."""


class InputError(ValueError):
    """The user's input is at fault: one sentence with the file, what was found and what is needed. Exit status 2."""


class WorkError(RuntimeError):
    """The work itself failed, on good input: one sentence with what to do. Exit status 1."""
