"""Where each number stands in the kernel's integer arrays, and the constants of the definition.

Times are milliseconds since the epoch, money is minor units, coordinates are 1/10,000 degree.
Changing anything here changes features or stored state: `LAYOUT_VERSION` is part of the hash.
"""

LAYOUT_VERSION = 1

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

FUTURE_ALLOWANCE = MINUTE
"""How far an event's own time may run ahead of its record's timestamp."""
LATENESS = DAY
"""How far behind its card's clock an event may be placed."""
LONGEST_WINDOW = 30 * DAY
PLACE_MEMORY = 7 * DAY
MEMORY_HOURS = 90 * 24
"""An event is remembered while its hour is less than this many hours behind the card's clock."""
CAP = 512
"""Events remembered per card; beyond it the one with the smallest effective time goes."""
AMOUNT_CLAMP = 50_000_000
"""Amounts enter statistics within plus or minus this, so that sums of squares fit 64 bits."""
SMALL_AMOUNT = 500
"""Below this an amount may be a test of a stolen card."""
NIGHT_HOURS = 6
"""Night is local time from 00:00 until this hour."""
CASH_CATEGORIES = (4829, 5947, 6010, 6011, 6012, 6051, 6540, 7800, 7801, 7802, 7995)
"""Categories (ISO 18245) that turn a card into cash: transfers, cash, gambling, gift cards."""
HASH_BITS = 40
"""Width of the remembered hashes: among 512 identifiers a false match has odds of 1 in 2e9."""
MISSING = -(1 << 60)
NEVER = 1 << 62

# Tiles: what happened across cards, by the partition's clock.
TILE_DELAY = MINUTE
"""A reader sees the tiles that ended this long before its own partition's clock."""
LABEL_DELAY = HOUR
"""The same of label tiles."""
TILE_LENGTHS = (MINUTE, HOUR, DAY, DAY)
"""Of the sections of an entity's tiles: by minute, hour and day, and labels by the day."""
S_MINUTE, S_HOUR, S_DAY, S_LABEL = range(4)
SECTIONS = 4
T_ID, T_COUNT, T_SUM, T_BITS = range(4)
"""Of a tile: its number since the epoch, events, sum of amounts, and where its card bits begin.

In a label tile the sum is of frauds that became known less those taken back: it may be negative.
"""
BIT_WORDS = 4
BITS = 64 * BIT_WORDS
"""A card sets bit XXH64 mod this; from how many are set the number of cards is estimated."""
TILE_WIDTH = T_BITS + BIT_WORDS
RISK_FRAUDS, RISK_EVENTS = 1, 200
"""Added to frauds and events before a share of fraud is taken: what an unknown merchant has."""

# Columns of an encoded event.
(
    E_TIME,
    E_AMOUNT,
    E_ID,
    E_MERCHANT,
    E_DEVICE,
    E_COUNTRY,
    E_CATEGORY,
    E_LATITUDE,
    E_LONGITUDE,
    E_FLAGS,
    E_LOCAL,
    E_OFFSET,
) = range(12)
EVENT_WIDTH = 12

FLAG_NIGHT = 1
FLAG_ONLINE = 2
FLAG_CASH = 4
FLAG_HOLIDAY = 8
FLAG_CONTACTLESS = 16
FLAG_ATM = 32
FLAG_CHIP = 64
REMEMBERED_FLAGS = FLAG_NIGHT | FLAG_ONLINE | FLAG_CASH

# Rows of a card's remembered events; the first ones hold what the event columns hold.
M_TIME, M_AMOUNT, M_ID, M_MERCHANT, M_DEVICE, M_COUNTRY, M_CATEGORY = range(7)
M_LATITUDE, M_LONGITUDE, M_FLAGS, M_NEXT_MERCHANT, M_NEXT_DEVICE, M_NEXT_COUNTRY = range(7, 13)
MEMORY_WIDTH = 13
ROOM = 2 * CAP + 2
"""Columns of a memory: events slide to its end before they are moved back to its start."""

# What is kept beside the remembered events of one card.
C_START, C_END, C_CAPPED = range(3)
CURSOR_WIDTH = 3

# Integer accumulators over the earlier events of one window.
(
    A_COUNT,
    A_SUM,
    A_SHIFTED,
    A_SHIFTED_SQUARES,
    A_MAX,
    A_MIN,
    A_MERCHANTS,
    A_DEVICES,
    A_COUNTRIES,
    A_NIGHT,
    A_ONLINE,
    A_CASH,
    A_SMALL,
    A_LOWER,
    A_SAME_MERCHANT,
) = range(15)
ACCUMULATORS = 15
