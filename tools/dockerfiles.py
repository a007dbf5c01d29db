"""Write the Dockerfiles of batch and explain from that of predict.

Usage: python tools/dockerfiles.py
"""

from pathlib import Path

FUNCTIONS = Path(__file__).parent.parent / "functions"
TORCH = {"predict": "none", "batch": "none", "explain": "cpu"}
"""What each image has of torch unless the build is told otherwise."""


def dockerfile(function: str) -> str:
    """The Dockerfile of a function."""
    text = (FUNCTIONS / "predict" / "Dockerfile").read_text()
    for mine, theirs in {
        "ARG FUNCTION=predict\n": f"ARG FUNCTION={function}\n",
        "ARG TORCH=none\n": f"ARG TORCH={TORCH[function]}\n",
        "-f functions/predict/Dockerfile -t plant-disease/predict": (
            f"-f functions/{function}/Dockerfile -t plant-disease/{function}"
        ),
    }.items():
        if text.count(mine) != 1:
            raise ValueError(f"Not once in the Dockerfile of predict: {mine}")
        text = text.replace(mine, theirs)
    return text


if __name__ == "__main__":
    for name in TORCH:
        (FUNCTIONS / name / "Dockerfile").write_text(dockerfile(name))
