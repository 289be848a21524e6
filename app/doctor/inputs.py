"""What people give the program: settings, mappings, and decisions on prices."""

from pathlib import Path

from app.database import session_scope
from app.doctor.findings import Finding, State
from app.market_data import count_quarantined
from app.settings import Settings, env_file_warnings
from app.statements import load_mappings


def look_at_settings(env_file: Path | None) -> Finding:
    """Look for lines of the environment file that a person should know of."""
    warnings = env_file_warnings(env_file)
    return Finding(State.NOTE, "; ".join(warnings)) if warnings else Finding(State.OK, "all of them can be used")


def look_at_mappings(settings: Settings) -> Finding:
    """Look for mapping files that can't be used."""
    mappings = load_mappings(settings.statement_mappings_dir)
    if mappings.broken:
        return Finding(
            State.NOTE,
            "\n".join(mapping.error for mapping in mappings.broken),
            "Files that such a mapping may be for are refused until it is put right; all others are read.",
        )
    return Finding(State.OK, f"all {len(mappings.usable)} can be used" if mappings.usable else "there is none")


def look_at_prices() -> Finding:
    """Look for prices that wait for somebody."""
    with session_scope() as session:
        waiting = count_quarantined(session)
    if not waiting:
        return Finding(State.OK, "none waits in quarantine")
    return Finding(
        State.NOTE,
        f"in quarantine, where they count for nothing: {waiting:,}",
        "`python -m app prices quarantine` lists them; somebody must accept or drop them.",
    )
