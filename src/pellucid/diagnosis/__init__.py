"""Diagnosis: conversations over many inputs that end in findings."""
