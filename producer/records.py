"""World days as Kafka records: keys, JSON values and record timestamps, in the order of sending."""

import heapq
from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

import orjson

from contracts.messages import SCHEMA_VERSION
from contracts.settings import KafkaSettings
from producer.cardholders import prefix_text
from producer.categories import CATEGORIES
from producer.day import CHANNEL_NAMES, NO_DEVICE, NO_PREFIX, ONLINE_CHANNEL, Day
from producer.delays import SOURCES
from producer.disputes import Labels
from producer.places import CITIES
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
    mark: str = ""


class Writer:
    """Makes the records of one world for the settings' topics."""

    def __init__(self, world: World, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._world = world
        merchants = world.scene.merchants
        self._merchant_ids: list[str] = merchants.ids.tolist()
        self._mccs = [CATEGORIES[category].mcc for category in merchants.category.tolist()]
        self._seats: list[int] = merchants.city.tolist()
        self._device = lru_cache(maxsize=None)(self._device_id)
        self._prefix = lru_cache(maxsize=None)(prefix_text)

    def day(self, number: int) -> Iterator[Record]:
        """Everything that world day `number` puts on Kafka, in the order of record timestamps."""
        day = self._world.day(number)
        labels = self._world.labels(number)
        parts = (self.transactions(day), self.truth(day), self.labels(labels))
        return heapq.merge(*parts, key=attrgetter("timestamp_us"))

    def transactions(self, day: Day) -> Iterator[Record]:
        """The day's transactions in time order."""
        columns = day.purchases
        rows = zip(
            self._cards(day),
            columns.event_us.tolist(),
            columns.merchant.tolist(),
            columns.amount_minor.tolist(),
            columns.channel.tolist(),
            columns.city.tolist(),
            columns.device.tolist(),
            columns.prefix.tolist(),
            strict=True,
        )
        topic = self._kafka.topic
        stem = f"{self._world.spec.fingerprint}-{day.number:05d}-"
        for number, (card, event_us, merchant, amount, channel, city, device, prefix) in enumerate(
            rows
        ):
            shop = CITIES[self._seats[merchant]]
            buyer = CITIES[city]
            value = {
                "schema_version": SCHEMA_VERSION,
                "transaction_id": f"{stem}{number:07d}",
                "event_time": event_us,
                "card_id": card,
                "merchant_id": self._merchant_ids[merchant],
                "amount_minor": amount,
                "merchant_category": self._mccs[merchant],
                "currency": shop.currency,
                "utc_offset_minutes": buyer.utc_offset_minutes,
                "country": shop.country,
                "latitude": None if channel == ONLINE_CHANNEL else buyer.latitude,
                "longitude": None if channel == ONLINE_CHANNEL else buyer.longitude,
                "channel": CHANNEL_NAMES[channel],
                "device_id": None if device == NO_DEVICE else self._device(device),
                "ip_prefix": None if prefix == NO_PREFIX else self._prefix(prefix),
            }
            sequence = (day.number, number)
            yield Record(topic, card, orjson.dumps(value), event_us, sequence, is_transaction=True)

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

    def _device_id(self, number: int) -> str:
        return f"d{self._world.spec.opaque('device', number)}"
