"""The project's own errors: each names what went wrong, with which value, and what to do."""


class FraudError(Exception):
    """A problem stated as cause, value and remedy.

    Entry points print `str(error)` without a traceback and exit with `exit_code`.
    """

    exit_code = 2

    def __init__(self, cause: str, *, value: object = None, remedy: str = "") -> None:
        self.cause = cause
        self.value = value
        self.remedy = remedy
        super().__init__(self._sentence())

    @property
    def said(self) -> str:
        """What went wrong, and with which value."""
        return self.cause if self.value is None else f"{self.cause} (got {self.value!r})"

    def _sentence(self) -> str:
        return f"{self.said}. {self.remedy}" if self.remedy else self.said


class SettingsError(FraudError):
    """A settings file or variable is unknown, malformed or out of range."""


class BrokerError(FraudError):
    """Kafka cannot be reached, refuses us, or lost a topic."""


class TopicError(BrokerError):
    """A topic is missing, or has other partitions than what is kept about it was made for."""


class OffsetsExpiredError(BrokerError):
    """Records of a requested offset range are no longer in the topic."""


class StoreError(FraudError):
    """The feature store cannot be reached or refuses a write."""


class StateError(FraudError):
    """Feature state is missing, stale or half-written for the offset asked for."""


class RegistryError(FraudError):
    """The model registry cannot be reached or has no such model."""


class BundleError(RegistryError):
    """A model version is incomplete, or was made for other features than this code's."""


class ObjectStoreError(FraudError):
    """The object store cannot be reached or an object is damaged."""


class TrainingError(FraudError):
    """A training table cannot support learning: empty range, one class, too few frauds."""


class DataError(FraudError):
    """A file or mapping given by the user cannot be read as transactions."""


class StackError(FraudError):
    """A local service is missing, will not start, or does not become healthy."""


class StreamError(FraudError):
    """The streaming job cannot start, or its query ended with a failure."""


class TilesError(FraudError):
    """Tiles across cards are not complete up to a batch's clock, or no longer kept for it."""


class ReplayError(FraudError):
    """A process of a replay was ended from outside before its partition was done."""
