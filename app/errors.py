"""Errors that a person reads: each says what is wrong, where, and what to do about it."""


class AppError(Exception):
    """An error with its place and its cure.

    What a task may raise keeps these arguments: with them Celery makes the error anew in another process.

    Args:
        what: what is wrong, as a short sentence without a full stop.
        where: the file and line, variable, address or row that it is about.
        hint: what the reader can do about it.
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.hint}" if self.hint else text


class BadInputError(AppError):
    """What was given can't be used: a file, a value, an argument. Trying again without a change can't help."""


class UnavailableError(AppError):
    """Something that this program needs does not answer: the broker, the database, the mail server.

    Args:
        what: as of any error.
        where: as of any error.
        hint: as of any error.
        wait_s: seconds after which it asks to be tried again; a job that fails with it is not tried before.
    """

    def __init__(self, what: str, where: str = "", hint: str = "", *, wait_s: float = 0) -> None:
        super().__init__(what, where, hint)
        self.wait_s = wait_s
