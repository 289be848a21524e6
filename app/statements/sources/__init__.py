"""Where custodians' statements come from: the inbox folder, and the providers whose answers are put into it."""

from app.statements.sources.exchange import Patience, SourceError
from app.statements.sources.fetch import PROVIDERS, Fetched, fetch_statements
from app.statements.sources.inbox import collect_inbox, reason_file

__all__ = ["PROVIDERS", "Fetched", "Patience", "SourceError", "collect_inbox", "fetch_statements", "reason_file"]
