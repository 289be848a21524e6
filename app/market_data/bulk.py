"""Tells prices that are plainly in order, which go straight into the table by COPY, from all others.

Those (a price that a check might doubt, one of a day that is known, a line that can't be used) are left to the same
code that reads a folder hourly: this here only sorts the two apart, a batch of rows at a time, and rather calls too
much suspicious than too little.
"""

from collections.abc import Callable, Iterator, Sequence
from csv import reader
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.book import EVER, FOREVER, note_changes
from app.database import copy_into, copy_lines, storable
from app.market_data.backfill import Backfill
from app.market_data.checks import QUOTED_IN_HUNDREDTHS, REPEATS, TRADED, UNLIKE_PAID, USUAL_GAP_DAYS, WIDEST
from app.market_data.due import closes_of, directory
from app.market_data.histories import paid_prices
from app.market_data.models import PriceBatch
from app.market_data.providers.price_folder import COLUMNS, OPTIONAL, PRICE, cell, header_of, name_of, quote_of
from app.market_data.providers.terms import Quote
from app.market_data.store import COPIED, make_months, store_quotes

#: Of a row of Parquet, about.
_BYTES_A_ROW = 64
_MOST_SHOWN = 20
_EPOCH = date(1970, 1, 1).toordinal()
_LATER = np.iinfo(np.int64).max
_NEVER = np.iinfo(np.int64).min // 2
#: Binary fractions are off by less than this share.
_INEXACT = 1e-9
_FIRST_DAY = date(1900, 1, 1).toordinal() - _EPOCH
_NAME = ("scheme", "identifier", "namespace")
_NO_NAMESPACE = {OPTIONAL: ""}
#: Prices that are kept in memory, for they are right if another comes next.
_MOST_REPEATED = 100_000
#: Places of names that no tracked security has, and of such that need a closer look.
_UNKNOWN, _UNCLEAR = -1, -2

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]


class Load:
    """One file on its way into the table."""

    def __init__(
        self,
        session: Session,
        path: Path,
        batch: PriceBatch,
        *,
        order: Sequence[str],
        now: datetime,
        jump_limit: Decimal,
        are_major: bool,
    ) -> None:
        self.result = Backfill(path)
        self._session = session
        self._path = path
        self._batch = batch
        self._order = order
        self._now = now
        self._jump_limit = jump_limit
        self._are_major = are_major
        self._directory = directory(session)
        self._known = _Known(session, are_major=are_major)
        #: (securities,): the first day of which each has got a price.
        self._first_days = np.full(len(self._known.ids), _LATER)
        #: By security, what repeats the close before and may be followed by another price.
        self._repeated: dict[int, list[Quote]] = {}

    def run(self, at_once: int) -> None:
        """Load it."""
        for first_row, table in _tables(self._path, at_once, self._refuse):
            self.result.rows += len(table)
            self._load(first_row, table)
        self._store([*chain.from_iterable(self._repeated.values())], more_comes=False)
        self._note_changes()
        self._batch.new_prices, self._batch.untracked = self.result.new_prices, self.result.untracked
        self._batch.refused = [{"text": storable(words)} for words in self.result.refused]
        self._batch.refused_count = self.result.refused_count
        self._session.flush()

    def _load(self, first_row: int, table: pa.Table) -> None:
        days = _days(table["date"])
        prices = table["price"].cast(pa.string()).combine_chunks()
        floats, are_prices = _floats(prices)
        places, are_known, are_unknown, unclear = self._places(table)
        currencies = self._currencies(table["currency"])
        # In all time zones it is over.
        are_dated = (days >= _FIRST_DAY) & (days < self._now.astimezone(UTC).date().toordinal() - _EPOCH)
        is_good = are_dated & are_prices & (floats > 0) & (currencies >= 0)
        self.result.untracked += int((are_unknown & is_good).sum())
        plain = is_good & are_known & (currencies == self._known.currencies[places])
        rest = ~plain & ~(are_unknown & is_good)
        # What a doubtful row changes for those after it, the careful way knows; and which day is which security's.
        repeated = [self._known.place_of[security_id] for security_id in self._repeated]
        careful = np.unique(np.concatenate([places[rest & are_known], unclear, np.array(repeated, dtype=np.int64)]))
        plain = self._without(plain, careful, places)
        plain = self._without(plain, self._known.suspects(places, days, floats, plain, self._jump_limit), places)
        rest = ~plain & ~(are_unknown & is_good)
        self._copy(table, prices, days, places, plain, first_row=first_row)
        self._known.keep(places, days, floats, plain)
        self._store_carefully(first_row, table, np.flatnonzero(rest))
        self._known.look_up(self._session, np.unique(np.concatenate([places[rest & are_known], unclear])))

    def _note_changes(self) -> None:
        changed = np.flatnonzero(self._first_days != _LATER)
        days = self._first_days[changed].astype("datetime64[D]").tolist()
        note_changes(self._session, "security", dict(zip(self._known.ids[changed].tolist(), days, strict=True)))

    def _without(self, rows: _Bools, securities: _Ints, places: _Ints) -> _Bools:
        """Return rows without those of some securities."""
        if not len(securities):
            return rows
        left_out = np.zeros(len(self._known.ids), dtype=bool)
        left_out[securities] = True
        return rows & ~left_out[places]

    def _places(self, table: pa.Table) -> tuple[_Ints, _Bools, _Bools, _Ints]:
        """Return which security each row is about, where that is plain; where it is, and where it is none of ours.

        And which securities the other rows may be about.
        """
        columns = [table[name].cast(pa.string()).combine_chunks().dictionary_encode() for name in _NAME]
        codes = np.zeros(len(table), dtype=np.int64)
        for column in columns:
            indices = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
            codes = codes * (len(column.dictionary) + 1) + indices
        distinct, firsts, numbers = np.unique(codes, return_index=True, return_inverse=True)
        found = np.zeros(len(distinct), dtype=np.int64)
        unclear: set[int] = set()
        for number, row in enumerate(firsts.tolist()):
            found[number], candidates = self._place(*(str(table[name][row].as_py() or "") for name in _NAME))
            unclear.update(candidates)
        places = found[numbers]
        return np.maximum(places, 0), places >= 0, places == _UNKNOWN, np.array(sorted(unclear), dtype=np.int64)

    def _place(self, scheme: str, value: str, namespace: str) -> tuple[int, Sequence[int]]:
        """Return the place of the security that a name is; of one that is unclear those that it is on some day."""
        name = name_of(scheme, value, namespace)
        if name is None:
            return _UNCLEAR, ()
        named = self._directory.named(*name)
        if not named:
            return _UNKNOWN, ()
        places = [self._known.place_of[security_id] for security_id, _ in named]
        (_, span), *more = named
        if more or (span.valid_from, span.valid_to) != (EVER, FOREVER):
            return _UNCLEAR, places
        return places[0], ()

    def _currencies(self, column: pa.ChunkedArray) -> _Ints:
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        codes = np.array([self._known.currency_codes.get(code, -1) for code in encoded.dictionary.to_pylist()] + [-1])
        found: _Ints = codes[encoded.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)]
        return found

    def _copy(self, table: pa.Table, prices: Any, days: _Ints, places: _Ints, plain: _Bools, *, first_row: int) -> None:
        rows = np.flatnonzero(plain)
        if not len(rows):
            return
        months = days[rows].astype("datetime64[D]").astype("datetime64[M]")
        make_months(self._session, (month.astype("datetime64[D]").astype(date) for month in np.unique(months)))
        # Month by month, for PostgreSQL writes to few partitions at once.
        rows = rows[np.argsort(months, kind="stable")]
        wanted = pa.array(rows)
        columns = [
            pa.array(self._known.ids[places[rows]]),
            pa.array(days[rows].astype(np.int32)).cast(pa.date32()),
            pa.scalar("1"),
            prices.take(wanted),
            table["currency"].cast(pa.string()).combine_chunks().take(wanted),
            pc.binary_join_element_wise(
                _escaped(storable(self._where)), pa.array(rows + first_row).cast(pa.string()), " "
            ),
            pa.scalar(self._now.isoformat()),
            pa.array(np.full(len(rows), self._batch.id)),
        ]
        with copy_into(self._session, f"prices ({COPIED})") as copy:
            copy.write(copy_lines(columns))
        self.result.new_prices += len(rows)
        np.minimum.at(self._first_days, places[rows], days[rows])

    def _store_carefully(self, first_row: int, table: pa.Table, rows: _Ints) -> None:
        quotes: list[Quote] = []
        for number, row in zip(rows.tolist(), table.take(pa.array(rows)).to_pylist(), strict=True):
            where = f"{self._where} {first_row + number}"
            try:
                quote = quote_of(
                    {**_NO_NAMESPACE, **{name: cell(value) for name, value in row.items()}}, where, self._directory
                )
            except ValueError as error:
                self._refuse(f"{where}: {error}")
            else:
                if quote is None:
                    self.result.untracked += 1
                else:
                    quotes.append(quote)
        quotes, too_early = closes_of(self._session, quotes, now=self._now)
        for quote in too_early:
            self._refuse(f"{quote.source}: the session of {quote.price_date} is not over; load it again when it is")
        # Too many would fill the memory; of those one waits then, and the others come when the file is loaded again.
        more_comes = sum(map(len, self._repeated.values())) < _MOST_REPEATED
        before = [self._repeated.pop(each, []) for each in {quote.security_id for quote in quotes}]
        self._store([*chain.from_iterable(before), *quotes], more_comes=more_comes)

    def _store(self, quotes: Sequence[Quote], *, more_comes: bool) -> None:
        stored = store_quotes(
            self._session,
            quotes,
            batch_id=self._batch.id,
            provider=self._batch.provider,
            minor_units={},
            order=self._order,
            now=self._now,
            jump_limit=self._jump_limit,
            are_major=self._are_major,
            more_comes=more_comes,
        )
        for quote in stored.repeated:
            self._repeated.setdefault(quote.security_id, []).append(quote)
        self.result.new_prices += stored.new_prices
        self.result.doubted += len(stored.quarantined)
        self.result.known += len(quotes) - stored.new_prices - len(stored.quarantined) - len(stored.repeated)

    @property
    def _where(self) -> str:
        """The file, and what its rows are called: lines are not counted where a value may have several."""
        return f"{self._path.name}, {'row' if self._path.suffix == '.parquet' else 'price'}"

    def _refuse(self, words: str) -> None:
        self.result.refused_count += 1
        if len(self.result.refused) < _MOST_SHOWN:
            self.result.refused.append(words)


class _Known:
    """The newest price of each tracked security, as arrays, and what suspects need besides."""

    def __init__(self, session: Session, *, are_major: bool) -> None:
        rows = session.execute(_TRACKED).all()
        self.ids: _Ints = np.array([row.id for row in rows], dtype=np.int64)
        self.place_of = {row.id: place for place, row in enumerate(rows)}
        self.currency_codes = {code: number for number, code in enumerate(dict.fromkeys(row.currency for row in rows))}
        # One more than there are securities: rows that are about none look at the first.
        self.currencies: _Ints = np.array([*(self.currency_codes[row.currency] for row in rows), -1], dtype=np.int64)
        self._are_traded: _Bools = np.array([row.asset_class in TRADED for row in rows], dtype=bool)
        self._days: _Ints = np.full(len(rows), _NEVER)
        self._closes: _Floats = np.full(len(rows), np.nan)
        #: Whether something waits or was dropped that is newer than the newest price.
        self._are_doubted: _Bools = np.zeros(len(rows), dtype=bool)
        #: How often the close was the same as the one before.
        self._runs: _Ints = np.zeros(len(rows), dtype=np.int64)
        splits = session.execute(_SPLITS).all()
        self._split_places: _Ints = np.array([self.place_of[row.security_id] for row in splits], dtype=np.int64)
        self._split_days: _Ints = np.array([row.ex_date.toordinal() - _EPOCH for row in splits], dtype=np.int64)
        self._split_ratios: _Floats = np.array([row.new_units / row.old_units for row in splits], dtype=np.float64)
        #: Of securities that were never priced, what was paid for one last, and when.
        self._paid: dict[int, tuple[int, float]] = {}
        self.look_up(session, np.arange(len(rows)))
        for row in paid_prices(session, self.ids[self._days == _NEVER].tolist()):
            self._paid[self.place_of[row.security_id]] = row.trade_date.toordinal() - _EPOCH, float(row.paid)
        #: Whether a first price may be in hundredths.
        self._are_of_unknown_unit: _Bools = np.array(
            [
                not are_major and row.currency in QUOTED_IN_HUNDREDTHS and place not in self._paid
                for place, row in enumerate(rows)
            ],
            dtype=bool,
        )

    def look_up(self, session: Session, places: _Ints) -> None:
        """Read the newest prices of securities that were stored the careful way."""
        if not len(places):
            return
        for row in session.execute(_NEWEST, {"security_ids": self.ids[places].tolist()}):
            place = self.place_of[row.id]
            self._days[place] = row.price_date.toordinal() - _EPOCH
            # One in another currency is compared with nothing, which is suspicious enough.
            self._closes[place] = float(row.price) if row.currency == row.own_currency else np.nan
            self._runs[place] = REPEATS
        self._are_doubted[places] = False
        for row in session.execute(_NEWEST_DOUBTED, {"security_ids": self.ids[places].tolist()}):
            place = self.place_of[row.security_id]
            self._are_doubted[place] = row.price_date.toordinal() - _EPOCH > self._days[place]

    def suspects(self, places: _Ints, days: _Ints, prices: _Floats, rows: _Bools, jump_limit: Decimal) -> _Ints:
        """Return the securities of which a row might be doubted, or comes out of order."""
        which, order, starts = self._in_order(places, days, rows)
        if not len(which):
            return which
        day, price = days[order], prices[order]
        before_day, before = np.empty_like(day), np.empty_like(price)
        before_day[1:], before[1:] = day[:-1], price[:-1]
        before_day[starts], before[starts] = self._days[which[starts]], self._closes[which[starts]]
        gap = day - before_day
        is_first = before_day == _NEVER
        sessions = np.where(is_first, 0, np.maximum(gap, 0)) * 5 // 7
        runs = self._count_runs(which, price == before, starts)
        runs_before = np.empty_like(runs)
        runs_before[1:], runs_before[starts] = runs[:-1], self._runs[which[starts]]
        stood_still = self._are_traded[which] & (runs_before >= REPEATS - 1)
        widened = np.where(
            (gap <= USUAL_GAP_DAYS) | stood_still, 1.0, np.minimum(np.sqrt(sessions.astype(float)) - 0.01, WIDEST)
        )
        step = price / before * self._ratios(which, day, before_day)
        rise = float(jump_limit) * widened * (1 - _INEXACT)
        left = 1 - float(jump_limit)
        is_step_fine = (step <= 1 + rise) & (step >= left / (left + rise))
        is_repeat = self._are_traded[which] & (runs >= REPEATS)
        is_suspect = ~is_first & (~is_step_fine | is_repeat | (gap <= 0))
        is_suspect |= self._are_doubted[which] | is_first & self._are_of_unknown_unit[which]
        is_suspect[
            [row for row in starts if is_first[row] and self._is_unlike_paid(which[row], day[row], price[row])]
        ] = True
        found: _Ints = np.unique(which[is_suspect])
        return found

    def _is_unlike_paid(self, place: int, day: int, price: float) -> bool:
        """Whether the first price of all may be in another unit than what was paid."""
        if place not in self._paid:
            return False
        paid_day, paid = self._paid[place]
        times = price / paid
        of_it = self._split_places == place
        for split_day, ratio in zip(self._split_days[of_it], self._split_ratios[of_it], strict=True):
            if min(day, paid_day) < split_day <= max(day, paid_day):
                times *= ratio if paid_day < split_day else 1 / ratio
        least, most = (float(bound) for bound in UNLIKE_PAID)
        return max(times, 1 / times) >= least * (1 - _INEXACT) and max(times, 1 / times) <= most * (1 + _INEXACT)

    def keep(self, places: _Ints, days: _Ints, prices: _Floats, rows: _Bools) -> None:
        """Remember the newest prices of rows that were copied."""
        which, order, starts = self._in_order(places, days, rows)
        if not len(which):
            return
        price = prices[order]
        before = np.empty_like(price)
        before[1:] = price[:-1]
        before[starts] = self._closes[which[starts]]
        runs = self._count_runs(which, price == before, starts)
        ends = np.append(starts[1:], len(which)) - 1
        self._days[which[ends]], self._closes[which[ends]] = days[order][ends], price[ends]
        self._runs[which[ends]] = runs[ends]

    def _in_order(self, places: _Ints, days: _Ints, rows: _Bools) -> tuple[_Ints, _Ints, _Ints]:
        """Return rows by security and day: the security of each, which rows they are, and where securities begin."""
        order = np.flatnonzero(rows)
        keys = places[order] * (1 << 20) + days[order] + (1 << 19)
        if np.any(keys[1:] < keys[:-1]):
            order = order[np.argsort(keys, kind="stable")]
        which = places[order]
        return which, order, np.flatnonzero(np.diff(which, prepend=-1))

    def _count_runs(self, which: _Ints, is_same: _Bools, starts: _Ints) -> _Ints:
        """Return for each row how many closes in a row were the same before it."""
        is_reset = ~is_same
        is_reset[starts] = True
        rows = np.arange(len(which))
        runs = np.zeros(len(which), dtype=np.int64)
        runs[starts] = np.where(is_same[starts], self._runs[which[starts]] + 1, 0)
        resets = np.maximum.accumulate(np.where(is_reset, rows, 0))
        counted: _Ints = runs[resets] + rows - resets
        return counted

    def _ratios(self, which: _Ints, day: _Ints, before_day: _Ints) -> _Floats:
        """Return how many units one of the row before is at each row."""
        ratios = np.ones(len(which))
        keys = which * (1 << 20) + day + (1 << 19)
        at = np.searchsorted(keys, self._split_places * (1 << 20) + self._split_days + (1 << 19))
        is_there = at < len(keys)
        at, splits = at[is_there], np.flatnonzero(is_there)
        is_between = (which[at] == self._split_places[splits]) & (before_day[at] < self._split_days[splits])
        np.multiply.at(ratios, at[is_between], self._split_ratios[splits[is_between]])
        return ratios


def _tables(path: Path, at_once: int, refuse: Callable[[str], None]) -> Iterator[tuple[int, pa.Table]]:
    """Give a file's rows, some at a time, with the number of the first."""
    first = 1
    if path.suffix == ".parquet":
        with parquet.ParquetFile(path) as file:
            wanted = [name for name in header_of(file.schema_arrow.names) if name in COLUMNS]
            for batch in file.iter_batches(max(1, at_once // _BYTES_A_ROW), columns=wanted):
                yield first, _complete(pa.Table.from_batches([batch]))
                first += len(batch)
        return
    with path.open("rb") as content:
        header = header_of(next(reader([content.readline().decode("utf-8-sig")]), []))

    def skip(row: csv.InvalidRow) -> str:
        refuse(
            f"{path.name}, line {row.number}: it has {row.actual_columns} values, and the header {row.expected_columns}"
        )
        return "skip"

    wanted = [name for name in header if name in COLUMNS]
    reading = csv.open_csv(
        path,
        csv.ReadOptions(block_size=at_once, use_threads=False),
        csv.ParseOptions(invalid_row_handler=skip),
        csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted),
    )
    with reading as batches:
        for batch in batches:
            yield first, _complete(pa.Table.from_batches([batch]))
            first += len(batch)


def _complete(table: pa.Table) -> pa.Table:
    return table if OPTIONAL in table.column_names else table.append_column(OPTIONAL, pa.array([""] * len(table)))


def _days(column: pa.ChunkedArray) -> _Ints:
    """Return days since 1970; what is no date is before all time."""
    if not pa.types.is_date32(column.type):
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        known = np.array([_day(text) for text in encoded.dictionary.to_pylist()] + [_NEVER])
        found: _Ints = known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
        return found
    days: _Ints = column.cast(pa.int32()).cast(pa.int64()).fill_null(_NEVER).to_numpy()
    return days


def _day(words: str) -> int:
    try:
        return date.fromisoformat(words).toordinal() - _EPOCH
    except ValueError:
        return _NEVER


def _floats(prices: pa.Array) -> tuple[_Floats, _Bools]:
    """Return prices nearly, and which of them are plainly written."""
    are_plain = pc.fill_null(pc.match_substring_regex(prices, f"^(?:{PRICE.pattern})$"), False)
    floats = pc.if_else(are_plain, prices, "0").cast(pa.float64())
    return floats.to_numpy(zero_copy_only=False), are_plain.to_numpy(zero_copy_only=False)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


_TRACKED = text("SELECT id, currency, asset_class FROM securities WHERE tracked ORDER BY id")

_SPLITS = text(
    """
    SELECT security_id, ex_date, new_units, old_units
    FROM corporate_actions
    WHERE kind = 'split' AND security_id IN (SELECT id FROM securities WHERE tracked)
    """
)

_NEWEST = text(
    """
    SELECT s.id, s.currency AS own_currency, p.price_date, p.price, p.currency
    FROM securities AS s
    CROSS JOIN LATERAL (
        SELECT price_date, price, currency
        FROM prices
        WHERE security_id = s.id
        ORDER BY price_date DESC, version DESC
        LIMIT 1
    ) AS p
    WHERE s.id = ANY(:security_ids)
    """
)

_NEWEST_DOUBTED = text(
    """
    SELECT security_id, max(price_date) AS price_date
    FROM quarantined_prices
    WHERE state IN ('waiting', 'dropped') AND security_id = ANY(:security_ids)
    GROUP BY security_id
    """
)
