"""Start a command of tfamt from a fresh clone: make .venv with the project in it, once, and run the command there.

Uses the standard library only, and nothing that Python 3.6 lacks, so that it can say what is missing.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ON_WINDOWS = sys.platform == "win32"
if ON_WINDOWS:
    import msvcrt
else:
    import fcntl

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
ENVIRONMENT = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(
    ENVIRONMENT, *(("Scripts", "python.exe") if ON_WINDOWS else ("bin", "python"))
)
MARKER = os.path.join(ENVIRONMENT, "tfamt-installed")
LOG = os.path.join(ENVIRONMENT, "tfamt-install.log")
# TensorFlow has wheels for these, the newest first; of a newer Python pip says whether it has by now.
VERSIONS = ((3, 14), (3, 13), (3, 12), (3, 11))
OLDEST = VERSIONS[-1]
# An environment without these extras is for using models: it is kept small.
LARGE_EXTRAS = {"data", "serving", "test"}
PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def launch(module, extras=(), extras_of_flags=None):
    """Run `python -m module` with the command line's arguments; never return.

    In an environment that has tfamt that one is used, else .venv in the checkout, which is made if need be.

    extras_of_flags: the extras that the command needs only if a flag is given, by the name of the flag, or by
      NAME=VALUE if it depends on the value.
    """
    given = flags_given(sys.argv[1:])
    extras = [*extras, *(extra for flag, extra in (extras_of_flags or {}).items() if flag in given)]
    # -P keeps the caller's folder, where other modules may lie about, off the search path.
    execute(["-P", "-m", module], extras)


def flags_given(arguments):
    """Return the flags among arguments, each as NAME and as NAME=VALUE."""
    given = set()
    for position, text in enumerate(arguments):
        if text.startswith("-"):
            name, _, value = text.lstrip("-").partition("=")
            given |= {
                name,
                "%s=%s" % (name, value or "".join(arguments[position + 1 : position + 2])),
            }
    return given


def launch_folder(name, extras=()):
    """Run __main__.py of a folder of the checkout; never return."""
    execute([os.path.join(ROOT, name)], extras)


def execute(arguments, extras):
    """Replace this process by the right python, with `arguments` and those of the command line."""
    try:
        python = find_environment(extras)
    except KeyboardInterrupt:
        print("\ninterrupted; the next start resumes from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit("error: %s cannot be set up (%s)." % (ENVIRONMENT, error))
    command = [python, *arguments, *sys.argv[1:]]
    if ON_WINDOWS:
        # There execv returns to the shell at once, while the command still runs.
        sys.exit(subprocess.call(command))
    os.execv(python, command)


def find_environment(extras):
    """Return the python of the environment to use, after installing the packages of `extras`."""
    requirements = requirements_of_tfamt()
    if requirements is None or os.path.realpath(sys.prefix) == os.path.realpath(ENVIRONMENT):
        return ready_environment(extras)
    missing = missing_packages(requirements, extras)
    if missing:
        sys.exit(
            "error: the environment in %s has tfamt, but not %s. Add what this command needs: pip install '%s'"
            % (sys.prefix, ", ".join(missing), target_of(extras))
        )
    return sys.executable


def requirements_of_tfamt():
    """Return the requirements of the tfamt installed for this interpreter; None without one."""
    if sys.version_info < OLDEST:
        return None
    from importlib import metadata

    for distribution in metadata.distributions(name="tfamt"):
        # Building leaves a description without RECORD in the checkout, which says nothing about the environment.
        if distribution.read_text("RECORD") is not None:
            return distribution.requires or []
    return None


def missing_packages(requirements, extras):
    """Return the packages of `extras` that this interpreter does not have."""
    from importlib import metadata

    missing = []
    for requirement in requirements:
        extra = re.search(r"""extra *== *["'](\w+)["']""", requirement)
        if not extra or extra.group(1) not in extras or is_for_others(requirement):
            continue
        name = re.match(r"[\w.-]+", requirement).group()
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def is_for_others(requirement):
    """Return whether a marker of setup.py leaves a requirement to other Pythons or systems."""
    if ON_WINDOWS and re.search(r"""sys_platform *!= *["']win32""", requirement):
        return True
    versions = re.findall(r"""python_version *(<|>=) *["'](\d+)\.(\d+)["']""", requirement)
    return any(
        (sys.version_info[:2] < (int(major), int(minor))) != (comparison == "<")
        for comparison, major, minor in versions
    )


def ready_environment(extras):
    """Return the python of .venv, after installing missing packages there."""
    needed = {"", *extras}
    if needed <= installed_extras():
        return PYTHON
    # Beside .venv, since making that anew empties it.
    with open(ENVIRONMENT + ".lock", "w") as lock:
        wait_for_lock(lock)
        wanted = needed | installed_extras(any_state=True)
        if not wanted <= installed_extras():
            install(wanted, lock)
    return PYTHON


def wait_for_lock(file):
    """Lock an open file, after other commands if they hold it, until it is closed or this process ends."""
    waiting = False
    while True:
        try:
            if ON_WINDOWS:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except (BlockingIOError, PermissionError):
            if not waiting:
                say("another command is installing; waiting for it")
            waiting = True
            time.sleep(0.5)


def installed_extras(any_state=False):
    """Return the extras that .venv has, with "" for the project itself; none if setup.py has changed since.

    any_state: also count what an older setup.py installed.
    """
    try:
        with open(MARKER) as file:
            state, names = file.read().split("\n")[:2]
    except (OSError, ValueError):
        return set()
    if any_state or (state == fingerprint() and os.path.exists(PYTHON)):
        return set(names.split(","))
    return set()


def fingerprint():
    """Return a text that changes with the dependencies and the place of the checkout."""
    with open(os.path.join(ROOT, "setup.py"), "rb") as file:
        return hashlib.sha256(file.read() + ROOT.encode()).hexdigest()


def install(extras, lock):
    """Make .venv and install the project into it, in place; write the marker last."""
    start = time.time()
    if has_gpu():
        extras = extras | {"gpu"}
    known = os.path.exists(MARKER)
    if known:
        os.remove(MARKER)
    if not works([PYTHON, "-m", "pip", "--version"]):
        base = find_python()
        size = "4 GB" if extras & LARGE_EXTRAS else "1.2 GB"
        say("first use, installing into %s (a minute or more, about %s)" % (ENVIRONMENT, size))
        step([base, "-m", "venv", "--clear", ENVIRONMENT], "making the environment", lock)
    else:
        say("%s %s" % ("updating" if known else "going on with installing into", ENVIRONMENT))
    small = not extras & LARGE_EXTRAS
    # Most modules of a package are never imported: compiling all of them takes longer than unpacking.
    pip_install = ["install", "--no-compile"] if small else ["install"]
    what = "installing tfamt and what it needs"
    step(pip(*pip_install, "--editable", target_of(extras)), what, lock)
    again = pip(*pip_install, "--force-reinstall", "--no-deps")
    if "gpu" in extras:
        # tensorflow-cpu has files of the same names: the GPU build must be the last one written.
        name = "tensorflow==" + tensorflow()[1]
        step([*again, name], "putting TensorFlow for GPUs in place", lock)
    elif not small and has_no_headers():
        step([*again, "==".join(tensorflow())], "adding the headers of TensorFlow", lock)
    if "serving" in extras:
        # It asks for `tensorflow`, but works with tensorflow-cpu. Not every version of that has one of this.
        name = "tensorflow-serving-api<=" + tensorflow()[1]
        step(pip("install", "--no-deps", name), "adding the protocol of TensorFlow Serving", lock)
    if small:
        slim_down(lock)
    with open(MARKER + ".new", "w") as file:
        file.write(fingerprint() + "\n" + ",".join(sorted(extras)) + "\n")
    os.replace(MARKER + ".new", MARKER)
    say("installed in %d s" % (time.time() - start))


def pip(*arguments):
    """Return a command line of pip in .venv."""
    return [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def slim_down(lock):
    """Remove what only serves to compile against TensorFlow: a sixth of .venv. Larger extras bring it back."""
    for folder in glob.glob(os.path.join(tensorflow_folder(), "include")):
        shutil.rmtree(folder)
    if glob.glob(os.path.join(os.path.dirname(tensorflow_folder()), "libclang-*")):
        step(pip("uninstall", "--yes", "libclang"), "removing what is only for compiling", lock)
    # The command that follows compiles what it imports; not kept, that would cost seconds at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def has_no_headers():
    """Return whether .venv has a TensorFlow that was slimmed down."""
    folder = tensorflow_folder()
    return bool(glob.glob(folder) and not glob.glob(os.path.join(folder, "include")))


def tensorflow_folder():
    """Return the pattern of the folder that holds TensorFlow in .venv."""
    library = ("Lib",) if ON_WINDOWS else ("lib", "python*")
    return os.path.join(glob.escape(ENVIRONMENT), *library, "site-packages", "tensorflow")


def target_of(extras):
    """Return the checkout with extras, in the syntax of pip."""
    names = ",".join(sorted(set(extras) - {""}))
    return ROOT + ("[%s]" % names if names else "")


def tensorflow():
    """Return name and version of the TensorFlow in .venv: its name differs between systems."""
    code = """
from importlib import metadata
found = {each.metadata["Name"].replace("_", "-"): each.version for each in metadata.distributions()}
name = "tensorflow-cpu" if "tensorflow-cpu" in found else "tensorflow"
print(name, found[name])
"""
    output = subprocess.check_output([PYTHON, "-c", code], universal_newlines=True)
    return output.split()


def step(command, what, lock):
    """Run a part of the installation, its output in a log; exit with a message if it fails."""
    os.makedirs(ENVIRONMENT, exist_ok=True)
    show(what)
    lines = []
    # The child holds the lock too: should this process be killed, the next one waits until the child is done.
    # Windows hands on no descriptors; there the next one installs beside it.
    inherited = {} if ON_WINDOWS else {"pass_fds": [lock.fileno()]}
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
        **inherited,
    )
    for line in child.stdout:
        lines.append(line)
        show(what, line)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if child.wait() == 0:
        return
    with open(LOG, "w") as log:
        log.writelines(lines)
    sys.stderr.writelines([line for line in lines if "error" in line.lower()][-8:] or lines[-8:])
    sys.exit(
        "error: %s failed (all of its output: %s). Check the network and the disk, then start the command again: "
        "it resumes from here." % (what, LOG)
    )


def show(what, line=None):
    """Show the progress of the installation on one line of a terminal; elsewhere only its beginning."""
    if not sys.stderr.isatty():
        if line is None:
            say(what)
        return
    text = "tfamt: " + (line or what).strip()
    sys.stderr.write("\r\033[K" + text[: shutil.get_terminal_size().columns - 1])
    sys.stderr.flush()


def say(what):
    """Write a message to standard error; standard output belongs to the command."""
    print("tfamt: " + what, file=sys.stderr, flush=True)


def works(command):
    """Return whether a command can be run and succeeds."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def has_gpu():
    """Return whether an NVIDIA GPU answers."""
    return works(["nvidia-smi"])


def find_python():
    """Return the Python to make .venv with: this one, else the newest one found for which TensorFlow has wheels."""
    own = getattr(sys, "_base_executable", sys.executable)
    names = ["python%d.%d" % version for version in VERSIONS]
    for candidate in [own] + [path for path in map(shutil.which, names) if path]:
        if probe(candidate) in VERSIONS:
            return candidate
    if sys.version_info[:2] >= OLDEST:
        if probe(own):
            return own
        sys.exit(
            "error: this Python cannot make environments. Debian and Ubuntu: apt-get install python%d.%d-venv"
            % sys.version_info[:2]
        )
    sys.exit(
        "error: tfamt needs Python 3.11 or newer with venv. This is Python %d.%d, and none of python%d.%d to "
        "python%d.%d was found. Install one of them."
        % (sys.version_info[:2] + OLDEST + VERSIONS[0])
    )


def probe(python):
    """Major and minor version of a python that can make environments, else None."""
    try:
        answer = subprocess.check_output([python, "-c", PROBE], stderr=subprocess.DEVNULL)
        return tuple(int(part) for part in answer.decode().split("."))
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
