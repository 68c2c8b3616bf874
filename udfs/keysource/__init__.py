"""Keys of tenants: made, wrapped, used, replaced and destroyed, with whatever keeps the master key.

    KeyRing ──► KeyShelf   what is on record of a tenant's keys; private parts only wrapped
       └──────► KeySource  what wraps and unwraps them: local, AWS KMS, Vault transit, Vault KV

`keys` is pure, `trust` as well. The sources are the only part of `udfs` that speaks to the outside.
"""
