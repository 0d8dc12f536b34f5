"""Reads `go test -json` and tells it to a person.

While packages finish it prints one line each, and everything a failed test
printed. At the end it says how many tests did not run, which and why, and then
the test runner's own closing lines, which come last. Lines that are not JSON
(make's and the compiler's) pass through.
"""

import collections
import json
import sys


def main() -> int:
    output = collections.defaultdict(list)  # (package, test) -> what it printed
    closing = []
    skipped = []
    failed = []
    passed = 0

    for line in sys.stdin:
        try:
            event = json.loads(line)
            action = event["Action"]
        except (ValueError, KeyError, TypeError):
            print(line, end="", flush=True)
            continue
        package, test = event.get("Package", ""), event.get("Test")
        key = (package, test)

        if action == "build-output":
            print(event["Output"], end="", flush=True)
        elif action == "output":
            text = event["Output"]
            output[key].append(text)
            if test is None and text.startswith(("ok  ", "FAIL\t", "?   ")):
                closing.append(text.rstrip())
        elif action == "skip" and test is not None:
            skipped.append((package, test, reason(output.pop(key, []))))
        elif action == "pass" and test is not None:
            passed += 1
            output.pop(key, None)
        elif action == "fail" and test is not None:
            failed.append((package, test))
            print(f"--- failed: {package} {test}")
            print("".join(output.pop(key, [])), end="", flush=True)
        elif action in ("pass", "fail", "skip") and test is None:
            if action == "fail":
                failed.append((package, "(the package)"))
                for (other, _), text in sorted(output.items(), key=str):
                    # What ran when the program died, and the death's own words.
                    if other == package:
                        print("".join(text), end="")
            for stale in [k for k in output if k[0] == package]:
                del output[stale]
            if action != "skip":
                print(
                    f"finished: {package} ({action}, {event.get('Elapsed', 0):.1f} s)", flush=True
                )

    print(f"\n{passed} tests passed, {len(failed)} failed, {len(skipped)} DID NOT RUN")
    for package, test, why in sorted(skipped):
        print(f"did not run: {package} {test}: {why}")
    print()
    for text in closing:
        print(text)
    sys.stdout.flush()
    if not closing:
        print("go test reported no package", file=sys.stderr)
        return 1
    return 1 if failed else 0


def reason(lines: list[str]) -> str:
    """What t.Skip was given: the last line that names a place in a file."""
    for line in reversed(lines):
        place, colon, text = line.strip().partition(": ")
        if colon and ".go:" in place:
            return text
    return "(it gave no reason)"


if __name__ == "__main__":
    sys.exit(main())
