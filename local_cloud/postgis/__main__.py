"""`python -m local_cloud.postgis`: have PostGIS on this machine, before anything waits for it."""

import os
import sys

from local_cloud.errors import LocalCloudError
from local_cloud.postgis.installation import find_or_install
from local_cloud.server import POSTGIS_SERVER


def main() -> int:
    """Install PostGIS where it is missing; nothing to do where the user named a server."""
    if os.environ.get(POSTGIS_SERVER):
        return 0
    try:
        find_or_install()
    except LocalCloudError as error:
        sys.stderr.write(f"PostGIS: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
