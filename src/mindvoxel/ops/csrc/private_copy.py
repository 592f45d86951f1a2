"""Copy a shared oneDNN 3 under a name of our own: `private_copy.py LIBRARY FOLDER`, prints the library to link against.

MindSpore brings a libdnnl.so.3 too, built without OpenMP, and the loader takes one library per name: the operator would
get MindSpore's copy, which cannot run it. The new name is as long as the old one, so that it can be written over it.
"""

import sys
from pathlib import Path

TAKEN = b"\0libdnnl.so.3\0"
OURS = b"\0libmvdnnl.so\0"


def main() -> int:
    library, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    content = library.read_bytes()
    places = content.count(TAKEN)
    if places > 1:
        sys.stderr.write(f"{library} names itself more than once\n")
        return 1
    if places == 1:
        library = folder / OURS.strip(b"\0").decode()
        library.write_bytes(content.replace(TAKEN, OURS))
    sys.stdout.write(str(library))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
