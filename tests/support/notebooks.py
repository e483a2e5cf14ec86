"""Execute notebooks as Jupyter does, without it: cells in one namespace, their printed text and last value."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def run_notebook(path: Path) -> dict[str, Any]:
    """Execute a notebook in the present folder; return it with the outputs of this execution."""
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        number += 1
        cell["execution_count"] = number
        cell["outputs"] = _outputs("".join(cell["source"]), names, number)
    return notebook


def text_of(cell: dict[str, Any]) -> str:
    """The text of a cell's outputs."""
    parts = [
        output.get("text") or output["data"].get("text/plain", "") for output in cell["outputs"]
    ]
    return "".join("".join(part) for part in parts)


def pictures_of(cell: dict[str, Any]) -> list[bytes]:
    """The pictures (PNG) of a cell's outputs."""
    found = [output.get("data", {}).get("image/png") for output in cell["outputs"]]
    return [base64.b64decode(content) for content in found if content]


def _outputs(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    if value is not None and not source.rstrip().endswith(";"):
        text = repr(value).splitlines(keepends=True)
        result = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
        outputs.append({**result, "data": {"text/plain": text}})
    for figure in map(pyplot.figure, pyplot.get_fignums()):
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=60, metadata={"Software": None})
        picture = base64.b64encode(content.getvalue()).decode()
        outputs.append(
            {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}
        )
    pyplot.close("all")
    return outputs


def main(name: str) -> None:
    """Execute a notebook and store it with its outputs."""
    path = Path(name)
    notebook = run_notebook(path)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
