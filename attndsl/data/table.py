"""Tables of records, read from wherever they are, and split into what is trained on and what is held out."""

from __future__ import annotations

from attndsl.data.columns import MISSING, Table, row_digest
from attndsl.data.records import read_table
from attndsl.lazy import np

GROUP = "group"  # a column that says which rows belong together: they are held out together


def split_table(table: Table, fraction: float) -> tuple[Table, Table]:
    """The rows to train on and those held out, each in the table's order.

    Rows are ordered by the digest of their contents and held out from the front until there are `fraction` of all, so
    equal rows fall on one side, and where a row stands in a file changes nothing. Where there is a column `group`, its
    value decides instead of the contents: rows of one group stay together. Something is always left to train on, and
    where `fraction` is more than 0 something is held out, if there are two different rows.
    """
    digests = table.row_digests
    if GROUP in table.columns:
        digests = [row_digest([(GROUP, value)]) for value in table.columns[GROUP]]
    sizes: dict[bytes, int] = {}
    for digest in digests:
        sizes[digest] = sizes.get(digest, 0) + 1
    wanted, taken = fraction * len(table), 0
    chosen: set[bytes] = set()
    for digest in sorted(sizes):
        if taken >= wanted or len(chosen) + 1 == len(sizes):
            break
        chosen.add(digest)
        taken += sizes[digest]
    held = np.array([digest in chosen for digest in digests], dtype=bool)
    return table.take(np.flatnonzero(~held)), table.take(np.flatnonzero(held))


__all__ = ["GROUP", "MISSING", "Table", "read_table", "split_table"]
