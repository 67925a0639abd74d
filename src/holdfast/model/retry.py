"""When a failed attempt is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import Fatal, PayloadError, RetryAfter, UsageError


@dataclass(frozen=True, slots=True)
class Retry:
    """A step's retry policy: exponential backoff with jitter.

    Attributes:
        max_attempts: tries in all, the first included; 1 or more.
        initial: seconds before the second attempt.
        factor: each delay is this many times the one before; 1 or more.
        maximum: the longest delay in seconds.
        jitter: each delay is spread by up to this share of itself either way, 0 to 1.
        on: the exceptions that are tried again; others end the step at once.
        never: exceptions that are not tried again although ``on`` admits them.
    """

    max_attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 60.0
    jitter: float = 0.1
    on: type[Exception] | tuple[type[Exception], ...] = (Exception,)
    never: type[Exception] | tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise UsageError(f"Retry(max_attempts={self.max_attempts!r}): give a whole number, 1 or more")
        for name, low, high in (
            ("initial", 0.0, 1e9),
            ("factor", 1.0, 1e6),
            ("maximum", 0.0, 1e9),
            ("jitter", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"Retry({name}={value!r}): give a number from {low:g} to {high:g}")
        for name in ("on", "never"):
            kinds = getattr(self, name)
            if isinstance(kinds, type):
                object.__setattr__(self, name, (kinds,))
            elif not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                raise UsageError(f"Retry({name}={kinds!r}): give exception classes")
            else:
                object.__setattr__(self, name, tuple(kinds))


def retry_delay(policy: Retry, attempt: int, error: BaseException, jitter: float) -> float | None:
    """How long to wait before the next attempt.

    Args:
        policy: the step's policy.
        attempt: the attempt that failed; 1 for the first.
        error: what it raised.
        jitter: uniform in [0, 1), drawn by the caller.

    Returns:
        Seconds, or None when the step has failed for good: its attempts are used up, the error
        is ``Fatal``, a value could not be stored (which no further try would change), or the
        policy does not retry such an error.
    """
    if attempt >= policy.max_attempts or isinstance(error, Fatal | PayloadError | UsageError):
        return None
    if isinstance(error, RetryAfter):
        return error.seconds
    if not isinstance(error, policy.on) or isinstance(error, policy.never):
        return None
    try:
        delay = policy.initial * policy.factor ** (attempt - 1)
    except OverflowError:
        delay = policy.maximum
    return min(policy.maximum, min(policy.maximum, delay) * (1 + policy.jitter * (2 * jitter - 1)))
