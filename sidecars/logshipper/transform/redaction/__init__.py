"""Redaction: replaces secrets and personal data before an event leaves the process.

texts ─► redactor ─► texts without what REDACT names
├─ redaction_presets: the patterns of the names, such as `card`
└─ pem_keys: the lines of a private key, each of which may be an event of its own
"""
