"""Columns that came later: a table of an older labq gets them when it is opened; its rows have NULL there."""

from __future__ import annotations

import logging

from sqlalchemy import Engine, MetaData, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn

log = logging.getLogger(__name__)


def add_missing(engine: Engine, metadata: MetaData) -> list[str]:
    """Add each nullable column that a table lacks; return their names, as ``table.column``.

    Doing it twice, or two servers at the same time, ends the same. Nothing is ever dropped or changed: an older
    labq reads and writes the tables as before.

    Raises:
        SQLAlchemyError: the database refused it, and the column is not there.
    """
    added = []
    for table in metadata.sorted_tables:
        have = _columns(engine, table.name)
        for column in table.columns:
            if column.name in have or not column.nullable:
                continue
            quoted = engine.dialect.identifier_preparer.quote(table.name)
            definition = CreateColumn(column).compile(dialect=engine.dialect)
            try:
                with engine.begin() as connection:
                    connection.execute(text(f"ALTER TABLE {quoted} ADD COLUMN {definition}"))
            except SQLAlchemyError:
                if column.name not in _columns(engine, table.name):  # another server was faster
                    raise
            else:
                added.append(f"{table.name}.{column.name}")
    if added:
        log.info("the records have new columns: %s", ", ".join(added))
    return added


def _columns(engine: Engine, table: str) -> set[str]:
    return {str(column["name"]) for column in inspect(engine).get_columns(table)}
