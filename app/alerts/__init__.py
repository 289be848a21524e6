"""What people want to be told of: alert rules on prices, portfolios, cash and breaks, and what does not happen in time.

`evaluate_rules` looks at all rules of some kinds, set by set; `dry_run` at one over past data, by the same statements.
"""

from app.alerts.dry_run import DryRun, WouldTell, dry_run
from app.alerts.evaluate import Evaluated, evaluate_rules
from app.alerts.kinds import KINDS_OF, Condition, Direction, Kind, default_rearm
from app.alerts.rules import (
    FiringView,
    NewRule,
    RuleView,
    add_rule,
    are_rules,
    list_firings,
    list_rules,
    mute_rule,
    remove_rule,
    show_rule,
    unmute_rule,
)
from app.alerts.watches import watch_run, watch_statements

__all__ = [
    "KINDS_OF",
    "Condition",
    "Direction",
    "DryRun",
    "Evaluated",
    "FiringView",
    "Kind",
    "NewRule",
    "RuleView",
    "WouldTell",
    "add_rule",
    "are_rules",
    "default_rearm",
    "dry_run",
    "evaluate_rules",
    "list_firings",
    "list_rules",
    "mute_rule",
    "remove_rule",
    "show_rule",
    "unmute_rule",
    "watch_run",
    "watch_statements",
]
