"""The console: server-rendered pages over the same services that the REST API calls.

pages (routes) -> views (values to show) -> templates (printing).
"""
