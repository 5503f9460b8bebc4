"""Each campaign does what its description says, and none is given away by one raw field."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from contracts.columns import parse_transactions
from contracts.settings import load_settings
from producer.campaign import Campaign, holder_phones, holder_prefixes
from producer.campaign_friendly import FriendlyFraud
from producer.campaign_present import ImpossibleTravel, LostOrStolen, SkimmedMerchant
from producer.campaign_remote import AccountTakeover, CardTesting
from producer.campaign_ring import AtmRing, ColludingMerchant, MuleWallets
from producer.campaigns import campaigns_of
from producer.cardholders import make_cardholders, whereabouts
from producer.categories import CATEGORIES, WALLET_MCCS
from producer.day import (
    ATM_CHANNEL,
    CHIP,
    CONTACTLESS,
    LEGITIMATE,
    ONLINE_CHANNEL,
    Purchases,
    concatenate,
)
from producer.habits import Scene
from producer.markets import MARKETS
from producer.merchants import make_merchants
from producer.records import Writer
from producer.spec import DAY_US, HOUR_US, WorldSpec
from producer.world import World

DAY = 5
KAFKA = load_settings(Path(__file__).resolve().parents[2], environ={}).kafka
SPEC = WorldSpec(seed=11, start_day=20_000, cards=1000, merchants=600, fraud_rate=0.005)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Cardholders and merchants for thieves to choose from."""
    merchants = make_merchants(SPEC)
    return Scene(SPEC, merchants, make_cardholders(SPEC, merchants))


def strikes(scene: Scene, campaign: Campaign, count: int = 60) -> list[Purchases]:
    """Many campaigns that begin on DAY, each with its own randomness."""
    return [_strike(scene, campaign, np.random.default_rng([3, number])) for number in range(count)]


def _strike(scene: Scene, campaign: Campaign, rng: np.random.Generator) -> Purchases:
    def pick(count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        pool = np.arange(len(scene.holders)) if among is None else among
        return rng.choice(pool, min(count, len(pool)), replace=False)

    return campaign.strike(scene, DAY, pick, rng)


def own_runs(purchases: Purchases) -> list[Purchases]:
    """The purchases of each victim in time order."""
    ordered = purchases.take(np.argsort(purchases.event_us, kind="stable"))
    return [ordered.take(ordered.account == account) for account in np.unique(ordered.account)]


@pytest.mark.parametrize("campaign", campaigns_of("card"), ids=lambda campaign: campaign.name)
def test_a_campaign_has_its_stated_size_and_starts_on_its_day(
    scene: Scene, campaign: Campaign
) -> None:
    """The mean number of purchases is within a third of `size`; none happens before the day."""
    made = strikes(scene, campaign)
    assert np.mean([len(purchases) for purchases in made]) == pytest.approx(campaign.size, rel=0.34)
    start = SPEC.start_us + DAY * DAY_US
    assert all((purchases.event_us >= start).all() for purchases in made)


def test_the_card_world_has_every_campaign_there_is() -> None:
    """Nine ways to steal; the other presets use those that their means of payment allows."""
    names = {campaign.name for campaign in campaigns_of("card")}
    assert len(names) == 9
    for preset in MARKETS:
        assert {campaign.name for campaign in campaigns_of(preset)} <= names


def test_shares_of_campaigns_add_up_to_one() -> None:
    """The planned fraud is divided among the campaigns of each preset, no more and no less."""
    for preset in MARKETS:
        assert sum(campaign.share for campaign in campaigns_of(preset)) == pytest.approx(1.0)


def test_card_testing_tries_small_then_drains(scene: Scene) -> None:
    """A victim's first purchases are small digital ones; the last are several times larger."""
    runs = [run for made in strikes(scene, CardTesting()) for run in own_runs(made)]
    assert all((run.channel == ONLINE_CHANNEL).all() for run in runs)
    first = np.median([run.amount_minor[0] for run in runs])
    last = np.median([run.amount_minor[-1] for run in runs])
    assert last > 5 * first


def test_account_takeover_shops_online_from_one_new_device(scene: Scene) -> None:
    """All purchases are online from one device that no holder has; with malware, the victim's."""
    owned = {int(phone) for phone in holder_phones(scene, np.arange(SPEC.cards), DAY)}
    for malware_share, is_own in ((0.0, False), (1.0, True)):
        made = strikes(scene, AccountTakeover(malware_share=malware_share))
        for run in made:
            assert (run.channel == ONLINE_CHANNEL).all()
            assert len(np.unique(run.device)) == 1
            assert (int(run.device[0]) in owned) == is_own
        at_home = [(run.prefix == holder_prefixes(scene, run.account, DAY)).mean() for run in made]
        assert np.mean(at_home) == 1.0 if is_own else np.mean(at_home) < 0.1


def test_a_takeover_may_use_the_holders_own_device() -> None:
    """Only a minority of takeovers goes through malware on the victim's device."""
    assert 0.05 < AccountTakeover().malware_share < 0.5


def test_lost_card_is_used_in_person_in_bursts_where_the_holder_is(scene: Scene) -> None:
    """Three or more visits within hours, none online, in the holder's city of the day."""
    here = whereabouts(SPEC, scene.holders, DAY)
    for run in strikes(scene, LostOrStolen()):
        assert len(run) >= 3
        assert np.isin(run.channel, (CHIP, CONTACTLESS, ATM_CHANNEL)).all()
        assert (run.city == here[run.account]).all()
        assert np.ptp(run.event_us) < 12 * HOUR_US


def test_skimmed_cards_share_a_shop_and_surface_days_later(scene: Scene) -> None:
    """Victims have a favourite in common; nobody's card is used before three days have passed."""
    for made in strikes(scene, SkimmedMerchant(), count=20):
        victims = np.unique(made.account)
        common = set(scene.holders.favourites[victims[0], :6])
        for victim in victims[1:]:
            common &= set(scene.holders.favourites[victim, :6])
        assert common
        assert (made.event_us >= SPEC.start_us + (DAY + 3) * DAY_US).all()


def test_impossible_travel_is_in_person_in_another_city(scene: Scene) -> None:
    """The clone is never used where the holder is, and never online."""
    here = whereabouts(SPEC, scene.holders, DAY)
    for run in strikes(scene, ImpossibleTravel()):
        assert (run.city != here[run.account]).all()
        assert (run.channel != ONLINE_CHANNEL).all()


def test_atm_ring_empties_many_cards_in_one_city_within_hours(scene: Scene) -> None:
    """Only cash, at machines of a single city, several cards, within half a day."""
    for made in strikes(scene, AtmRing()):
        assert (made.channel == ATM_CHANNEL).all()
        assert (made.amount_minor % 1000 == 0).all()
        assert len(np.unique(made.city)) == 1
        assert len(np.unique(made.account)) >= 4
        assert np.ptp(made.event_us) < 12 * HOUR_US


def test_colluding_merchant_takes_many_cards_then_vanishes(scene: Scene) -> None:
    """One merchant, at least eight cards, all within nine days."""
    for made in strikes(scene, ColludingMerchant()):
        assert len(np.unique(made.merchant)) == 1
        assert len(np.unique(made.account)) >= 8
        assert np.ptp(made.event_us) < 9 * DAY_US


def test_friendly_fraud_uses_the_own_device_and_repeats(scene: Scene) -> None:
    """Device and address are the holder's, and a small circle of people does it repeatedly."""
    made = concatenate(strikes(scene, FriendlyFraud(), count=300))
    assert (made.device == holder_phones(scene, made.account, DAY)).all()
    assert (made.prefix == holder_prefixes(scene, made.account, DAY)).all()
    assert (made.channel == ONLINE_CHANNEL).all()
    assert len(np.unique(made.account)) < 0.15 * len(scene.holders)


def test_mule_wallets_pass_similar_sums_on_to_the_same_few(scene: Scene) -> None:
    """Two or more mules load at most two wallets, in nearly equal sums, from their own phones."""
    for made in strikes(scene, MuleWallets()):
        shops = scene.merchants.category[made.merchant]
        assert {CATEGORIES[shop].mcc for shop in shops} == set(WALLET_MCCS)
        assert (made.device == holder_phones(scene, made.account, DAY)).all()
        assert len(np.unique(made.account)) >= 2
        assert len(np.unique(made.merchant)) <= 2
        for run in own_runs(made):
            assert run.amount_minor.max() <= 1.3 * run.amount_minor.min()


@pytest.mark.parametrize(
    ("preset", "absent", "channel"),
    [("crypto", {"country", "latitude"}, "online"), ("atm", {"device_id", "ip_prefix"}, "atm")],
)
def test_presets_pay_their_own_way_and_lack_fields(
    preset: str, absent: set[str], channel: str
) -> None:
    """Crypto is online without places, cash comes from machines; both are robbed."""
    world = World(replace(SPEC, preset=preset))
    records = [r for day in range(9) for r in Writer(world, KAFKA).transactions(world.day(day))]
    rows = [orjson.loads(record.value) for record in records]
    assert parse_transactions([record.value for record in records]).bad == ()
    assert {row["channel"] for row in rows} == {channel}
    assert all(row[name] is None for row in rows for name in absent)
    assert sum(len(world.frauds(world.day(day))) for day in range(9)) > 10


def test_no_raw_field_separates_fraud_or_any_one_campaign() -> None:
    """Target-encoded on the first two thirds, no raw field reaches average precision 0.10 later."""
    world = World(SPEC)
    days = [world.day(number) for number in range(90)]
    purchases = concatenate([day.purchases for day in days])
    generation = np.concatenate([day.generation for day in days])
    fields = {
        "amount": np.digitize(purchases.amount_minor, np.geomspace(50, 1e6, 60)),
        "category": world.scene.merchants.category[purchases.merchant],
        "merchant": purchases.merchant,
        "channel": purchases.channel,
        "city": purchases.city,
        "device": purchases.device,
        "prefix": purchases.prefix,
        "hour": purchases.event_us // HOUR_US % 24,
        "card": purchases.account * 64 + generation,
    }
    targets = {"fraud": purchases.campaign != LEGITIMATE}
    for number, campaign in enumerate(world.campaigns):
        targets[campaign.name] = purchases.campaign == number
    for target, is_fraud in targets.items():
        for name, values in fields.items():
            assert encoded_average_precision(values, is_fraud) < 0.10, (target, name)


def encoded_average_precision(values: NDArray[np.int64], is_fraud: NDArray[np.bool_]) -> float:
    """Score the last third of the rows by each value's smoothed fraud share in the first two."""
    codes = np.unique(values, return_inverse=True)[1]
    cut = len(codes) * 2 // 3
    if not is_fraud[cut:].any():
        return 0.0
    seen = np.bincount(codes[:cut], minlength=codes.max() + 1)
    frauds = np.bincount(codes[:cut], is_fraud[:cut], codes.max() + 1)
    share = (frauds + 20 * is_fraud[:cut].mean()) / (seen + 20)
    order = np.argsort(-share[codes[cut:]], kind="stable")
    hits = is_fraud[cut:][order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
