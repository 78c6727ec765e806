"""Calls a Lambda function as its runtime does, and says its error as its runtime does.

`python functions.py NAME EVENT`: the folder below `lambdas`, and the event as JSON. Lambda hands on
the error's class and message; the line that is printed here has the message.
"""

import json
import sys
import warnings
from importlib import import_module
from types import SimpleNamespace

from swath.errors import SwathError

EXIT_FAILED, EXIT_BUG = 1, 70


def main(name: str, event: str) -> int:
    # Powertools warns of a function that failed before it counted anything.
    warnings.filterwarnings("ignore", "No application metrics to publish")
    context = SimpleNamespace(
        function_name=name,
        memory_limit_in_mb=3008,
        invoked_function_arn=f"arn:aws:lambda:eu-west-1:1:function:{name}",
        aws_request_id="1",
    )
    try:
        import_module(f"lambdas.{name}.handler").handler(json.loads(event), context)
    except Exception as error:
        if not isinstance(error, SwathError):
            raise
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
