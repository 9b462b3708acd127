"""Rewrite the generated tables of README.md and of the documents from ``results/``."""

from __future__ import annotations

import sys
from pathlib import Path

from darkarcs.evaluation.tables import refresh_tables

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Refresh each page that holds a marked table, and name those that changed."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    for page in pages:
        has_table = "<!-- table:" in page.read_text(encoding="utf-8")
        if has_table and refresh_tables(page, REPOSITORY / "results"):
            sys.stdout.write(f"{page.relative_to(REPOSITORY)} changed\n")


if __name__ == "__main__":
    main()
