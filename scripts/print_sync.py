"""Prints `userkeep/sdk/_sync` from `userkeep/sdk/_async`, so that nobody writes the SDK twice.

    python scripts/print_sync.py           print
    python scripts/print_sync.py --check   exit with 1 where what is there was not printed so

A substitution that never matched is an error: it would be a rule about code that is gone.
"""

import re
import sys
from pathlib import Path

SDK = Path(__file__).parent.parent / "userkeep" / "sdk"
SOURCE, TARGET = SDK / "_async", SDK / "_sync"

HEAD = "# Printed by scripts/print_sync.py from _async/{name}: change it there.\n"

SUBSTITUTIONS = [
    (
        r"The SDK's calls, awaited\. This is the source; `_sync` is printed from it\.",
        "The SDK's calls, which wait for their answers.",
    ),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b_async\b", "_sync"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\b__anext__\b", "__next__"),
    (r"\banext\b", "next"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\banyio\b", "time"),
    (r"\bAsync([A-Z]\w+)", r"\1"),
]


def printed() -> dict[str, str]:
    """What each file of `_sync` must hold, by name.

    Raises:
        LookupError: a substitution has matched nowhere.
    """
    texts = {path.name: path.read_text("utf-8") for path in sorted(SOURCE.glob("*.py"))}
    for pattern, replacement in SUBSTITUTIONS:
        if not any(re.search(pattern, text) for text in texts.values()):
            raise LookupError(f"nothing in {SOURCE} matches {pattern!r}")
        texts = {name: re.sub(pattern, replacement, text) for name, text in texts.items()}
    return {name: HEAD.format(name=name) + text for name, text in texts.items()}


def main() -> int:
    """Print, or compare."""
    texts = printed()
    there = {path.name: path.read_text("utf-8") for path in TARGET.glob("*.py")}
    if "--check" in sys.argv[1:]:
        differing = sorted(name for name in texts | there if texts.get(name) != there.get(name))
        if differing:
            print(f"not as printed: {', '.join(differing)}; run `make print`", file=sys.stderr)
        return bool(differing)
    TARGET.mkdir(exist_ok=True)
    for name in there.keys() - texts.keys():
        (TARGET / name).unlink()
    for name, text in texts.items():
        (TARGET / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
