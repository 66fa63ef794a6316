"""Which rows to take, and reading them: in order, or as a table of MATLAB's says."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.names import is_utf8
from shared.patches import Rows, list_rows

Column = NDArray[np.int64]


def read_rows(rows: Rows, which: NDArray[np.integer]) -> NDArray[Any]:
    """Stored values of any rows in any order; one read for every run of consecutive ones."""
    order = np.argsort(which, kind="stable")
    ordered = which[order]
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1)
    parts = [rows.raw(slice(int(run[0]), int(run[-1]) + 1)) for run in runs]
    if len(parts) == 1 and (order[1:] > order[:-1]).all():
        return parts[0]
    values = np.empty((len(which), *parts[0].shape[1:]), parts[0].dtype)
    values[order] = np.concatenate(parts)
    return values


def rows_of(table: Path, name: str, classes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Zero-based source rows that a table selects, in its order.

    Args:
        table: CSV file or MATLAB file with the columns Index (1-based) and Label (1 to K).
        name: which of several tables in a MATLAB file; may be empty when there is one.
        classes: (N,) zero-based class of every source row.

    Raises:
        StageError: no such table or column, an index or a label that the file does not have there.
    """
    columns = _matlab(table, name) if table.suffix.lower() == ".mat" else _csv(table)
    index, label = (_numbers(table, columns, want) for want in ("index", "label"))
    if not len(index):
        raise StageError(f"{table}: no rows")
    outside = (index < 1) | (index > len(classes))
    if outside.any():
        where = list_rows(np.flatnonzero(outside) + 1)
        raise StageError(f"{table}: Index: expected 1 to {len(classes)}; outside in table {where}")
    wrong = classes[index - 1] + 1 != label
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        mismatch = f"{label[first]}, in the file {classes[index[first] - 1] + 1}"
        where = list_rows(np.flatnonzero(wrong) + 1)
        raise StageError(f"{table}: Label is not the file's in table {where}: first {mismatch}")
    return index - 1


def _numbers(table: Path, columns: dict[str, Any], want: str) -> Column:
    if want not in columns:
        names = sorted(columns)
        raise StageError(f"{table}: expected a column {want.capitalize()!r}, found {names}")
    try:
        values = np.array([float(cell) for cell in np.asarray(columns[want]).ravel()])
        whole = values.astype(np.int64)
        if (whole != values).any():
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise StageError(f"{table}: {want.capitalize()}: expected whole numbers") from None
    return whole


def _csv(table: Path) -> dict[str, Any]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{table}: expected a CSV file or a .mat file ({error})") from None
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    uneven = [number for number, line in enumerate(lines, 1) if len(line) != len(header)]
    if uneven:
        raise StageError(f"{table}: line {uneven[0]}: expected {len(header)} cells")
    return {cell: [line[i] for line in lines[1:]] for i, cell in enumerate(header)}


def _matlab(table: Path, name: str) -> dict[str, Any]:
    if not is_utf8(table):
        expected = "expected a path in UTF-8, as the reader of MATLAB files needs it"
        raise StageError(f"{table}: {expected}; move the file")
    import matio  # scipy alone cannot read the class "table"

    try:
        tables = {key: kind[1] for key, kind in matio.whosmat(str(table)).items()}
        chosen = name or (next(iter(tables)) if len(tables) == 1 else "")
        if chosen not in tables:
            raise StageError(
                f"{table}: expected --table_name to be one of {sorted(tables)}, found {name!r}"
            )
        value = matio.load_from_mat(str(table), variable_names=[chosen])[chosen]
    except StageError:
        raise
    except Exception as error:  # the reader raises whatever its bytes lead it to
        raise StageError(f"{table}: not a readable MATLAB file ({error})") from None
    names = getattr(value, "columns", None)
    if names is None:
        raise StageError(f"{table}: {chosen}: expected a table, found {tables[chosen]}")
    return {str(column).lower(): value[column].to_numpy() for column in names}
