"""What gives the classes of a labelled set away: leaks, duplicates, null tests of scenes."""

from darkarcs.audit.audit import AuditReport, SetAudit, audit, audit_images
from darkarcs.audit.duplicates import DuplicateReport, find_duplicates
from darkarcs.audit.leaks import Leak, find_leaks
from darkarcs.audit.null_tests import NullSample, NullTestReport, null_test

__all__ = [
    "AuditReport",
    "DuplicateReport",
    "Leak",
    "NullSample",
    "NullTestReport",
    "SetAudit",
    "audit",
    "audit_images",
    "find_duplicates",
    "find_leaks",
    "null_test",
]
