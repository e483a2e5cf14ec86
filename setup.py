"""Packaging of tfamt. The tools are configured in pyproject.toml.

Exact versions stand where another one is known to break something, ranges everywhere else.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "tfamt" / "version.py").read_text("utf-8"), re.MULTILINE
)[1]
README = HERE / "README.md"

# tensorflow-io 0.37.1 is the last release: it has wheels up to Python 3.12, and its operations run with TensorFlow 2.16
# and 2.17 only. For Python 3.13 TensorFlow begins at 2.20. For 3.14 there is a release candidate only, which pip does
# not take unless it is named.
OLDER = 'python_version < "3.13"'
NEWER = 'python_version >= "3.13"'
TENSORFLOW = {
    OLDER: "==2.17.1",
    'python_version == "3.13"': ">=2.20",
    'python_version > "3.13"': ">=2.22.0rc0",
}
# `tensorflow-cpu` leaves out what GPUs need. Where it has no wheels, `tensorflow` is built for the CPU as well.
HAS_CPU_BUILD = (
    '(sys_platform == "win32" or (sys_platform == "linux" and platform_machine == "x86_64"))'
)
NO_CPU_BUILD = (
    '(sys_platform == "darwin" or (sys_platform == "linux" and platform_machine != "x86_64"))'
)

BASE = [
    *(
        f"tensorflow-cpu{which}; {python} and {HAS_CPU_BUILD}"
        for python, which in TENSORFLOW.items()
    ),
    *(f"tensorflow{which}; {python} and {NO_CPU_BUILD}" for python, which in TENSORFLOW.items()),
    # Weights are named after the paths of Keras variables, which are Keras' to change.
    "keras>=3.15.1,<3.16",
    # TensorFlow 2.17 was built against these.
    f"numpy>=1.26.4,<2; {OLDER}",
    f"protobuf>=4.25.3,<5; {OLDER}",
    f"ml-dtypes>=0.4.1,<0.5; {OLDER}",
    "absl-py>=2.1",
    # FFmpeg 8. With version 17 and before, tests/tfamt/audio/test_formats.py fails or crashes.
    "av>=18",
    "lazy_loader>=0.4",
    "mido>=1.3",
    "numpy>=1.26.4",
    "pretty_midi>=0.2.11",
    "soundfile>=0.13",
    "soxr>=0.5",
    "tqdm>=4.66",
]
# Pictures of transcriptions (bin/transcribe --png).
PLOTS = ["matplotlib>=3.8"]
# Scores and their pictures (bin/evaluate, bin/compare).
EVALUATION = [*PLOTS, "mir_eval>=0.8.2", "scipy>=1.12"]

EXTRAS = {
    "plots": PLOTS,
    "evaluation": EVALUATION,
    # The files of `tensorflow` and `tensorflow-cpu` have the same names, and pip may write them in either order.
    # After installing this extra, put those that know CUDA on top (the scripts in bin/ do so by themselves):
    #   pip install --force-reinstall --no-deps tensorflow==VERSION
    "gpu": [f"tensorflow[and-cuda]{which}; {python}" for python, which in TENSORFLOW.items()],
    # Preparing data sets and training on them.
    "data": [
        *EVALUATION,
        "apache-beam>=2.60",
        "google-crc32c>=1.5",
        "indexed_gzip>=1.9",
        "pyroomacoustics>=0.10",
        # TensorBoard 2.17 comes with TensorFlow 2.17; it imports pkg_resources, which setuptools 81 no longer has.
        f"setuptools<81; {OLDER}",
        f"tensorboard>=2.21; {NEWER}",
        # There are no wheels for Windows: records are decoded with soundfile there, as on newer Pythons.
        f'tensorflow-io==0.37.1; {OLDER} and sys_platform != "win32"',
    ],
    # Running exported models elsewhere. The gRPC stubs of TensorFlow Serving would bring `tensorflow` over
    # `tensorflow-cpu`, see above; they work without it (the scripts in bin/ install them so):
    #   pip install --no-deps tensorflow-serving-api==VERSION
    "serving": [
        "grpcio>=1.60",
        f"onnx>=1.16,<1.18; {OLDER}",
        f"onnx>=1.18; {NEWER}",
        "onnxruntime>=1.18",
        "requests>=2.31",
        "tf2onnx>=1.17",
    ],
    "test": [
        "hypothesis>=6.100",
        "import-linter>=2.5",
        "mkdocs-material>=9.5",
        "mkdocstrings[python]>=0.26",
        "mypy>=1.11",
        # Tests that other runtimes read what bin/export writes.
        "openvino>=2025.0",
        "pandas>=2.2",
        "pytest>=8",
        "pytest-xdist>=3.5",
        "ruff>=0.6",
        # Tests that MIDI is read as another library reads it.
        "symusic>=0.5",
        "types-tqdm",
    ],
}

setup(
    name="tfamt",
    version=VERSION,
    description="Automatic music transcription with Keras: recordings to notes, and the training of models for it.",
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["tfamt", "tfamt.*", "pipelines", "pipelines.*"]),
        "tfamt.configs",
    ],
    package_dir={"tfamt.configs": "configs"},
    package_data={
        "tfamt.configs": ["*.flags"],
        "tfamt": ["py.typed", "models/*.npz", "models/*.md"],
        # What each package loads lazily stands in its stub.
        "": ["*.pyi"],
    },
    install_requires=BASE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "tfamt-ablation = pipelines.commands.ablation:cli",
            "tfamt-compare = tfamt.commands.compare:cli",
            "tfamt-compress = pipelines.commands.compress:cli",
            "tfamt-evaluate = pipelines.commands.evaluate:cli",
            "tfamt-exercises = pipelines.commands.exercises:cli",
            "tfamt-pianos = pipelines.commands.pianos:cli",
            "tfamt-export = tfamt.commands.export:cli",
            "tfamt-inspect = pipelines.commands.inspect:cli",
            "tfamt-prepare = pipelines.commands.prepare:cli",
            "tfamt-rooms = pipelines.commands.rooms:cli",
            "tfamt-runs = pipelines.commands.runs:cli",
            "tfamt-train = pipelines.commands.train:cli",
            "tfamt-transcribe = tfamt.commands.transcribe:cli",
            "tfamt-transcribe-cluster = pipelines.commands.transcribe_cluster:cli",
            "tfamt-tune = pipelines.commands.tune:cli",
        ]
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS :: MacOS X",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Typing :: Typed",
    ],
)
