"""Joins a run to the decisions on its transactions: outcomes and labels follow them."""

from typing import Protocol

from contracts.settings import KafkaSettings, PolicySettings
from producer.bank import Bank
from producer.records import Record
from producer.verdicts import Verdict, VerdictFollower, followed_up
from producer.world import World


class Verdicts(Protocol):
    """Where decisions come from."""

    def poll(self) -> list[Verdict]:
        """What has been decided since the last call, in order per partition."""


class Aftermath:
    """Lets the decisions shape what a run sends besides its transactions.

    `followed_up` is the last decision per partition that an outcome has followed already.
    """

    def __init__(
        self, bank: Bank, verdicts: Verdicts, labels_topic: str, followed_up: dict[int, int]
    ) -> None:
        self._bank = bank
        self._verdicts = verdicts
        self._labels_topic = labels_topic
        self._followed_up = followed_up

    def allows(self, record: Record) -> bool:
        """False for a dispute of a purchase that was stopped."""
        return record.topic != self._labels_topic or not self._bank.is_silent(record.key)

    def arrived(self, world_us: int) -> list[Record]:
        """Outcomes of new decisions, and findings that the world's clock has reached."""
        outcomes = []
        for verdict in self._verdicts.poll():
            outcome = self._bank.hear(verdict)
            is_new = verdict.offset > self._followed_up.get(verdict.partition, -1)
            if outcome is not None and is_new:
                outcomes.append(outcome)
        return [*outcomes, *self._bank.findings(world_us)]


def open_aftermath(kafka: KafkaSettings, policy: PolicySettings, world: World) -> Aftermath:
    """Follow the decisions on the settings' scores topic."""
    bank = Bank(world, kafka, policy)
    return Aftermath(bank, VerdictFollower(kafka), kafka.labels_topic, followed_up(kafka))
