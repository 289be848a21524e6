"""Custodians' CSV and Parquet files, read by a mapping file each and loaded set-based, whatever their size."""

from app.statements.tables.mapping import Mapping, Mappings, load_mappings, mapping_for

__all__ = ["Mapping", "Mappings", "load_mappings", "mapping_for"]
