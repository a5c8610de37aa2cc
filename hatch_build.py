"""The data of a wheel or an sdist: every file, also those behind a link.

Models share parts by symbolic links (data/models/pocket-sd21/vae leads to pocket-sd15/vae).
Hatchling takes a folder once, under whichever of its names it meets first, and leaves the others
out. Here each model gets its own copy, so that each can be loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WholeData(BuildHookInterface):
    """Names each file of the data, and where it belongs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before anything is built; an editable install reads the checkout itself."""
        if version == "editable":
            return
        inside = Path("sdlearn", "_bundle") if self.target_name == "wheel" else Path()
        for folder, folders, files in os.walk(Path(self.root, "data"), followlinks=True):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            for path in (Path(folder, name) for name in files if not name.startswith(".")):
                place = inside / path.relative_to(self.root)
                build_data["force_include"][str(path)] = place.as_posix()
