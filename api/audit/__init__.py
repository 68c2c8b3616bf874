"""The audit log: every decision about who may, and every change of what a tenant has.

`trail` writes changes in the transaction that makes them; `decisions` carries refusals through a
bounded outbox, so that no request waits for the log; `service` reads and exports it.
"""
