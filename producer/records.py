"""World days as Kafka records: keys, JSON values and record timestamps, in the order of sending."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

import orjson

from contracts.messages import SCHEMA_VERSION
from contracts.settings import KafkaSettings
from producer.day import Day, Purchases
from producer.delays import SOURCES
from producer.disputes import Labels
from producer.transaction_json import TransactionParts
from producer.world import World


class Record(NamedTuple):
    """One record to send; `sequence` is (world day, row) of the purchase that it is about.

    An imported record's `mark` becomes its header `import`; its `sequence` is (time, row).
    """

    topic: str
    key: str
    value: bytes
    timestamp_us: int
    sequence: tuple[int, int]
    source: str = ""
    is_transaction: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    mark: str = ""


class Writer:
    """Makes the records of one world for the settings' topics."""

    def __init__(self, world: World, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._world = world
        self._parts = TransactionParts(world.spec, world.scene.merchants)
        self._merchant_ids: list[str] = world.scene.merchants.ids.tolist()

    def day(self, number: int) -> list[Record]:
        """Everything that world day `number` puts on Kafka, in the order of record timestamps."""
        day = self._world.day(number)
        labels = self._world.labels(number)
        records = [*self.transactions(day), *self.truth(day), *self.labels(labels)]
        records.sort(key=attrgetter("timestamp_us"))
        return records

    def transactions(self, day: Day) -> Iterator[Record]:
        """The day's transactions in time order."""
        ids = self._world.transaction_ids(day.number, len(day))
        sequences = ((day.number, row) for row in range(len(day)))
        return self.render(day.purchases, self._cards(day), ids, sequences)

    def render(
        self,
        purchases: Purchases,
        cards: list[str],
        ids: Iterable[str],
        sequences: Iterable[tuple[int, int]],
    ) -> Iterator[Record]:
        """Purchases as transaction records, in the order given."""
        topic, parts = self._kafka.topic, self._parts
        surroundings, opening = parts.surroundings, parts.opening
        rows = zip(
            ids,
            sequences,
            cards,
            purchases.event_us.tolist(),
            map(parts.shops.__getitem__, purchases.merchant.tolist()),
            purchases.amount_minor.tolist(),
            purchases.channel.tolist(),
            purchases.city.tolist(),
            map(parts.device, purchases.device.tolist()),
            map(parts.prefix, purchases.prefix.tolist()),
            strict=True,
        )
        for name, sequence, card, event_us, shop, amount, channel, city, device, prefix in rows:
            value = (
                f'{{{opening},"transaction_id":"{name}","event_time":{event_us},'
                f'"card_id":"{card}",{shop},"amount_minor":{amount},'
                f"{surroundings[channel][city]},{device},{prefix}}}"
            )
            yield Record(topic, card, value.encode(), event_us, sequence, "", True)

    def labels(self, labels: Labels) -> Iterator[Record]:
        """Label records in time order."""
        rows = zip(
            self._world.card_ids(labels.account, labels.generation),
            labels.label_us.tolist(),
            labels.day.tolist(),
            labels.row.tolist(),
            labels.event_us.tolist(),
            labels.merchant.tolist(),
            labels.is_fraud.tolist(),
            labels.source.tolist(),
            strict=True,
        )
        for card, label_us, day, row, event_us, merchant, is_fraud, source in rows:
            transaction_id = self._world.transaction_id(day, row)
            value = {
                "schema_version": SCHEMA_VERSION,
                "transaction_id": transaction_id,
                "card_id": card,
                "merchant_id": self._merchant_ids[merchant],
                "event_time": event_us,
                "is_fraud": is_fraud,
                "label_time": label_us,
                "source": SOURCES[source].value,
            }
            yield Record(
                self._kafka.labels_topic,
                transaction_id,
                orjson.dumps(value),
                label_us,
                (day, row),
                str(value["source"]),
            )

    def truth(self, day: Day) -> Iterator[Record]:
        """The day's frauds as their author knows them, in time order."""
        cards = self._cards(day)
        for row in self._world.frauds(day).tolist():
            transaction_id = self._world.transaction_id(day.number, row)
            event_us = int(day.purchases.event_us[row])
            value = {
                "schema_version": SCHEMA_VERSION,
                "transaction_id": transaction_id,
                "card_id": cards[row],
                "event_time": event_us,
                "campaign": self._world.campaigns[int(day.purchases.campaign[row])].name,
            }
            sequence = (day.number, row)
            topic = self._kafka.truth_topic
            yield Record(topic, transaction_id, orjson.dumps(value), event_us, sequence)

    def _cards(self, day: Day) -> list[str]:
        return self._world.card_ids(day.purchases.account, day.generation)
