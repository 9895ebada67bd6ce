"""A batch program: it checks REPORT_ORDERS orders, and writes a numbered line for each into its log.

REPORT_LOG is the log (/logs/report.log). REPORT_DONE, if set, is a file to create at the end: it tells a logshipper
that is no native sidecar that no more lines will come.

It uses the standard library alone: the program is one file, and its image is the official one of Python, not changed.
"""

import logging
import os
from pathlib import Path


def check(order: int) -> int:
    if order % 1000 == 999:
        raise ValueError(f"order {order} has no customer")
    return order * 7 % 100


def main() -> None:
    handler = logging.FileHandler(os.environ.get("REPORT_LOG", "/logs/report.log"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("report")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    total = 0
    orders = int(os.environ.get("REPORT_ORDERS", "1000"))
    for order in range(orders):
        try:
            total += check(order)
        except ValueError:
            log.exception("order %d", order)
        else:
            log.info("order %d is well", order)
    log.info("checked %d orders: %d in total", orders, total)
    handler.close()
    if done := os.environ.get("REPORT_DONE"):
        Path(done).touch()


if __name__ == "__main__":
    main()
