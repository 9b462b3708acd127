"""Self-contained pages about runs, made from their result files alone."""

from darkarcs.report.explanations import write_explanations
from darkarcs.report.page import write_report

__all__ = ["write_explanations", "write_report"]
