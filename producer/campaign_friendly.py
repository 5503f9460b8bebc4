"""First-party fraud: the holder buys, enjoys and then denies it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.campaign import (
    Loot,
    VictimPicker,
    holder_phones,
    holder_prefixes,
    moment,
    online_group,
    resale_shops,
    rob,
    steps,
)
from producer.cardholders import Cardholders
from producer.day import Purchases
from producer.habits import Scene

_PRONE_ONE_IN = 12


@dataclass(frozen=True, slots=True)
class FriendlyFraud:
    """A holder orders dear goods online from the own device and later disputes them as fraud.

    Evidence: scarce: one to three purchases within the hour that are dear for this holder, from a
    known device and address; the same few people do it again with their next card.
    """

    name: str = "friendly_fraud"
    share: float = 0.05
    size: float = 2.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One holder out of those who are prone to it."""
        culprit = pick(1, _prone(scene.holders))
        owner = np.repeat(np.arange(len(culprit)), rng.integers(1, 4))
        account = culprit[owner]
        loot = Loot(
            event_us=moment(scene, day, rng, len(culprit))[owner]
            + steps(owner, rng.exponential(900.0, len(owner)) + 120.0),
            account=account,
            merchant=resale_shops(online_group(len(owner)), scene, rng, tries=4),
            city=scene.holders.home[account],
            scale=scene.holders.spend[account] * 2.0,
            device=holder_phones(scene, account, day),
            prefix=holder_prefixes(scene, account, day),
        )
        return rob(scene, loot, rng)


def _prone(holders: Cardholders) -> NDArray[np.int64]:
    """The accounts of people who would."""
    return np.flatnonzero(holders.device_phase % _PRONE_ONE_IN == 0)
