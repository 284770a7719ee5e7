"""Files that go together into a folder, where nothing is written over.

The folder may be anywhere, as a stick to carry them away on is: it is written into, not replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenprov.record.files import clear_left, create_durable, make_folder, refuse_there

ANOTHER = "Name another folder; nothing is written over."


def create_files(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Make each, the last one last; gives their paths. A making that was cut off is gone on with.

    Raises InputError where all are there, or one is with another content; DurabilityError.
    """
    made = {folder / name: data for name, data in files.items()}
    there = [path for path in made if path.exists()]
    for path in there:
        if len(there) == len(made) or path.read_bytes() != made[path]:
            refuse_there(path, ANOTHER)
    make_folder(folder)
    for path, data in made.items():
        clear_left(path)
        if path not in there:
            create_durable(path, data)
    return tuple(made)
