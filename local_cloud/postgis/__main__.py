"""Install PostGIS on this machine, before anything needs it: `python -m local_cloud.postgis`."""

import os
import sys

from local_cloud.errors import LocalCloudError
from local_cloud.postgis.database import POSTGIS_SERVER_VARIABLE
from local_cloud.postgis.installation import find_or_install


def main() -> int:
    """Install PostGIS if it is missing; do nothing if the user named a server."""
    if os.environ.get(POSTGIS_SERVER_VARIABLE):
        return 0
    try:
        find_or_install()
    except LocalCloudError as error:
        sys.stderr.write(f"PostGIS: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
