"""The whole of BeTrace on one machine: real servers, started, watched and stopped together.

`python -m deploy.embedded up|down|status` is the command line, `deploy.embedded.stack.Stack`
the same as a library. What each process is stands in `postgres`, `kafka`, `flink` and `apps`;
`supervisor` keeps them alive and knows nothing about what they do.
"""
