"""The campaigns of the card world; a campaign's place here is its number in `Purchases`."""

from producer.campaign import Campaign
from producer.campaign_friendly import FriendlyFraud
from producer.campaign_present import ImpossibleTravel, LostOrStolen, SkimmedMerchant
from producer.campaign_remote import AccountTakeover, CardTesting
from producer.campaign_ring import AtmRing, ColludingMerchant


def card_campaigns() -> tuple[Campaign, ...]:
    """Every way to steal; the shares add up to one."""
    return (
        CardTesting(),
        AccountTakeover(),
        LostOrStolen(),
        SkimmedMerchant(),
        ImpossibleTravel(),
        AtmRing(),
        ColludingMerchant(),
        FriendlyFraud(),
    )
