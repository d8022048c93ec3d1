"""Runs the Python blocks of a page in one namespace.

It is a program of its own and imports no project code, so it runs in any environment. Each line on
stdin is a JSON object with `code`, `page` and `line`. Each line on stdout is the result: what the
code printed and, if it failed, the traceback.
"""

import ast
import contextlib
import io
import json
import sys
import traceback
from typing import Any


def main() -> None:
    """Run the blocks from stdin until it ends."""
    sys.path[0] = ""  # as in an interactive interpreter: modules of the current folder
    answers = sys.stdout
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            error = _run(json.loads(line), namespace)
        answers.write(json.dumps({"printed": printed.getvalue(), "error": error}) + "\n")
        answers.flush()


def _run(block: "dict[str, Any]", namespace: "dict[str, Any]") -> "str | None":
    try:
        tree = ast.parse(block["code"], block["page"])
        ast.increment_lineno(tree, block["line"] - 1)
        exec(compile(tree, block["page"], "exec"), namespace)
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main()
