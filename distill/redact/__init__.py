"""Redaction: secrets and personal data out of what is recorded, before it is stored. `Redactor` is the way in.

Knows nothing of SQL, HTTP, or where anything is stored. Names of people are out of scope.
"""

from distill.redact.redactor import Redactor as Redactor
