"""Visitor-facing: the gatekeeper, the visitor's own endpoints, the pointer document and the waiting page."""
