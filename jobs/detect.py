"""The job as it is given to Flink: `flink run -d … -py jobs/detect.py --kafka …`.

`python -m jobs.submit` builds that command line. The arguments are described by `--help`.
"""

from __future__ import annotations

import os
import sys

from jobs.settings import parse_settings
from jobs.topics import span_partitions
from jobs.topology import build


def main() -> None:
    """Check the topics and submit the job."""
    settings = parse_settings(sys.argv[1:], os.environ)
    environment = build(settings, partitions=span_partitions(settings))
    environment.execute(settings.name)


if __name__ == "__main__":
    main()
