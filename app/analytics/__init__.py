"""What an adviser shows a client about returns and gains: numpy in, numpy out. docs/conventions.md has each figure."""

from app.analytics.attribution import (
    Attribution,
    AttributionMethod,
    CurrencyAttribution,
    Effects,
    Linking,
    attribute_currencies,
    attribute_returns,
)
from app.analytics.contributions import Contributions, contribution, link_contributions
from app.analytics.exposure import Exposures, exposures, sum_by_label
from app.analytics.lots import (
    CostMethod,
    EventKind,
    Holding,
    HoldingEvent,
    Lot,
    Realised,
    Unrealised,
    follow_lots,
)
from app.analytics.returns import (
    MoneyWeighted,
    NoRate,
    Period,
    Returns,
    link_by_period,
    link_returns,
    modified_dietz,
    money_weighted,
    money_weighted_many,
    time_weighted,
)

__all__ = [
    "Attribution",
    "AttributionMethod",
    "Contributions",
    "CostMethod",
    "CurrencyAttribution",
    "Effects",
    "EventKind",
    "Exposures",
    "Holding",
    "HoldingEvent",
    "Linking",
    "Lot",
    "MoneyWeighted",
    "NoRate",
    "Period",
    "Realised",
    "Returns",
    "Unrealised",
    "attribute_currencies",
    "attribute_returns",
    "contribution",
    "exposures",
    "follow_lots",
    "link_by_period",
    "link_contributions",
    "link_returns",
    "modified_dietz",
    "money_weighted",
    "money_weighted_many",
    "sum_by_label",
    "time_weighted",
]
