"""A transaction's JSON, put together from parts that many transactions share.

Each part is encoded once; encoding every transaction whole would take three times as long.
"""

from functools import lru_cache

import orjson

from contracts.messages import SCHEMA_VERSION
from producer.cardholders import prefix_text
from producer.categories import CATEGORIES
from producer.day import CHANNEL_NAMES, NO_DEVICE, NO_PREFIX, ONLINE_CHANNEL
from producer.markets import MARKETS
from producer.merchants import Merchants
from producer.places import CITIES
from producer.spec import WorldSpec


class TransactionParts:
    """The parts for one world; what its market's messages lack is null in all of them."""

    def __init__(self, spec: WorldSpec, merchants: Merchants) -> None:
        self._spec = spec
        self._absent = MARKETS[spec.preset].absent
        self.opening = self._members(schema_version=SCHEMA_VERSION)
        self.shops = self._shops(merchants)
        self.surroundings = [
            [self._surroundings(channel, city) for city in range(len(CITIES))]
            for channel in range(len(CHANNEL_NAMES))
        ]
        self.device = lru_cache(maxsize=None)(self._device)
        self.prefix = lru_cache(maxsize=None)(self._prefix)

    def _members(self, **fields: object) -> str:
        """Fields as they stand within an object."""
        known = {name: None if name in self._absent else value for name, value in fields.items()}
        return orjson.dumps(known)[1:-1].decode()

    def _shops(self, merchants: Merchants) -> list[str]:
        columns = (merchants.ids.tolist(), merchants.category.tolist(), merchants.city.tolist())
        return [
            self._members(
                merchant_id=shop,
                merchant_category=CATEGORIES[category].mcc,
                currency=CITIES[city].currency,
                country=CITIES[city].country,
            )
            for shop, category, city in zip(*columns, strict=True)
        ]

    def _surroundings(self, channel: int, city: int) -> str:
        """Online the merchant does not learn where somebody is, only their local time."""
        place, is_remote = CITIES[city], channel == ONLINE_CHANNEL
        return self._members(
            channel=CHANNEL_NAMES[channel],
            utc_offset_minutes=place.utc_offset_minutes,
            latitude=None if is_remote else place.latitude,
            longitude=None if is_remote else place.longitude,
        )

    def _device(self, number: int) -> str:
        token = None if number == NO_DEVICE else f"d{self._spec.opaque('device', number)}"
        return self._members(device_id=token)

    def _prefix(self, number: int) -> str:
        return self._members(ip_prefix=None if number == NO_PREFIX else prefix_text(number))
