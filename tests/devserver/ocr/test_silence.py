"""Nothing goes over the network but answers."""

from __future__ import annotations

import subprocess
import sys


def test_the_runtimes_telemetry_is_off_before_it_is_loaded() -> None:
    """Whoever imports the room, or any part of it, has switched onnxruntime's reports off before it is imported."""
    program = (
        "import os, sys, importlib.abc\n"
        "class Watch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import mineru_pipeline.devserver.ocr.weights\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
