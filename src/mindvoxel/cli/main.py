"""The `mindvoxel` command: the name of one of COMMANDS, then that command's own flags."""

import importlib
import sys
from collections.abc import Sequence

COMMANDS = (
    *("download", "convert", "verify", "plan", "preprocess", "create_csv", "phantom"),
    *("train", "cross_validate", "results", "eval", "predict", "score", "export"),
)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write(f"usage: mindvoxel {{{'|'.join(COMMANDS)}}} ...; mindvoxel COMMAND --help says more\n")
        return 0 if words else 2
    if words[0] not in COMMANDS:
        sys.stderr.write(f"error: command {words[0]!r} is unknown; choose one of {', '.join(COMMANDS)}\n")
        return 2
    return importlib.import_module(f"mindvoxel.cli.{words[0]}").main(words[1:])


if __name__ == "__main__":
    raise SystemExit(main())
