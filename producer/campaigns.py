"""The campaigns of the card world; a campaign's place here is its number in `Purchases`."""

from producer.campaign import Campaign
from producer.campaign_present import LostOrStolen, SkimmedMerchant
from producer.campaign_remote import AccountTakeover, CardTesting


def card_campaigns() -> tuple[Campaign, ...]:
    """Every way to steal; the shares add up to one."""
    return (
        CardTesting(share=0.28),
        AccountTakeover(share=0.24),
        LostOrStolen(share=0.24),
        SkimmedMerchant(share=0.24),
    )
