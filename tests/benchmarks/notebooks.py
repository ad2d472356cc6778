"""Execute the tutorials where they are, and keep one picture of each.

    python tests/benchmarks/notebooks.py              all of them, about five minutes on two cores
    python tests/benchmarks/notebooks.py 01 03        these

`pytest -m tutorials` runs them too, with the solutions of their exercises, and keeps nothing.
"""

import base64
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "tutorials"
PICTURE = {"00": 0, "01": 0, "02": 1, "03": 0, "04": 1, "05": 0}  # which of a notebook's pictures


def execute(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    started = time.monotonic()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    print(f"{file.name}: {time.monotonic() - started:.0f} s")
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    pictures = []
    for cell in notebook.cells:
        cell.metadata.clear()
        outputs: list = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text += output.text  # pieces of one text
            else:
                outputs.append(output)
            if "image/png" in output.get("data", {}):
                pictures.append(base64.b64decode(output.data["image/png"]))
        if cell.cell_type == "code":
            cell.outputs = outputs
    nbformat.write(notebook, file)
    (FOLDER / "pictures").mkdir(exist_ok=True)
    (FOLDER / "pictures" / f"{file.stem}.png").write_bytes(pictures[PICTURE[file.stem[:2]]])


if __name__ == "__main__":
    for file in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or file.stem[:2] in sys.argv[1:]:
            execute(file)
