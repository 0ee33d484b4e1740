"""`python -m relay.client URL`: prints a stream."""

import argparse
import sys

from relay.client.printing import add_arguments, print_stream
from relay.client.session import StreamRefused


def main() -> str | None:
    """Returns what went wrong, for standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m relay.client",
        description="Prints the messages of a stream, each on a line; what is missing on standard error.",
    )
    parser.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8000/stream/")
    parser.add_argument("--channel", action="append", default=[], metavar="NAME")
    parser.add_argument("--token", help="sent in the Authorization field")
    add_arguments(parser)
    options = parser.parse_args()
    try:
        print_stream(options.url, options.channel, options.token, options.start, options.json)
    except ImportError as error:
        return f"error: {error}"
    except (StreamRefused, ValueError) as error:
        return f"error: {options.url}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
