"""Access beside the stock client of Rucio, and beside ``cp``: finding products, fetching them, putting them.

Run ``python benchmarks/access.py query``, ``retrieve`` or ``put``, with ``--help`` for the options of each. What is
compared with what stands in the modules of the three.
"""

from __future__ import annotations

import argparse

import access_put
import access_query
import access_retrieve

TABLES = {"query": access_query.main, "retrieve": access_retrieve.main, "put": access_put.main}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the table; --help tells them")
    options = parser.parse_args()
    TABLES[options.table](options.options)


if __name__ == "__main__":
    main()
