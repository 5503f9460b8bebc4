"""World days as Kafka records: keys, JSON values and record timestamps, in the order of sending."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

import orjson

from contracts.messages import SCHEMA_VERSION
from contracts.settings import KafkaSettings
from producer.cardholders import prefix_text
from producer.categories import CATEGORIES
from producer.day import CHANNEL_NAMES, NO_DEVICE, NO_PREFIX, ONLINE_CHANNEL, Day, Purchases
from producer.delays import SOURCES
from producer.disputes import Labels
from producer.markets import MARKETS
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
    headers: tuple[tuple[str, str], ...] = ()
    mark: str = ""


class Writer:
    """Makes the records of one world for the settings' topics."""

    def __init__(self, world: World, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._world = world
        self._shops = _shops(world)
        self._merchant_ids: list[str] = world.scene.merchants.ids.tolist()
        self._device = lru_cache(maxsize=None)(self._device_id)
        self._prefix = lru_cache(maxsize=None)(_prefix_id)

    def day(self, number: int) -> list[Record]:
        """Everything that world day `number` puts on Kafka, in the order of record timestamps."""
        day = self._world.day(number)
        labels = self._world.labels(number)
        records = [*self.transactions(day), *self.truth(day), *self.labels(labels)]
        records.sort(key=attrgetter("timestamp_us"))
        return records

    def transactions(self, day: Day) -> Iterator[Record]:
        """The day's transactions in time order."""
        ids = (self._world.transaction_id(day.number, row) for row in range(len(day)))
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
        topic, absent = self._kafka.topic, MARKETS[self._world.spec.preset].absent
        rows = zip(
            ids,
            sequences,
            cards,
            purchases.event_us.tolist(),
            map(self._shops.__getitem__, purchases.merchant.tolist()),
            purchases.amount_minor.tolist(),
            purchases.channel.tolist(),
            map(_PLACES.__getitem__, purchases.city.tolist()),
            map(self._device, purchases.device.tolist()),
            map(self._prefix, purchases.prefix.tolist()),
            strict=True,
        )
        for name, sequence, card, event_us, shop, amount, channel, place, device, prefix in rows:
            is_remote = channel == ONLINE_CHANNEL
            value: dict[str, object] = {
                "schema_version": SCHEMA_VERSION,
                "transaction_id": name,
                "event_time": event_us,
                "card_id": card,
                "merchant_id": shop[0],
                "amount_minor": amount,
                "merchant_category": shop[1],
                "currency": shop[2],
                "utc_offset_minutes": place[0],
                "country": shop[3],
                "latitude": None if is_remote else place[1],
                "longitude": None if is_remote else place[2],
                "channel": CHANNEL_NAMES[channel],
                "device_id": device,
                "ip_prefix": prefix,
            }
            if absent:
                value |= dict.fromkeys(absent)
            yield Record(topic, card, orjson.dumps(value), event_us, sequence, "", True)

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

    def _device_id(self, number: int) -> str | None:
        if number == NO_DEVICE:
            return None
        return f"d{self._world.spec.opaque('device', number)}"


_PLACES = [(city.utc_offset_minutes, city.latitude, city.longitude) for city in CITIES]


def _prefix_id(number: int) -> str | None:
    return None if number == NO_PREFIX else prefix_text(number)


def _shops(world: World) -> list[tuple[str, str, str, str]]:
    """Per merchant: id, category code, currency, country."""
    merchants = world.scene.merchants
    columns = (merchants.ids.tolist(), merchants.category.tolist(), merchants.city.tolist())
    return [
        (shop, CATEGORIES[category].mcc, CITIES[city].currency, CITIES[city].country)
        for shop, category, city in zip(*columns, strict=True)
    ]
