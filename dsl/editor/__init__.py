"""Help for whoever writes rules in an editor: colours, what may come next, what a word means.

All of it is data computed from a text, a position and what was seen in a tenant's traffic; the
console and the language server of the `betrace` command only show it. Positions are offsets.
"""

from dsl.editor.completion import Completion, complete
from dsl.editor.fixes import Fix, fix_of
from dsl.editor.highlight import grammar, yaml_injection
from dsl.editor.hover import Hover, hover

__all__ = [
    "Completion",
    "Fix",
    "Hover",
    "complete",
    "fix_of",
    "grammar",
    "hover",
    "yaml_injection",
]
