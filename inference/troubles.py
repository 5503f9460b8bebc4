"""What may hold the scorers up, as counted by them: in words, and how to mend it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens meanwhile, and what to do."""

    text: str
    remedy: str


TROUBLES: Mapping[str, Trouble] = {
    "tiles_late": Trouble(
        "features across cards are not complete in time: the rules decide those batches",
        "See `fraud logs tiles`; a publisher that stamps event times must also promise frontiers",
    ),
    "store_failures": Trouble(
        "feature state cannot be had: the rules decide, and the state catches up afterwards",
        "See redis and kafka above, and `fraud logs stream`",
    ),
    "pin_failures": Trouble(
        "no model version could be agreed on or loaded for some batches: the rules decided them",
        "See redis and mlflow above, and `fraud logs stream`",
    ),
    "misplaced": Trouble(
        "records stand on another partition than their card's: the rules decide them",
        "Publishers must use Kafka's murmur2 partitioner (librdkafka: murmur2_random)",
    ),
    "ahead_of_clock": Trouble(
        "clock skew: records are stamped later than this machine's clock says; a minute ahead they "
        "wait for features across cards, then the rules decide",
        "Set the clocks of publishers and of this machine by one time server (NTP)",
    ),
}
"""By the name of the count; the scorers note when each was last counted."""
