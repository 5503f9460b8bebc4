"""The campaigns of each preset; a campaign's place in the tuple is its number in `Purchases`."""

from producer.campaign import Campaign
from producer.campaign_friendly import FriendlyFraud
from producer.campaign_present import ImpossibleTravel, LostOrStolen, SkimmedMerchant
from producer.campaign_remote import AccountTakeover, CardTesting
from producer.campaign_ring import AtmRing, ColludingMerchant, MuleWallets


def campaigns_of(preset: str) -> tuple[Campaign, ...]:
    """Every way to steal what the preset pays with; the shares add up to one."""
    if preset == "crypto":
        return _crypto_campaigns()
    return _atm_campaigns() if preset == "atm" else _card_campaigns()


def _card_campaigns() -> tuple[Campaign, ...]:
    return (
        CardTesting(),
        AccountTakeover(),
        LostOrStolen(),
        SkimmedMerchant(),
        ImpossibleTravel(),
        AtmRing(),
        ColludingMerchant(),
        FriendlyFraud(),
        MuleWallets(),
    )


def _crypto_campaigns() -> tuple[Campaign, ...]:
    return (
        CardTesting(share=0.20),
        AccountTakeover(share=0.35),
        ColludingMerchant(share=0.15),
        MuleWallets(share=0.30),
    )


def _atm_campaigns() -> tuple[Campaign, ...]:
    return (
        LostOrStolen(share=0.30),
        SkimmedMerchant(share=0.25),
        ImpossibleTravel(share=0.15),
        AtmRing(share=0.30),
    )
