"""Identity providers: people who sign in at one, and programs with its tokens.

What a provider is trusted with is who somebody is. What they may do here follows from the grants
that an operator made for claims (`api.identity.grants`) and from memberships given by hand.
"""
